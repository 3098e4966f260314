"""Processes that presat starts are killed or stopped under it: no score is wrong for it, and none is lost unsaid."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from tests.faults.record import record
from tests.faults.stages import JUDGED_STAGE as STAGE
from tests.faults.trial import LIMIT_S, Place, descendants, one_message, orphans
from tests.forked import Running

SEED, HITS = 11, 4


@pytest.fixture(scope="module")
def verdicts(place: Place, tmp_path_factory) -> pl.DataFrame:
    """What an evaluation says of every response when its verifiers are left alone."""
    folder = tmp_path_factory.mktemp("alone")
    STAGE.make(folder, place.model)
    assert place.start(STAGE, folder).wait(LIMIT_S).code == 0
    found = judged(folder)
    assert set(found["score"]) == {0.0, 1.0}
    return found


def judged(folder: Path) -> pl.DataFrame:
    files = sorted((folder / "run" / "rollouts" / "eval").rglob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).sort("problem_id", "sample")


def hit_workers(running: Running, folder: Path, number: int, draw: random.Random) -> int:
    """Send a signal to some of the processes that a command starts; return to how many."""
    hit, deadline = 0, time.monotonic() + LIMIT_S
    while running.process.is_alive() and hit < HITS and time.monotonic() < deadline:
        if workers := list(descendants(folder)):
            time.sleep(draw.uniform(0, 0.5))
            with suppress(ProcessLookupError):
                os.kill(draw.choice(workers), number)
                hit += 1
        time.sleep(0.05)
    return hit


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(8))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_verifiers_that_die_make_no_score_wrong(
    number: signal.Signals, trial: int, place: Place, folder, verdicts
) -> None:
    STAGE.make(folder, place.model)
    running = place.start(STAGE, folder)
    hit = hit_workers(running, folder, number, random.Random(f"{number}/{SEED}/{trial}"))
    done = running.wait(LIMIT_S)
    wrong = [f"a process outlived it: {left}" for left in orphans(folder)]
    if done.code == 1:  # a verifier was hit whenever it was to start
        wrong += one_message(done)
    elif done.code != 0:
        wrong.append(f"ended with {done.code}: {done.stderr[-300:]!r}")
    else:
        found = judged(folder)
        both = zip(verdicts["text"], found["text"], verdicts["score"], found["score"], strict=True)
        wrong += [f"{score} instead of {true}" for said, says, true, score in both
                  if said != says or score not in (true, None)]  # fmt: skip
        lost = found["score"].null_count()
        wrong += [f"{lost} lost, and not said"] if lost and not found["reason"].drop_nulls().len() >= lost else []
    record(f"verifier processes, {number.name}", "no wrong score: the same, or missing and said", wrong,
           f"trial {trial}: {hit} hit")  # fmt: skip
    assert not wrong, "\n".join(wrong)
