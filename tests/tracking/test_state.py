"""One answer to whether a run is going on and how it ended, whoever asks and whenever."""

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import presat
from presat.errors import RunError
from presat.report.live import TITLES
from presat.tracking import RunWriter, Status, open_run, state
from presat.tracking.follow import follow
from presat.tracking.state import ENDED, UNKNOWN, Stop, run_state, stop_of

STOP = Stop(14, "It is flat.", {"window": 5, "patience": 2, "min_reward": 0.0})
KILLED = """
import os, signal, sys
from presat.tracking import RunWriter
RunWriter(sys.argv[1], {}, "train").append(1, {"reward": 0.5})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path):
    path = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    return path


def test_a_killed_run_is_interrupted_for_every_reader(killed):
    assert json.loads((killed / "status.json").read_text())["status"] == "running"
    for run in (open_run(killed), follow(killed).refresh()):
        assert (run.status, run.status_reason) == ("interrupted", "the process that ran it is gone")
    with pytest.raises(RunError, match=r"already holds a run \(interrupted\)"):
        RunWriter(killed, {}, "train")


def test_a_run_that_ends_while_it_is_looked_at_is_not_interrupted(tmp_path, monkeypatch):
    """Its status was read, then it ended and let go of the lock, then the lock was looked at."""
    writer = RunWriter(tmp_path / "run", {}, "train")
    assert run_state(tmp_path / "run").status == "running"
    look = state.is_locked
    monkeypatch.setattr(state, "is_locked", lambda run: writer.finish("stopped", "flat") or look(run))
    assert run_state(tmp_path / "run") == ("stopped", "flat")


def test_a_run_whose_lock_cannot_be_looked_at_runs_as_far_as_is_known(killed):
    (killed / ".lock").unlink()
    assert run_state(killed).status == "interrupted"
    (killed / ".lock").mkdir()  # cannot be opened, not even by root
    assert run_state(killed).status == "running"


def test_there_is_one_list_of_statuses():
    assert set(TITLES) == {*get_args(Status), UNKNOWN}
    assert set(get_args(Status)) - ENDED == {"running"}
    source = Path(presat.__file__).parent
    cells = [
        *(source / "study").glob("*.py"),
        source / "report" / "study.py",
        source / "demo" / "run.py",
    ]  # a study's cells are no runs
    for file in set(source.rglob("*.py")) - set(cells):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set) and file.name != "state.py":
                words = {item.value for item in node.elts if isinstance(item, ast.Constant)}
                assert len(words & {*get_args(Status), UNKNOWN}) < 2, f"{file}: a list of statuses of its own"


def test_a_decision_to_stop_is_kept_until_the_run_goes_on(tmp_path):
    path = tmp_path / "run"
    with RunWriter(path, {}, "train") as writer:
        writer.append(14, {"reward": 0.5})
        writer.note_stop(STOP)
        assert run_state(path).status == "running"
        assert stop_of(path) == STOP
        writer.finish("interrupted", "killed")
    with RunWriter(path, {}, "train", resume=True) as writer:
        writer.truncate_after(14)
        assert stop_of(path) == STOP
        writer.finish("stopped", STOP.reason)
    assert stop_of(path) == STOP
    with RunWriter(path, {}, "train", resume=True) as writer:
        writer.note_stop(None)
    assert stop_of(path) is None


def test_a_decision_later_than_the_checkpoint_is_forgotten_with_the_log(tmp_path):
    path = tmp_path / "run"
    with RunWriter(path, {}, "train") as writer:
        writer.append(14, {"reward": 0.5})
        writer.note_stop(STOP)
    with RunWriter(path, {}, "train", resume=True) as writer:
        writer.truncate_after(13)
        assert stop_of(path) is None
    with RunWriter(path, {}, "train", resume=True) as writer:
        writer.note_stop(STOP)
    with RunWriter(path, {}, "train", overwrite=True):
        assert stop_of(path) is None
