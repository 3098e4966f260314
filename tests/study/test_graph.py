"""The graph runs stages in order, side by side, keeps what is finished and names what failed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from presat.errors import DataError, RunError
from presat.study import Progress, Stage, run_graph


def add(inputs: dict[str, int], amount: int, touch: str) -> int:
    with Path(touch).open("a") as stream:
        stream.write("x")
    print("adding", amount)
    return sum(inputs.values()) + amount


def meet(_: dict[str, int], mine: str, other: str) -> bool:
    """True when both stages were alive at the same time."""
    Path(mine).touch()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if Path(other).exists():
            return True
        time.sleep(0.01)
    return False


def fail(_: dict[str, int]) -> None:
    raise DataError("row 3 has no answer.")


def die(_: dict[str, int]) -> None:
    os._exit(9)


def chain(folder: Path, last: int) -> list[Stage]:
    def stage(name: str, amount: int, after: tuple[str, ...] = ()) -> Stage:
        return Stage(name, add, {"amount": amount, "touch": str(folder / f"{name}.count")}, after)

    return [stage("a", 1), stage("b", 2, ("a",)), stage("c", 3, ("a",)), stage("d", last, ("b", "c"))]


def runs(folder: Path) -> dict[str, int]:
    return {path.stem: len(path.read_text()) for path in sorted(folder.glob("*.count"))}


def test_results_flow_and_only_what_changed_runs_again(tmp_path: Path) -> None:
    seen: list[Progress] = []
    assert run_graph(chain(tmp_path, 4), tmp_path, on_tick=seen.append) == {"a": 1, "b": 3, "c": 4, "d": 11}
    assert seen[-1].states == dict.fromkeys("abcd", "done")
    assert "adding 2" in (tmp_path / "logs" / "b.log").read_text()
    assert run_graph(chain(tmp_path, 5), tmp_path)["d"] == 12
    assert runs(tmp_path) == {"a": 1, "b": 1, "c": 1, "d": 2}


def test_independent_stages_run_side_by_side(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    stages = [Stage("x", meet, {"mine": one, "other": two}), Stage("y", meet, {"mine": two, "other": one})]
    assert run_graph(stages, tmp_path, workers=2) == {"x": True, "y": True}


def test_a_failing_stage_is_named_and_finished_ones_are_kept(tmp_path: Path) -> None:
    first = chain(tmp_path, 4)[:1]
    with pytest.raises(DataError, match=r"Stage 'bad' failed: row 3 has no answer.*bad\.log"):
        run_graph([*first, Stage("bad", fail, after=("a",))], tmp_path)
    assert run_graph(first, tmp_path) == {"a": 1}
    assert runs(tmp_path) == {"a": 1}


def test_a_dead_process_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="process of stage 'bad' died"):
        run_graph([Stage("bad", die)], tmp_path)


def test_wrong_graphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="depends on: missing"):
        run_graph([Stage("a", fail, after=("missing",))], tmp_path)
    with pytest.raises(ValueError, match="two stages are named 'a'"):
        run_graph([Stage("a", fail), Stage("a", fail)], tmp_path)
