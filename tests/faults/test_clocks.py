"""Clocks that are wrong: 1970, the far future, running backwards, and another time zone when a run goes on."""

from __future__ import annotations

import random
import signal
import time
from functools import partial

import pytest
from tests.faults.before import clock
from tests.faults.record import record
from tests.faults.stages import STAGES
from tests.faults.trial import Place

SEED = 11


CLOCKS = {
    "1970": (partial(clock, 0.0, 0.0), {}),
    "1969": (partial(clock, -1e6, 1e-3), {}),
    "2200": (partial(clock, 7.3e9, 1e-3), {}),
    "running backwards": (partial(clock, 1.7e9, -60.0), {}),
    "another time zone": (None, {"TZ": "Pacific/Kiritimati"}),
    "no such time zone": (None, {"TZ": "Nowhere/At_All"}),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", ["train", "data filter", "cpt"])
@pytest.mark.parametrize("kind", CLOCKS)
def test_a_wrong_clock_changes_nothing(kind: str, name: str, place: Place, folder) -> None:
    stage = STAGES[name]
    _, seconds = place.baseline(stage)
    moment = random.Random(f"{kind}/{SEED}/{name}").uniform(0.2, 0.9) * seconds
    before, environment = CLOCKS[kind]
    stage.make(folder, place.model)
    running = place.start(stage, folder)
    time.sleep(moment)
    running.kill(signal.SIGKILL)
    running.wait()
    wrong = place.ends_the_same(stage, folder, before=before, environment=environment)
    if (folder / "run").is_dir():
        read = place.forked.run(["report", "run", "--out", "page.html"], folder)
        wrong += [f"its report ended with {read.code}: {read.stderr[-300:]!r}"] if read.code else []
    record(f"clock: {kind}, after a kill", "the same end", wrong, f"{name}, at {moment / seconds:.0%}")
    assert not wrong, "\n".join(wrong)
