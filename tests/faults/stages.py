"""The stages that are killed, and what has to be the same afterwards: every verb that writes, in a few seconds each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from presat.tasks.lab import lab_problems

OF_THE_PROCESS = ("time", "step_time", "verify/cache_hits")
"""What a line of metrics says of the process that wrote it: its clock, and what it had judged before."""
LEFTOVERS = re.compile(r".*(\.part|\.partial|\.tmp)$")


@dataclass(frozen=True)
class Stage:
    """A command that is run in a folder of its own.

    Attributes:
        name: what the table calls it.
        words: the command line.
        files: what the folder holds.
        outcome: what has to be the same after a kill, read from the folder.
        resumes: whether the second try says `--resume`.
    """

    name: str
    words: str
    files: Mapping[str, str]
    outcome: Callable[[Path], Any]
    resumes: bool = False

    def make(self, folder: Path, model: Path) -> None:
        """Write the stage's files to `folder`; MODEL in them stands for the model."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.replace("MODEL", str(model)), encoding="utf-8")

    def arguments(self, again: bool = False) -> list[str]:
        return [*self.words.split(), *(["--resume"] if again and self.resumes else [])]


def leftovers(folder: Path) -> list[str]:
    """What a process that is gone has left half-written."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if LEFTOVERS.fullmatch(path.name)]


def studied(folder: Path) -> dict[str, Any]:
    """The files that a study's cells wrote."""
    return {file.name: pl.read_parquet(file).to_dicts() for file in sorted((folder / "s" / "data").glob("*.parquet"))}


def trained(folder: Path) -> dict[str, Any]:
    """The last weights, every logged number, every response, and how the run ended."""
    run = folder / "run"
    last = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name.removeprefix("step_")))
    weights = hashlib.sha256((last / "model.safetensors").read_bytes()).hexdigest()
    return {"step": last.name, "weights": weights, **numbers(folder)}


def numbers(folder: Path) -> dict[str, Any]:
    """Every logged number and every response of a run, and how it ended."""
    run = folder / "run"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [{name: value for name, value in row.items() if name not in OF_THE_PROCESS} for row in rows]
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        merged.setdefault(row["step"], {}).update(row)
    return {
        "metrics": merged,
        "responses": {str(file.relative_to(run)): frame(file) for file in sorted(run.rglob("rollouts/**/*.parquet"))},
        "status": json.loads((run / "status.json").read_text())["status"],
    }


def frame(file: Path) -> str:
    return hashlib.sha256(pl.read_parquet(file).write_json().encode()).hexdigest()


def problems(folder: Path) -> dict[str, Any]:
    """The problems written, and the responses they were chosen by."""
    return {"out": frame(folder / "out.parquet"), "status": numbers(folder)["status"]}


def tables(folder: Path) -> dict[str, str]:
    """What `data sft` wrote."""
    return {file.name: frame(file) for file in sorted((folder / "sft").iterdir())}


