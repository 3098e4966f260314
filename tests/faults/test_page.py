"""The page of reliability counts trials, and hides neither a failure nor what could not be tried."""

from __future__ import annotations

from scripts.reliability import page


def trial(fault: str, *wrong: str, skipped: str = "", name: str = "trial 1") -> dict:
    return {"fault": fault, "promise": "the same end", "wrong": list(wrong), "trial": name, "skipped": skipped}


def test_it_counts_and_shows_what_failed() -> None:
    many = trial("fuzzing", name="1,234 inputs, seeds 1 to 9")
    written = page([trial("a kill"), trial("a kill", "other `weights`\x1b[2J"), trial("a disk", skipped="no"), many], 3)
    lines = [line for line in written.splitlines() if line.startswith("| ")]
    assert lines[1:] == [
        "| a disk | 0 | the same end | not possible here: no |",
        "| a kill | 2 | the same end | **1 failed** |",
        "| fuzzing | 1,234 inputs, seeds 1 to 9 | the same end | as promised |",
    ]
    assert "4 trials in 3 minutes; 1 failed." in written
    assert "- a kill, trial 1: `other 'weights' [2J`" in written
