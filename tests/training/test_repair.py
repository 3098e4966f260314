"""The whole repair on the command line: CPT, both SFT sets from one file, both SFTs, RL and evaluation of each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.training.runs import lines

from presat.cli import run
from presat.tasks.lab import lab_problems, targets

TEMPLATE = "chat_template.jinja"
LIMITS = {"max_new_tokens": 24, "max_prompt_tokens": 64, "threads": 1}


@pytest.fixture
def start(tmp_path):
    """Run a verb with these settings in its file and return its exit code."""

    def call(verb: str, name: str = "run", **settings) -> int:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(settings))
        return run([*verb.split(), "--config", str(file), "--json"])

    return call


@pytest.fixture
def traces(tmp_path) -> Path:
    """48 worked chains in OpenThoughts' columns; every sixth solution is wrong."""
    problems = lab_problems("chains", 48, seed=3, operands=[2, 3])
    rows = []
    for index, (problem, target) in enumerate(targets(problems, thinking=True)):
        trace, solution = target.removeprefix("<think>").split("</think>")
        wrong = "\\boxed{ 19 }" if str(problem.gold) != "19" else "\\boxed{ 18 }"
        rows.append({
            "problem": problem.messages[-1]["content"],
            "deepseek_reasoning": trace.strip(),
            "deepseek_solution": wrong if index % 6 == 0 else solution.strip(),
            "ground_truth_solution": f"\\boxed{{{problem.gold}}}",
        })  # fmt: skip
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_cpt_saves_the_chat_template_it_is_given(toy_model, start, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(toy_model, base, ignore=shutil.ignore_patterns(TEMPLATE))
    model = {"name": str(base), "chat_template": str(toy_model / TEMPLATE)}
    text = {"source": "lab/cpt", "held_out_rows": 0}
    assert start("cpt", run=str(tmp_path / "cpt"), model=model, data=text, sequence_length=24, batch=4, steps=1) == 0
    saved = tmp_path / "cpt" / "checkpoints" / "step_1" / TEMPLATE
    assert saved.read_text() == (toy_model / TEMPLATE).read_text()


def thinking_share(folder: Path) -> float:
    """Share of the saved responses that reason between tags."""
    texts = pl.concat([pl.read_parquet(file) for file in folder.rglob("*.parquet")])["text"]
    return sum("<think>" in text and "</think>" in text for text in texts) / len(texts)


def test_the_repair_from_a_base_model_without_chat_template(toy_model, traces, start, tmp_path, capsys):
    base = tmp_path / "base"
    shutil.copytree(toy_model, base, ignore=shutil.ignore_patterns(TEMPLATE))
    text = {"source": "lab/cpt", "held_out_rows": 16}
    optim = {"lr": 0.01, "schedule": "linear"}
    model = {"name": str(tmp_path / "cpt")}
    assert start("cpt", run=str(tmp_path / "cpt"), model={"name": str(base)}, data=text, optim=optim,
                 sequence_length=48, batch=16, micro_batch=16, steps=40, threads=1) == 0  # fmt: skip
    bits = [row["eval/held_out/bits_per_token"] for row in lines(tmp_path / "cpt") if row["step"] in (0, 40)]
    assert bits[1] < 0.8 * bits[0]

    # both sets need a template, which the base model has not; SFT saves the one it is given with its model
    capsys.readouterr()
    source = {"source": str(traces), "options": {"system": ""}}  # the lab's prompts, which RL shows, have none
    sets = {"data": source, "model": model, "out": str(tmp_path / "sets"), "max_length": 100}
    assert start("data sft", **sets) == 1
    assert "Set `model.chat_template`" in capsys.readouterr().err
    model["chat_template"] = str(toy_model)
    assert start("data sft", **sets) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["kept"], made["dropped"]) == (40, {"wrong answer": 8})
    assert made["prompt_tokens"]["thinking"] == made["prompt_tokens"]["non_thinking"]
    assert made["response_tokens"]["thinking"] > made["response_tokens"]["non_thinking"]

    shares = {}
    for kind, gate in (("thinking", "think"), ("non_thinking", "none")):
        sft, rl, scores = (str(tmp_path / f"{kind}-{stage}") for stage in ("sft", "rl", "eval"))
        data = {"source": made["files"][kind]}
        assert start("sft", run=sft, model=model, data=data, thinking=kind == "thinking", optim=optim, epochs=12,
                     batch=8, threads=1) == 0  # fmt: skip
        assert lines(Path(sft))[0]["data/response_tokens"] == made["response_tokens"][kind]
        chains = {"source": "lab/chains", "count": 4, "options": {"operands": [2, 3]}}
        assert start("train", run=rl, model={"name": sft}, data=chains, reward={"gate": gate}, steps=2,
                     prompts_per_step=4, group_size=4, micro_batch=16, **LIMITS) == 0  # fmt: skip
        capsys.readouterr()
        assert start("eval", run=scores, model={"name": rl}, sets=[{**chains, "name": "few"}], samples=4, **LIMITS) == 0
        assert json.loads(capsys.readouterr().out)["results"][0]["step"] == 2
        shares[kind] = thinking_share(Path(scores))
    assert shares["thinking"] > 0.8
    assert shares["non_thinking"] < 0.2
