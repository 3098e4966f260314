"""Processes that are forked are as those that begin by themselves: settings, files, ends, and nothing outlives."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.test_processes import gone

from presat.study import forked
from presat.study.forked import Starter
from presat.study.local import Ended, LocalWorkers

SAID_AT_THE_END = """
import atexit, os, sys

def say():
    torch = sys.modules.get("torch")
    if torch is not None and sys.argv[-1] == "--json":
        print(torch.get_num_threads(), os.environ["SOMETHING"], os.getpgid(0) == os.getpid(), sys.argv[1:],
              torch.cuda.is_initialized(), file=sys.stderr)

atexit.register(say)
"""


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWorkers]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SAID_AT_THE_END)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(2)))
    made = LocalWorkers(2, {"SOMETHING": "else"})
    yield made
    made.close()


def until(found: Callable[[], object], timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < deadline, "it takes for ever"
        time.sleep(0.02)


def ended(workers: LocalWorkers, name: str) -> Ended:
    found: dict[str, Ended] = {}
    until(lambda: found.update(workers.ended()) or name in found)
    return found[name]


def start(workers: LocalWorkers, folder: Path, name: str, verb: str, settings: str) -> None:
    (folder / f"{name}.yaml").write_text(settings)
    workers.start(name, verb, folder / f"{name}.yaml", folder / f"{name}.log")


def test_a_forked_verb_is_as_one_that_began_by_itself(workers: LocalWorkers, tmp_path: Path) -> None:
    waiting = f"run: {tmp_path / 'not there yet'}"
    start(workers, tmp_path, "wrong", "report", "runs: []")
    start(workers, tmp_path, "waits", "watch", waiting)
    assert ended(workers, "wrong") == (2, (tmp_path / "wrong.log").read_text().splitlines()[0].removeprefix("presat: "))
    said = (tmp_path / "wrong.log").read_text().splitlines()[-1]
    assert said == f"1 else True ['report', '--config', '{tmp_path / 'wrong.yaml'}', '--json'] False"
    starter = workers._starter._process
    assert starter is not None

    def waits() -> list[int]:
        children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        return [int(child) for child in children]

    until(waits)
    workers._running["waits"].process.send_signal(signal.SIGKILL)
    assert ended(workers, "waits") == Ended(-9, "its process was killed (SIGKILL)")

    start(workers, tmp_path, "waits", "watch", waiting)
    until(waits)
    (child,) = waits()
    until(lambda: len(list(Path(f"/proc/{child}/task").iterdir())) > 1)  # it has bound itself to its parent
    starter.kill()
    assert ended(workers, "waits").interrupted
    assert gone(child)
    start(workers, tmp_path, "wrong", "report", "runs: []")  # from another starter
    assert ended(workers, "wrong").code == 2
    assert workers._starter.works


def test_where_there_is_no_starter_a_verb_begins_by_itself(
    workers: LocalWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers._starter = Starter({}, command=("false",))
    start(workers, tmp_path, "a", "report", "runs: []")
    assert ended(workers, "a").code == 2
    assert not workers._starter.works
    workers._starter = Starter({}, command=(str(tmp_path / "nowhere"),))
    start(workers, tmp_path, "b", "report", "runs: []")
    assert ended(workers, "b").code == 2
    monkeypatch.setattr("sys.platform", "darwin")
    assert not forked.Starter({}).works


def test_what_was_not_started_yet_is_not_waited_for(workers: LocalWorkers, tmp_path: Path) -> None:
    workers._starter = Starter({}, command=("sleep", "300"))
    start(workers, tmp_path, "a", "report", "runs: []")
    began = time.monotonic()
    assert workers.close()["a"].interrupted
    assert time.monotonic() - began < 3


def test_with_gpus_each_verb_begins_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert not LocalWorkers(None)._starter.works
