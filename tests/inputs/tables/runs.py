"""Damaged run directories of ours, through `report` and `watch`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.inputs.case import Case, Kit
from tests.inputs.tables.data import NOISE, trap_pickle
from tests.inputs.tables.settings import BOMB

EITHER = (0, 1)


def damaged(damage: Callable[[Path], object]):
    def write(path: Path, kit: Kit) -> None:
        shutil.copytree(kit.run, path)
        damage(path)

    return write


def run(name: str, damage: Callable[[Path], object], *says: str, codes=(1,), words: str = "report run --out out/p.html",
        where: str = "run") -> Case:  # fmt: skip
    """A run directory with something done to it; where it is still read, nothing has to be said but what `says` has."""
    return Case("run", name, words, {where: damaged(damage), "out/.keep": ""}, codes, says)


def put(name: str, content: str | bytes):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def add(name: str, content: str | bytes):
    """More at the end of a file."""

    def write(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    return write


def middle(content: str | bytes):
    """A line of its own in the middle of the metrics."""

    def write(folder: Path) -> None:
        lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        lines.insert(2, (content if isinstance(content, bytes) else content.encode()) + b"\n")
        (folder / "metrics.jsonl").write_bytes(b"".join(lines))

    return write


def drop(name: str):
    return lambda folder: (folder / name).unlink()


def folder_for(name: str):
    def write(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return write


def responses(content: bytes | None, cut: int = 0):
    """Another content of the newest file of responses, or less of its own."""

    def write(folder: Path) -> None:
        file = max((folder / "rollouts").rglob("*.parquet"))
        file.write_bytes(file.read_bytes()[:cut] if content is None else content)

    return write


def columns(**values):
    """Responses with other columns."""

    def write(folder: Path) -> None:
        import polars as pl

        pl.DataFrame(values).write_parquet(max((folder / "rollouts").rglob("*.parquet")))

    return write


def line(**values) -> str:
    return json.dumps(values) + "\n"


M = "metrics.jsonl"
CASES = [
    run("metrics-torn", add(M, '{"step": 5, "rew'), M, codes=(0,)),
    run("metrics-garbled-line", middle("{garbled"), M, codes=(0,)),
    run("metrics-line-not-utf-8", middle(b'{"step": 2, "\xff": 1}'), M, codes=(0,)),
    run("metrics-line-a-list", middle("[1]"), M, codes=(0,)),
    run("metrics-line-deep", middle('{"step": ' + "[" * 200_000), M, codes=(0,)),
    run("metrics-line-half-a-character", middle('{"step": 2, "\\ud800": 1}'), codes=EITHER),
    run("metrics-line-escape", middle('{"step": 2, "eval/\\u001b[2J/avg@2": 0.5}'), codes=EITHER),
    run("metrics-line-5000-digits", middle('{"step": 2, "reward": ' + "9" * 5000 + "}"), codes=EITHER),
    run("metrics-empty", put(M, ""), codes=EITHER),
    run("metrics-noise", put(M, NOISE), codes=EITHER),
    run("metrics-zeros", put(M, b"\0" * 3000), codes=EITHER),
    run("metrics-missing", drop(M), codes=EITHER),
    run("metrics-a-folder", folder_for(M), codes=EITHER),
    run("metrics-a-pipe", lambda folder: (drop(M)(folder), os.mkfifo(folder / M)), codes=EITHER),
    run("metrics-step-a-time", add(M, line(step=1_700_000_000, reward=0.5)), codes=EITHER),
    run("metrics-step-2e70", add(M, line(step=2**70, reward=0.5)), codes=EITHER),
    run("metrics-step-negative", add(M, line(step=-4, reward=0.5)), codes=EITHER),
    run("metrics-step-text", add(M, line(step="5", reward=0.5)), M, codes=(0,)),
    run("metrics-step-true", add(M, line(step=True, reward=0.5)), M, codes=(0,)),
    run("metrics-step-missing", add(M, line(reward=0.5)), M, codes=(0,)),
    run("metrics-reward-text", add(M, line(step=5, reward="high")), "reward", codes=EITHER),
    run("metrics-reward-list", add(M, line(step=5, reward=[0.5])), "reward", codes=EITHER),
    run("metrics-reward-nan", add(M, '{"step": 5, "reward": NaN}\n'), codes=EITHER),
    run("metrics-reward-infinite", add(M, '{"step": 5, "reward": Infinity}\n'), codes=EITHER),
    run("metrics-reward-1e999", add(M, '{"step": 5, "reward": 1e999}\n'), codes=EITHER),
    run("metrics-k-huge", add(M, line(step=4, **{"eval/held_out/avg@99999999999999999999": 0.5})), codes=EITHER),
    run("metrics-name-empty", add(M, line(step=4, **{"": 0.5, "eval//avg@2": 0.5, "eval/": 1})), codes=EITHER),
    run("metrics-score-above-one", add(M, line(step=4, **{"eval/held_out/avg@2": 7.0})), codes=EITHER),
    run("metrics-name-of-megabytes", add(M, line(step=5, **{"x" * 1_000_000: 0.5})), codes=EITHER),
    run("metrics-names-3000", add(M, line(step=5, **{f"eval/s{i}/avg@2": 0.5 for i in range(3000)})), codes=EITHER),
    *(
        run(f"{name}-{how}", damage, f"{name}", codes=codes)
        for name in ("provenance.json", "status.json")
        for how, damage, codes in (
            ("empty", put(name, ""), (1,)),
            ("garbled", put(name, "{"), (1,)),
            ("list", put(name, "[]"), (1,)),
            ("number", put(name, "3"), (1,)),
            ("noise", put(name, NOISE), (1,)),
            ("deep", put(name, '{"a": ' * 100_000), (1,)),
            ("5000-digits", put(name, '{"a": ' + "9" * 5000 + "}"), (1,)),
        )
    ),
    run("provenance-missing", drop("provenance.json"), codes=EITHER),
    run("provenance-other-kinds", put("provenance.json", '{"model": 3, "notes": 5, "presat": [], "data": "x"}'),
        codes=EITHER),
    run("provenance-notes-escape", put("provenance.json", '{"notes": ["\\u001b[2J", "\\ud800"]}'), codes=EITHER),
    run("status-missing", drop("status.json"), codes=EITHER),
    run("status-empty-object", put("status.json", "{}"), codes=EITHER),
    run("status-unknown", put("status.json", '{"status": "dancing"}'), codes=EITHER),
    run("status-number", put("status.json", '{"status": 3, "reason": [1]}'), codes=EITHER),
    run("status-null", put("status.json", '{"status": null, "reason": null}'), codes=EITHER),
    run("status-escape", put("status.json", '{"status": "failed", "reason": "\\u001b]0;owned\\u0007"}'), codes=EITHER),
    run("status-half-a-character", put("status.json", '{"status": "failed", "reason": "\\ud800"}'), codes=EITHER),
    run("status-megabytes", put("status.json", line(status="failed", reason="x" * 2_000_000)), codes=EITHER),
    run("config-empty", put("config.yaml", ""), codes=EITHER),
    run("config-garbled", put("config.yaml", "{"), "config.yaml"),
    run("config-noise", put("config.yaml", NOISE), "config.yaml"),
    run("config-not-utf-8", put("config.yaml", b"run: \xff\n"), "config.yaml"),
    run("config-bomb", put("config.yaml", BOMB), codes=EITHER),
    run("config-list", put("config.yaml", "[]"), codes=EITHER),
    run("config-other-kinds", put("config.yaml", "steps: many\nseed: [1]\neval: 3\nstop: x\n"), codes=EITHER),
    run("config-sets-text", put("config.yaml", "steps: 4\neval: {sets: x}\n"), codes=EITHER),
    run("config-sets-of-text", put("config.yaml", "steps: 4\neval: {sets: [x, 3, null]}\n"), codes=EITHER),
    run("config-steps-true", put("config.yaml", "steps: true\n"), codes=EITHER),
    run("config-steps-huge", put("config.yaml", "steps: 100000000000000000000000\n"), codes=EITHER),
    run("config-steps-infinite", put("config.yaml", "steps: .inf\n"), codes=EITHER),
    run("config-patience-text", put("config.yaml", "steps: 4\nstop: {patience: x}\n"), codes=EITHER),
    run("config-missing", drop("config.yaml"), codes=EITHER),
    run("config-a-folder", folder_for("config.yaml"), codes=EITHER),
    run("evaluated-garbled", put("evaluated.json", "{"), "evaluated.json", codes=EITHER),
    run("evaluated-list", put("evaluated.json", "[]"), "evaluated.json", codes=EITHER),
    run("evaluated-other-kinds", put("evaluated.json", '{"held_out": 3, "x": [1], "y": {"4": "a"}}'), codes=EITHER),
    run("evaluated-noise", put("evaluated.json", NOISE), "evaluated.json", codes=EITHER),
    run("responses-empty", responses(b""), ".parquet"),
    run("responses-noise", responses(NOISE), ".parquet"),
    run("responses-cut", responses(None, 300), ".parquet"),
    run("responses-pickle", responses(trap_pickle()), ".parquet"),
    run("responses-other-columns", columns(a=[1]), ".parquet", codes=EITHER),
    run("responses-other-types", columns(step=["4"], problem_id=[1], sample=["a"], text=[3], score=["x"], set=[1],
                                         prompt=[1], gold=[1], extracted=[2], reward=["y"]), codes=EITHER),
    run("responses-a-folder", lambda f: (f / "rollouts" / "eval" / "step_000009.parquet").mkdir(), codes=EITHER),
    run("rollouts-a-file", lambda f: (shutil.rmtree(f / "rollouts"), put("rollouts", "x")(f)), codes=EITHER),
    run("checkpoints-a-file", put("checkpoints", "x"), codes=EITHER),
    run("lock-garbled", put(".lock.json", "{"), codes=EITHER),
    run("links-in-a-circle", lambda f: (f / "more").symlink_to(f), codes=(0,)),
    run("path-with-brackets", lambda f: None, codes=(0,), words="report 'a[1]' --out out/p.html", where="a[1]"),
    run("path-with-a-question", lambda f: None, codes=(0,), words="report 'a?b*' --out out/p.html", where="a?b*"),
    run("watch-status-garbled", put("status.json", "{"), "status.json", words="watch run --once"),
    run("watch-config-garbled", put("config.yaml", "{"), codes=EITHER, words="watch run --once"),
    run("watch-config-not-utf-8", put("config.yaml", b"\xff"), codes=EITHER, words="watch run --once"),
    run("watch-config-other-kinds", put("config.yaml", "steps: many\nstop: {patience: x}\n"), codes=EITHER,
        words="watch run --once"),
    run("watch-metrics-noise", put(M, NOISE), codes=EITHER, words="watch run --once"),
    run("watch-step-a-time", add(M, line(step=1_700_000_000, reward=0.5)), codes=EITHER, words="watch run --once"),
    run("watch-reward-text", add(M, line(step=5, reward="high")), codes=EITHER, words="watch run --once"),
    run("watch-escape", add(M, line(step=5, **{"eval/\x1b[2J/avg@2": 0.5})), codes=EITHER, words="watch run --once"),
    run("watch-path-with-brackets", lambda f: None, codes=(0,), words="watch 'a[1]' --once", where="a[1]"),
    run("report-over-its-metrics", lambda f: None, words="report run --out run/metrics.jsonl", codes=(1, 2)),
    run("report-over-its-config", lambda f: None, words="report run --out run/config.yaml", codes=(1, 2)),
]  # fmt: skip
