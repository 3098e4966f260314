"""Processes that presat starts are killed or stopped under it: no score changes, and the run goes to its end."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest
from tests.faults.record import record
from tests.faults.stages import STAGES
from tests.faults.trial import LIMIT_S, Place, descendants, differences, orphans

SEED, STAGE = 11, "train, with verifier processes"


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(6))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_verifiers_that_die_change_no_score(number: signal.Signals, trial: int, place: Place, folder) -> None:
    stage = STAGES[STAGE]
    expected, _ = place.baseline(STAGE)
    draw = random.Random(f"{number}/{SEED}/{trial}")
    stage.make(folder, place.model)
    running = place.start(stage, folder)
    hit = 0
    deadline = time.monotonic() + LIMIT_S
    while running.process.is_alive() and time.monotonic() < deadline:
        workers = [pid for pid in descendants(folder) if pid != running.pid]
        if workers and hit < 4:
            time.sleep(draw.uniform(0, 0.5))
            with suppress(ProcessLookupError):
                os.kill(draw.choice(workers), number)
                hit += 1
        time.sleep(0.05)
    done = running.wait()
    wrong = [] if done.code == 0 else [f"ended with {done.code}: {done.stderr[-300:]!r}"]
    wrong += differences(expected, stage.outcome(folder)) if done.code == 0 else []
    wrong += [f"a process outlived it: {left}" for left in orphans(folder)]
    record(f"verifier processes, {number.name}", "the same scores and weights", wrong, f"trial {trial}: {hit} hit")
    assert not wrong, "\n".join(wrong)
