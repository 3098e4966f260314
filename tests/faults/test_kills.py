"""SIGKILL at random moments of every stage: the same command again ends in the same weights, numbers and files."""

from __future__ import annotations

import random
import signal
import time

import pytest
from tests.faults.record import record
from tests.faults.stages import STAGES
from tests.faults.trial import Place

TRIALS, SEED = 66, 11
QUICK = (0, 1, 2)
"""`train`, `eval` and `data filter`: the trials of continuous integration."""
NAMES = list(STAGES)


@pytest.mark.parametrize(
    "trial", [pytest.param(trial, marks=() if trial in QUICK else pytest.mark.faults) for trial in range(TRIALS)]
)
def test_a_kill_at_any_moment_costs_nothing_but_time(trial: int, place: Place, folder) -> None:
    stage = STAGES[NAMES[trial % len(NAMES)]]
    draw = random.Random(f"{SEED}/{trial}")
    _, seconds = place.baseline(stage)
    stage.make(folder, place.model)
    moments = [draw.uniform(0, seconds) for _ in range(draw.choice((1, 1, 2)))]
    for number, moment in enumerate(moments):
        running = place.start(stage, folder, again=number > 0)
        time.sleep(moment)
        running.kill(signal.SIGKILL)
        running.wait()
    wrong = place.ends_the_same(stage, folder)
    when = " and ".join(f"{moment / seconds:.0%}" for moment in moments)
    record(f"SIGKILL in `{stage.name}`", "the same weights, numbers and files", wrong, f"trial {trial}, at {when}")
    assert not wrong, "\n".join(wrong)