def packed(folder: Path) -> dict[str, str]:
    """The token file."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("tokens.bin")}


def pages(folder: Path) -> dict[str, str]:
    """The page without the time it was made at, and the tables."""
    files = sorted((folder / "out").iterdir())
    return {file.name: re.sub(r"Made by presat .*? UTC", "", file.read_text()) for file in files}


def _rows(count: int) -> str:
    found = lab_problems("chains", count, seed=5, operands=[3, 8])
    return "".join(json.dumps({"question": p.messages[0]["content"], "answer": p.gold}) + "\n" for p in found)


def _traces(count: int) -> str:
    found = lab_problems("chains", count, seed=5, operands=[3, 8])
    rows = [
        {"question": p.messages[0]["content"], "trace": "a +1 b", "solution": f"\\boxed{{ {p.gold} }}"} for p in found
    ]
    return "".join(json.dumps(row | {"answer": p.gold}) + "\n" for row, p in zip(rows, found, strict=True))


LAB: dict[str, Any] = {"source": "lab/chains", "count": 3}
MODEL: dict[str, Any] = {"model": {"name": "MODEL"}, "run": "run", "threads": 1}
GRPO = MODEL | {
    "data": LAB, "reward": {"source": "random"}, "optim": {"lr": 1.0e-3}, "beta": 0.01, "steps": 7, "save_every": 2,
    "prompts_per_step": 4, "group_size": 2, "micro_batch": 4, "max_new_tokens": 16, "max_prompt_tokens": 64,
    "eval": {"sets": [{"source": "lab/chains", "name": "held_out", "count": 5}], "every": 3, "samples": 4},
}  # fmt: skip
VERIFIED = GRPO | {"data": {"source": "rows.jsonl"}, "reward": {"source": "verifiable"}, "verify": {"workers": 2}}
CPT = MODEL | {"data": {"source": "text.txt", "held_out_rows": 2}, "sequence_length": 8, "batch": 2, "steps": 60,
               "save_every": 10, "optim": {"lr": 1.0e-3}}  # fmt: skip
SFT = MODEL | {"data": {"source": "traces.jsonl"}, "max_length": 64, "batch": 2, "epochs": 9.0, "save_every": 8,
               "optim": {"lr": 1.0e-3}}  # fmt: skip
EVAL = MODEL | {"sets": [{"source": "lab/chains", "name": name, "count": 16, "seed": seed}
                         for seed, name in enumerate("abc")], "samples": 8, "max_new_tokens": 16}  # fmt: skip
JUDGED = EVAL | {"sets": [{"source": "rows.jsonl", "name": "a"}], "samples": 16, "verify": {"workers": 2}}
SAMPLES = MODEL | {"data": {"source": "lab/chains", "count": 40, "options": {"operands": [3, 5]}}, "samples": 16,
                   "out": "out.parquet", "max_new_tokens": 20, "chunk": 4, "seed": 7}  # fmt: skip
TEXT = "7 a +1 <b> 8\n" * 60
STUDY = {
    "study": "s", "out": "s", "workers": 2, "seeds": [0, 1],
    "base": {"model": MODEL["model"], "data": SAMPLES["data"],
             "filter": {"samples": 16, "max_new_tokens": 20, "chunk": 4}, "subset": {"n": 2, "batch": 2}},
}  # fmt: skip


def _stage(
    name: str, settings: dict[str, Any], outcome: Callable[[Path], Any], resumes: bool = False, **files
) -> Stage:
    named = {f"{stem}.{'txt' if stem == 'text' else 'jsonl'}": text for stem, text in files.items()}
    words = f"{name.split(',')[0]} --config c.yaml"
    return Stage(name, words, {"c.yaml": yaml.safe_dump(settings), **named}, outcome, resumes)


def _run_to_report() -> dict[str, str]:
    """A run's metrics, which a report takes a moment over."""
    rows = [{"step": step, "reward": step / 400, "eval/held_out/avg@4": 0.5} for step in range(400)]
    return {
        "curve/provenance.json": "{}", "curve/config.yaml": "steps: 400\n",
        "curve/status.json": '{"status": "finished", "reason": ""}',
        "curve/metrics.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }  # fmt: skip


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        _stage("train", GRPO, trained, resumes=True),
        _stage("eval", EVAL, numbers),
        _stage("data filter", SAMPLES, problems),
        _stage("cpt", CPT, trained, resumes=True, text=TEXT),
        _stage("sft", SFT, trained, resumes=True, traces=_traces(16)),
        _stage("data corrupt", SAMPLES | {"gamma": 0.5}, problems),
        _stage("train, with verifier processes", VERIFIED, trained, resumes=True, rows=_rows(3)),
        _stage("data sft", {"data": {"source": "traces.jsonl"}, "model": {"name": "MODEL"}, "out": "sft",
                            "max_length": 64}, tables, traces=_traces(200)),
        _stage("data pack", {key: CPT[key] for key in ("data", "model", "sequence_length", "batch")}, packed,
               text=TEXT * 50),
        Stage("report", "report curve --out out/page.html", {**_run_to_report(), "out/.keep": ""}, pages),
        Stage("study", "study run c.yaml", {"c.yaml": yaml.safe_dump(STUDY)}, studied),
    )
}  # fmt: skip
JUDGED_STAGE = _stage("eval, with verifier processes", JUDGED, numbers, rows=_rows(40))
"""An evaluation of math answers: its responses do not depend on their scores, which dying verifiers may cost."""
