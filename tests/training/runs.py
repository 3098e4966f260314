"""What the tests of whole runs share: reading a run directory, killing a run, running one on two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from presat.config import dump_config

START = """
import sys
from presat import evaluation, training
from presat.config import load_config, schema
for verb, file in zip(sys.argv[1::2], sys.argv[2::2]):
    run = getattr(evaluation if verb == "eval" else training, f"run_{verb}")
    run(load_config(getattr(schema, f"{verb.title()}Config"), file), quiet=True)
"""


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def weights(run: Path, step: int) -> dict:
    return load_file(run / "checkpoints" / f"step_{step}" / "model.safetensors")


def last_weights(run: Path) -> dict:
    return weights(run, max(int(p.name.removeprefix("step_")) for p in (run / "checkpoints").glob("step_*")))


def largest_gap(one: Path, other: Path) -> float:
    """Largest difference between any weight of two runs' last checkpoints."""
    ours, theirs = last_weights(one), last_weights(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - weight).abs().max()) for name, weight in theirs.items())


def share_apart(one: Path, other: Path, start: Path) -> float:
    """How far apart two runs' last weights lie, as a share of how far the second one went from the model at `start`.

    Adam divides a gradient by its own size: where a gradient is float noise, so is the whole step, and that differs
    from processor to processor. The distance over all weights tells noise from runs that do not train alike.
    """
    ours, theirs = last_weights(one), last_weights(other)
    began = load_file(start / "model.safetensors")
    assert ours.keys() == theirs.keys() == began.keys()
    apart = sum(float((ours[name] - weight).square().sum()) for name, weight in theirs.items())
    went = sum(float((began[name] - weight).square().sum()) for name, weight in theirs.items())
    return (apart / went) ** 0.5


def without_clock(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in ("time", "step_time")} for row in rows]


def kill_at(config: Any, verb: str, folder: Path, after: int) -> None:
    """Run in a process of its own and kill it outright once step `after` is logged."""
    file = folder / "config.yaml"
    file.write_text(dump_config(config))
    process = subprocess.Popen([sys.executable, "-c", START, verb, str(file)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    log = config.run / "metrics.jsonl"
    while not (log.exists() and any(row["step"] >= after for row in whole_lines(log))):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert status(config.run)["status"] == "running"


def whole_lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def on_two_processes(configs: Mapping[str, Any], folder: Path) -> None:
    """Run verbs one after the other under torchrun."""
    script = folder / "start.py"
    script.write_text(START)
    words = []
    for verb, config in configs.items():
        file = folder / f"{verb}.yaml"
        file.write_text(dump_config(config))
        words += [verb, str(file)]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(script), *words]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
