"""Progress where stderr is no terminal: a plain line now and then, and none when quiet."""

from __future__ import annotations

import pytest

from presat.tracking import progress
from presat.tracking.progress import Progress


def test_a_log_file_gets_plain_lines_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("train mine") as line:
        line.start(10, 40)
        for step in range(11, 41):
            now[0] += 12.0
            line.show(step, {"reward": 0.5} if step != 20 else {"reward": 0.5, "eval/held_out/avg@4": 0.25})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6  # 360 s, a line a minute
    assert lines[0] == "train mine: 15 of 40, about 5 min left  reward 0.50"
    assert lines[-1] == "train mine: 40 of 40, about 0 min left  reward 0.50  held_out 0.25"


def test_quiet_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    with Progress("train mine", quiet=True) as line:
        line.start(0, 2)
        line.show(1, {"reward": 0.5})
    assert capsys.readouterr().err == ""
