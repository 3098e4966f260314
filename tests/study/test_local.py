"""Cells as real processes: what they say, what they share, and what is left when they or their driver are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.test_processes import gone

import presat
from presat.study.local import Ended, LocalWorkers, gpus
from presat.tracking import open_run

RUN = [sys.executable, "-m", "presat", "study", "run", "--json"]


def wait_for(workers: LocalWorkers, name: str) -> Ended:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if name in (ended := workers.ended()):
            return ended[name]
        time.sleep(0.05)
    raise AssertionError("it takes for ever")


def test_why_a_cell_failed_is_what_its_verb_said(tmp_path: Path) -> None:
    workers = LocalWorkers(1)
    (tmp_path / "c.yaml").write_text("runs: []")
    workers.start("a", "report", tmp_path / "c.yaml", tmp_path / "a.log")
    assert workers.free == 0
    ended = wait_for(workers, "a")
    assert ended[0] == 2
    assert ended[1].startswith("Which runs? `presat report RUN...` takes run directories")
    assert not ended.interrupted
    assert "Which runs?" in (tmp_path / "a.log").read_text()


def test_a_cell_that_is_ended_goes_on_later(tmp_path: Path) -> None:
    workers = LocalWorkers(1)
    (tmp_path / "c.yaml").write_text(f"run: {tmp_path / 'not there yet'}")
    workers.start("a", "watch", tmp_path / "c.yaml", tmp_path / "a.log")
    time.sleep(0.5)
    (ended,) = workers.close().values()
    assert ended.interrupted


def test_gpus_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    assert gpus() == ["2", "GPU-7"]
    workers = LocalWorkers(None)
    assert workers.count == 2
    assert [workers._environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["2", "GPU-7", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    assert "CUDA_VISIBLE_DEVICES" not in LocalWorkers(1)._environment(0)


def test_cores_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert (LocalWorkers(None).count, LocalWorkers(None).threads) == (12, 1)
    assert (LocalWorkers(4).threads, LocalWorkers(5).threads, LocalWorkers(30).threads) == (3, 2, 1)


def write_study(folder: Path, model: Path, **more: Any) -> Path:
    train = {
        "reward": {"source": "random"}, "optim": {"lr": 1e-3}, "steps": 10, "save_every": 2, "prompts_per_step": 4,
        "group_size": 2, "micro_batch": 4, "max_new_tokens": 16, "max_prompt_tokens": 64,
        "eval": {"sets": [{"source": "lab/chains", "name": "held_out", "count": 4}], "every": 1, "samples": 8},
    }  # fmt: skip
    base = {"model": {"name": str(model)}, "data": {"source": "lab/chains", "count": 3}, "train": train}
    study = {"study": "kills", "out": str(folder / "out"), "base": base, "seeds": [0, 1], "workers": 2, **more}
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(presat.__file__).parents[1])}


def finish(study: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([*RUN, str(study), *words], env=environment(), capture_output=True, text=True, timeout=600)
    return done.returncode, json.loads(done.stdout)


def status(study: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "presat", "study", "status", "--json", str(study)]
    return json.loads(subprocess.run(words, env=environment(), capture_output=True, check=True).stdout)


def start_until(study: Path, seed: int, step: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start a driver, and wait until the run of a seed has logged a step; return the run's process too."""
    driver = subprocess.Popen([*RUN, str(study)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for log in study.parent.glob(f"out/runs/train-seed{seed}-*/metrics.jsonl"):
            worker = json.loads((log.parent / "status.json").read_text())["pid"]
            if log.read_text().count("\n") > step and Path(f"/proc/{worker}").exists():
                return driver, worker
        assert driver.poll() is None
        time.sleep(0.01)
    raise AssertionError("it takes for ever")


def rewards(study: Path) -> dict[str, list[float]]:
    runs = sorted(study.parent.glob("out/runs/train-*"))
    return {run.name.rpartition("-")[0]: open_run(run).train_rewards().tolist() for run in runs}


@pytest.mark.slow  # a minute and a half
def test_a_study_goes_on_after_kills_and_comes_to_the_same(toy_model: Path, tmp_path: Path) -> None:
    wrong = {"reward": {"right": {}, "wrong": {"train.reward": {"source": "nosuch"}}}}
    whole = write_study(tmp_path / "whole", toy_model, axes=wrong, exclude=[{"reward": "wrong", "seed": 1}])
    code, answer = finish(whole)
    assert code == 1
    assert "Not all cells of kills are done: 1 failed, 2 done." in answer["error"]
    failed = [cell for cell in status(whole.parent / "out")["cells"] if cell["state"] == "failed"]
    assert "nosuch" in failed[0]["reason"]

    killed = write_study(tmp_path / "killed", toy_model, workers=1)  # one after the other, whatever the machine does
    driver, worker = start_until(killed, 0, 3)
    during = status(killed)
    assert during["active"]
    assert (during["cells"][0]["state"], during["cells"][0]["steps"]) == ("running", 10)
    second = subprocess.run([*RUN, str(killed)], env=environment(), capture_output=True, text=True)
    assert second.returncode == 1
    assert "is being written by process" in second.stderr
    driver.kill()
    driver.wait()
    assert gone(worker)
    assert [cell["state"] for cell in status(killed)["cells"]] == ["interrupted", "waiting"]

    driver, worker = start_until(killed, 1, 1)
    os.kill(worker, signal.SIGKILL)
    said = json.loads(driver.communicate(timeout=600)[0])["error"]
    assert "1 interrupted, 1 done" in said
    code, answer = finish(killed)
    assert (code, answer["counts"]) == (0, {"done": 2})
    found = {name.replace("-right", ""): values for name, values in rewards(whole).items() if "wrong" not in name}
    assert rewards(killed) == found
