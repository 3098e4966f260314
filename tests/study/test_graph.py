"""The graph runs stages in order, side by side, keeps what is finished and names what failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from tests.test_processes import gone
from tests.verify.test_pool import HANGS

import presat
from presat.errors import DataError, RunError, UnfinishedError
from presat.study import Progress, Stage, run_graph
from presat.study.graph import _keys, _read_stamps, _result_of, _run_stage, _write_stamp
from presat.tracking.lock import RunLock, is_locked
from presat.types import Problem
from presat.verify import Verifier


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


def wait_for_a_verdict(_: dict[str, int], started: str) -> None:
    """Note this process and the verifier's, which is busy with an answer that takes for ever."""
    with Verifier(timeout_s=100) as verifier:
        problem = Problem("p", ({"role": "user", "content": "?"},), "5", "math", "math")
        verifier.score(problem, r"\boxed{5}")
        assert verifier._pool is not None
        Path(started).write_text(f"{os.getpid()} {verifier._pool._workers[0].process.pid}")
        verifier.score(problem, rf"\boxed{{{HANGS}}}")


DRIVER = """
import sys
from pathlib import Path
from presat.study import Stage, run_graph
from tests.study.test_graph import wait_for_a_verdict
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    stages = [Stage(name, wait_for_a_verdict, {"started": str(folder / f"{name}.pids")}) for name in "xy"]
    run_graph(stages, folder)
"""


def test_no_process_of_a_graph_outlives_it(tmp_path: Path) -> None:
    roots = (Path(__file__).parents[2], Path(presat.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], env=environment)
    files, pids = [tmp_path / "x.pids", tmp_path / "y.pids"], []
    deadline = time.monotonic() + 60
    while len(pids) < 4 and time.monotonic() < deadline:
        pids = [int(pid) for file in files if file.exists() for pid in file.read_text().split()]
        time.sleep(0.05)
    assert len(pids) == 4
    driver.kill()
    driver.wait()
    assert all(gone(pid) for pid in pids)


def test_one_graph_at_a_time_runs_in_a_folder(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with pytest.raises(RunError, match=f"being written by process {os.getpid()}"):
        run_graph([], tmp_path)
    lock.release()
    assert run_graph([], tmp_path) == {}
    assert not is_locked(tmp_path)


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '"x"', "null", "{}", '{"key": [1]}', "no result", "another result", b"\xff\xfe", None],
    ids=str,
)
def test_a_damaged_stamp_counts_as_not_there(tmp_path: Path, damage: str | bytes | None) -> None:
    stages = chain(tmp_path, 4)[:1]
    keys = _keys({stage.name: stage for stage in stages})
    stamp = tmp_path / "stages" / "a.json"
    stamp.parent.mkdir()
    _write_stamp(stamp, keys["a"], 7)
    assert _read_stamps(tmp_path, keys) == {"a": 7}
    whole = json.loads(stamp.read_text())
    if damage is None:
        stamp.unlink()
        stamp.mkdir()
        with pytest.raises(RunError, match=r"a\.json is a folder where the record of a stage belongs"):
            _read_stamps(tmp_path, keys)
        return
    if damage == "no result":
        damage = json.dumps({name: value for name, value in whole.items() if name != "result"})
    elif damage == "another result":
        damage = json.dumps({**whole, "result": []})
    stamp.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert _read_stamps(tmp_path, keys) == {}


def test_a_folder_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot make the folder"):
        run_graph([Stage("a", fail)], tmp_path / "file")
    (tmp_path / "logs").write_text("")
    with pytest.raises(RunError, match="Cannot make the folder"):
        run_graph([Stage("a", fail)], tmp_path)


def slip(_: dict[str, int]) -> None:
    raise KeyError("model")


def fill(_: dict[str, int]) -> None:
    raise OSError(28, "No space left on device")


def ended(_: dict[str, int]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (slip, RunError, r"unexpected KeyError: 'model' \(a bug in presat\)\."),
        (fill, UnfinishedError, r"the system refused: \[Errno 28\] No space left on device\."),
        (ended, UnfinishedError, r"its process was ended by SIGTERM\."),
    ],
)
def test_why_a_stage_failed_is_one_sentence_and_where_is_in_its_log(tmp_path, capfd, call, kind, said) -> None:
    log, future = tmp_path / "logs" / "bad.log", Future()
    log.parent.mkdir()
    with pytest.raises(RunError) as caught:
        _run_stage(Stage("bad", call), {}, str(log))
    future.set_exception(caught.value)
    with pytest.raises(kind, match=rf"^Stage 'bad' failed: {said} Its log is .*bad\.log\.$"):
        _result_of(future, "bad", tmp_path)
    assert call is ended or f"in {call.__name__}" in capfd.readouterr().err + log.read_text()
