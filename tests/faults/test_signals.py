"""Signals at random moments: said where there is somebody to say it, and gone on with as after a kill."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest
from tests.faults.record import record
from tests.faults.stages import STAGES
from tests.faults.trial import Place, orphans

SEED = 11
ENDS = {signal.SIGINT: (130,), signal.SIGTERM: (130, 143), signal.SIGHUP: (129, 130, -1)}
"""The exit codes with which a command may end. A hang-up has nobody left to be told."""
NAMES = ("train", "eval", "cpt", "data filter", "sft")


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(5))
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_ends_a_command_in_order(number: signal.Signals, trial: int, place: Place, folder) -> None:
    stage = STAGES[NAMES[trial]]
    _, seconds = place.baseline(stage)
    moment = random.Random(f"{number}/{SEED}/{trial}").uniform(0.2, 0.9) * seconds
    stage.make(folder, place.model)
    running = place.start(stage, folder)
    time.sleep(moment)
    running.kill(number)
    done = running.wait()
    wrong = []
    if done.code != 0:  # it was not over before
        wrong += [f"ended with {done.code}, not {ENDS[number]}"] if done.code not in ENDS[number] else []
        wrong += [f"says {done.stderr[-300:]!r}"] if "Traceback" in done.stderr or "Unexpected" in done.stderr else []
        if number != signal.SIGHUP:
            wrong += [f"does not say so: {done.stderr!r}"] if "presat: " not in done.stderr else []
            file = folder / "run" / "status.json"
            status = json.loads(file.read_text())["status"] if file.is_file() else "interrupted"
            wrong += [f"the run's status is {status}"] if status != "interrupted" else []
    wrong += place.ends_the_same(stage, folder)
    record(f"{number.name}", "it says so, and started again ends the same", wrong,
           f"{stage.name}, at {moment / seconds:.0%}")  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_command_goes_on_where_it_was(name: str, place: Place, folder) -> None:
    stage = STAGES[name]
    expected, seconds = place.baseline(stage)
    moment = random.Random(f"stop/{SEED}/{name}").uniform(0.2, 0.9) * seconds
    stage.make(folder, place.model)
    running = place.start(stage, folder)
    time.sleep(moment)
    running.kill(signal.SIGSTOP)
    time.sleep(3)
    running.kill(signal.SIGCONT)
    done = running.wait()
    wrong = [] if done.code == 0 else [f"ended with {done.code}: {done.stderr[-300:]!r}"]
    wrong += [] if done.code or stage.outcome(folder) == expected else ["it ended otherwise"]
    wrong += orphans(folder)
    record("SIGSTOP and SIGCONT", "it goes on to the same end", wrong, f"{name}, at {moment / seconds:.0%}")
    assert not wrong, "\n".join(wrong)
