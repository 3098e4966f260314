"""Progress where stderr is no terminal: a plain line now and then, and none when quiet."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

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
    assert lines[0] == "train mine: 15 of 40, about 5 min 00 s left  reward 0.50"
    assert lines[-1] == "train mine: 40 of 40, about 0 s left  reward 0.50  held_out 0.25"


def test_the_time_left_is_the_median_steps_and_known_of_long_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the evaluation before the first step nor one in between counts, and steps may take minutes."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    screen = Console(file=StringIO(), force_terminal=True, width=200)
    monkeypatch.setattr(progress, "make_console", lambda stderr: screen)
    with Progress("train mine") as line:
        line.start(0, 10)
        now[0] += 1000.0
        line.show(0, {"eval/math/avg@4": 0.5})
        for step in range(1, 6):
            now[0] += 90.0 + 700.0 * (step == 3)
            line.show(step, {"reward": 0.5})
        assert line._bar.tasks[0].fields["left"] == "about 7 min 30 s left"
        line._bar.refresh()
    assert "about 7 min 30 s left" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_a_phase_is_named_once_in_a_log_file(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("train mine") as line:
        for name in ("loading", "first evaluation", "training", "evaluation", "training"):
            line.phase(name)
    assert capsys.readouterr().err.splitlines() == [
        "train mine: loading", "train mine: first evaluation", "train mine: training", "train mine: evaluation"
    ]  # fmt: skip
    assert line._bar.tasks[0].description == "train mine: training"


def test_quiet_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    with Progress("train mine", quiet=True) as line:
        line.phase("loading")
        line.start(0, 2)
        line.show(1, {"reward": 0.5})
    assert capsys.readouterr().err == ""
