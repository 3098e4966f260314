"""Two commands that write to one place: one does, the other says why it does not."""

from __future__ import annotations

import signal
import time

import pytest
from tests.faults.record import record
from tests.faults.stages import STAGES, leftovers
from tests.faults.trial import Place, differences, one_message, orphans

PROMISE = "one writes, the other says that it is busy"


@pytest.mark.faults
@pytest.mark.parametrize("name", ["train", "eval", "cpt", "sft", "data filter", "data corrupt"])
def test_of_two_writers_one_is_refused(name: str, place: Place, folder) -> None:
    stage = STAGES[name]
    expected, _ = place.baseline(stage)
    stage.make(folder, place.model)
    both = [place.start(stage, folder), place.start(stage, folder)]
    ended = [running.wait() for running in both]
    wrong = []
    if sorted(done.code or 0 for done in ended) == [0, 1]:
        (refused,) = (done for done in ended if done.code)
        wrong += one_message(refused)
        wrong += [] if "being written by" in refused.stderr or "holds a run" in refused.stderr else [refused.stderr]
    elif any(done.code for done in ended):  # both may well have gone one after the other
        wrong += [f"they ended with {[done.code for done in ended]}: {[done.stderr[-200:] for done in ended]}"]
    found = stage.outcome(folder)
    wrong += differences(expected, found) if name != "eval" or wrong else []  # eval adds to what is there
    wrong += [f"left half-written: {left}" for left in leftovers(folder)]
    record("two writers of one run", PROMISE, wrong, name)
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
def test_two_reports_of_one_page_leave_a_whole_one(place: Place, folder) -> None:
    stage = STAGES["report"]
    expected, _ = place.baseline(stage)
    stage.make(folder, place.model)
    ended = [running.wait() for running in [place.start(stage, folder) for _ in range(4)]]
    wrong = [done.stderr for done in ended if done.code]
    wrong += differences(expected, stage.outcome(folder))
    wrong += [f"left half-written: {left}" for left in leftovers(folder)]
    record("four reports to one page", "a whole page", wrong, "report")
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
def test_a_second_demo_is_refused_and_a_killed_one_leaves_no_process(place: Place, folder) -> None:
    from tests.faults.trial import MARK

    environment = {MARK: str(folder)}
    words = ["demo", "--out", "demo"]
    first = place.forked.start(words, folder, environment)
    deadline = time.monotonic() + 60
    while not list((folder / "demo").glob("logs/pretrain-*.log")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    second = place.forked.run(words, folder, 60, environment)
    wrong = [] if second.code == 1 else [f"the second ended with {second.code}"]
    wrong += one_message(second) if second.code is not None else []
    first.kill(signal.SIGKILL)
    first.wait()
    wrong += [f"a process outlived it: {left}" for left in orphans(folder)]
    record("two demos in one folder, the first killed", "the second is refused, no process stays", wrong, "demo")
    assert not wrong, "\n".join(wrong)
