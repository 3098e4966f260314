"""Worker processes hang, crash and are killed here for real."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from tests.verify.conftest import MakeProblem

from presat.errors import VerifierError
from presat.types import Score
from presat.verify import Verifier
from presat.verify import pool as pool_module
from presat.verify import worker as worker_module
from presat.verify.pool import WorkerPool, _Batch

LOCK = {
    "source_dataset": "quantum_lock",
    "solution_path": ["A"],
    "target_value": 1,
    "buttons": [{"name": "A", "type": "add", "value": 1, "active_state": "any"}],
    "initial_state": "red",
    "initial_value": 0,
}
HANGS = r"9^{9^{9^9}}"
"""Python would compute this number for longer than anyone waits."""


def item(gold: str, answer: str) -> tuple[str, tuple[Any, ...]]:
    return "math", (gold, answer, "boxed")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_hanging_answer_is_missing_its_worker_killed_and_the_rest_judged(problem: MakeProblem) -> None:
    with Verifier(timeout_s=0.5) as verifier:
        assert verifier.score(problem("5"), r"\boxed{5}").value == 1.0
        assert verifier._pool is not None
        pid = verifier._pool._workers[0].process.pid
        texts = [r"\boxed{5}", rf"\boxed{{{HANGS}}}", r"\boxed{6}", r"\boxed{5.0}"]
        scores = verifier.score_many([(problem("5"), text) for text in texts])
        assert scores[1] == Score(None, HANGS, "timeout")
        assert [score.value for score in scores] == [1.0, None, 0.0, 1.0]
        assert not alive(pid)
        assert verifier.counts["timeouts"] == 1
        assert verifier.counts["missing/timeout"] == 1


def test_the_clock_starts_when_the_worker_begins_not_while_it_imports() -> None:
    pool = WorkerPool(timeout_s=0.25)  # importing Math-Verify alone takes longer
    assert pool.run([item("5", "5")]) == [(1.0, "5", None)]
    assert pool.timeouts == 0
    pool.close()


def test_workers_share_the_items_and_verdicts_stay_in_order() -> None:
    pool = WorkerPool(2, timeout_s=5)
    answers = [str(number % 3) for number in range(30)]
    verdicts = pool.run([item("1", answer) for answer in answers])
    assert [value for value, _, _ in verdicts] == [float(answer == "1") for answer in answers]
    assert len(pool._workers) == 2
    pool.close()
    assert pool._workers == []


def begin(pool: WorkerPool, items: list[Any]) -> _Batch:
    """Hand out the first item and wait until a worker is at it."""
    batch = _Batch(items, deque(range(len(items))))
    pool._hand_out(batch)
    while not pool._workers[0].begun:
        pool._collect(batch)
    return batch


def finish(pool: WorkerPool, batch: _Batch) -> list[Any]:
    while len(batch.verdicts) < len(batch.items):
        pool._hand_out(batch)
        pool._collect(batch)
    return [batch.verdicts[index] for index in range(len(batch.items))]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_killed_or_stopped_at_work_costs_nothing(sign: signal.Signals) -> None:
    pool = WorkerPool(timeout_s=1)
    items = [item("1", HANGS), item("1", "2")]
    batch = begin(pool, items)
    pid = pool._workers[0].process.pid
    os.kill(pid, sign)
    items[0] = item("1", "1")  # an answer that takes no time, but for what happened to its worker
    assert finish(pool, batch) == [(1.0, "1", None), (0.0, "2", None)]
    assert not alive(pid)
    assert (pool.crashes, pool.timeouts) == (0, 0)
    pool.close()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes of all workers that are started from here on."""
    pids: list[int] = []
    start = pool_module._start

    def counted() -> Any:
        worker = start()
        pids.append(worker.process.pid)
        return worker

    monkeypatch.setattr(pool_module, "_start", counted)
    return pids


def test_an_answer_that_hangs_has_one_second_try_and_later_none(starts: list[int]) -> None:
    pool = WorkerPool(timeout_s=0.5)
    late = (None, None, "timeout")
    assert pool.run([item("1", HANGS), item("2", HANGS), item("3", "3")]) == [late, late, (1.0, "3", None)]
    assert len(starts) == 4  # two tries for the first gold, one for the second, and the last item
    assert pool.run([item("1", HANGS)]) == [late]  # tried again, once
    assert len(starts) == 4
    assert pool.run([item("3", "3")]) == [(1.0, "3", None)]
    assert len(starts) == 5
    assert pool.timeouts == 3
    pool.close()


@pytest.mark.parametrize("kind", ["math", "reasoning_gym"])
def test_a_worker_that_was_stopped_while_idle_is_noticed_soon(kind: str, starts: list[int]) -> None:
    pool = WorkerPool(2)
    pool.run([item("1", "1")] * 2)
    for pid in starts:
        os.kill(pid, signal.SIGSTOP)
    asked = {"math": item("1", "1"), "reasoning_gym": ("reasoning_gym", ("A", "A", LOCK, "boxed"))}[kind]
    begun = time.monotonic()
    assert [value for value, _, _ in pool.run([asked])] == [1.0]
    assert time.monotonic() - begun < 60  # of which a few seconds are the limit, the rest the start of a fresh worker
    assert (pool.crashes, pool.timeouts) == (0, 0)
    assert not alive(starts[0])
    pool.close()


def test_a_long_item_for_a_stopped_worker_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "START_LIMIT_S", 9.0)
    pool = WorkerPool()
    assert pool.run([item("1", "1")]) == [(1.0, "1", None)]
    os.kill(pool._workers[0].process.pid, signal.SIGSTOP)
    monkeypatch.setattr(pool_module, "START_LIMIT_S", 60.0)
    long = "the answer is 1 " + "." * 2_000_000  # more than a socket holds
    assert pool.run([("extract", (long,)), item("1", "1")])[1] == (1.0, "1", None)
    pool.close()


def test_a_worker_that_died_idle_costs_nothing() -> None:
    pool = WorkerPool()
    pool.run([item("1", "1")])
    pool._workers[0].process.kill()
    pool._workers[0].process.wait()
    assert pool.run([item("1", "1"), item("1", "2")]) == [(1.0, "1", None), (0.0, "2", None)]
    assert pool.crashes == 0
    pool.close()


def test_a_death_noticed_only_after_the_deadline_is_a_crash() -> None:
    pool = WorkerPool(timeout_s=0.3)
    items = [item("1", HANGS)]
    batch = begin(pool, items)
    batch.retried.add(pool_module._answer(items[0]))
    pool._workers[0].process.kill()
    time.sleep(0.4)
    pool._collect(batch)
    assert batch.verdicts == {0: (None, None, "worker crash")}
    assert (pool.crashes, pool.timeouts) == (1, 0)


def test_what_the_verifier_raises_is_a_missing_score_with_its_name() -> None:
    pool = WorkerPool()
    bare = {"source_dataset": "futoshiki"}  # its scorer looks for the solution in the metadata
    verdicts = pool.run([("reasoning_gym", ("x", "x", bare, "boxed")), item("1", "1")])
    assert verdicts == [(None, None, "KeyError in the verifier"), (1.0, "1", None)]
    assert pool.crashes == 1
    assert len(pool._workers) == 1
    pool.close()


def test_a_task_nobody_knows_stops_everything() -> None:
    pool = WorkerPool()
    with pytest.raises(VerifierError, match=r"no task 'quantum_lok'.*Did you mean 'quantum_lock'"):
        pool.run([("reasoning_gym", ("x", "x", {"source_dataset": "quantum_lok"}, "boxed"))])
    assert pool._workers == []
    assert pool.run([item("1", "1")]) == [(1.0, "1", None)]
    pool.close()


def test_a_broken_library_is_an_error_not_a_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "math_verify.py").write_text("raise ImportError('not for this machine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(VerifierError, match=r"cannot be verified.*not for this machine"):
        WorkerPool().run([item("1", "1")])


def test_files_in_the_working_directory_do_not_stand_in_for_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("math_verify", "random"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('mine')")
    monkeypatch.chdir(tmp_path)
    pool = WorkerPool()
    assert pool.run([item("1", "1")]) == [(1.0, "1", None)]
    pool.close()


def test_a_worker_that_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(VerifierError, match="could not start"):
        WorkerPool().run([item("1", "1")])


def test_memory_is_limited() -> None:
    hog = "from presat.verify import worker; worker._limit(memory=True); bytearray(worker.MEMORY_BYTES)"
    done = subprocess.run([sys.executable, "-c", hog], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_an_answer_that_needs_too_much_memory_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own loop over a socket, in this process, with a handler that asks for more than there is."""

    def hungry(*_: Any) -> worker_module.Verdict:
        bytearray(2**60)
        raise AssertionError

    def careless(*_: Any) -> worker_module.Verdict:
        raise KeyError("x")

    monkeypatch.setitem(worker_module.HANDLERS, "math", hungry)
    monkeypatch.setitem(worker_module.HANDLERS, "extract", careless)
    ours, theirs = multiprocessing.Pipe()
    for kind in ("math", "extract"):
        ours.send((kind, ("1", "1", "boxed"), None))
    service = threading.Thread(target=worker_module.serve, args=(theirs,))
    service.start()
    replies = [ours.recv_bytes() for _ in range(6)]
    ours.close()
    service.join(10)
    assert not service.is_alive()
    assert replies[2::3] == [b'["crashed", "memory limit"]', b'["crashed", "KeyError in the verifier"]']


STALLS = """
import os, time
import math_verify

judge, calls = math_verify.verify, []

def verify(*arguments, **options):
    calls.append(1)
    if len(calls) > 1 and os.path.exists("{left}"):  # the first call is the worker's own test of the library
        with open("{left}", "r+") as file:
            left = int(file.read())
            file.seek(0)
            file.write(str(left - 1))
        if left == 1:
            os.remove("{left}")
        {harm}
    return judge(*arguments, **options)

math_verify.verify = verify
"""
"""A sitecustomize.py that makes the workers stall, die or run out of memory over answers, as often as a file says."""


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("time.sleep(60)", "timeout"),
        ("os._exit(9)", "worker crash"),
        ("raise MemoryError", "memory limit"),
    ],
)
def test_what_a_worker_failed_is_tried_again_and_never_remembered(
    harm: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: MakeProblem
) -> None:
    left = tmp_path / "left"
    (tmp_path / "sitecustomize.py").write_text(STALLS.format(left=left, harm=harm))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    five = problem("5")
    with Verifier(timeout_s=2) as verifier:
        left.write_text("1")
        assert verifier.score(five, r"\boxed{5}").value == 1.0  # one stall, and nobody notices
        left.write_text("2")
        assert verifier.score(five, r"\boxed{5.0}") == Score(None, "5.0", reason)
        assert verifier.score(five, r"\boxed{5.0}").value == 1.0
        left.write_text("1")
        assert verifier.score(five, r"\boxed{5.0}").value == 1.0  # a verdict, so it is kept
        assert left.exists()
        assert verifier.equivalent([("6", "6.0")]) == [True]
        left.write_text("2")
        assert verifier.equivalent([("7", "7.0")]) == [None]
        assert verifier.equivalent([("7", "7.0")]) == [True]


def test_scores_from_threads(problem: MakeProblem) -> None:
    scores: dict[int, list[Score]] = {}
    with Verifier(timeout_s=2) as verifier:
        texts = [r"\boxed{1}", r"\boxed{2}", rf"\boxed{{{HANGS}}}", "none"]

        def judge(number: int) -> None:
            scores[number] = verifier.score_many([(problem("1"), text) for text in texts])

        threads = [threading.Thread(target=judge, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert verifier.counts["timeouts"] >= 2  # no verdict, so calls ask again; memory may end first what hangs
    assert len(scores) == 4
    assert all([score.value for score in row] == [1.0, 0.0, None, 0.0] for row in scores.values())


def _in_fork(verifier: Verifier, problem: Any, results: Any) -> None:
    results.put(verifier.score(problem, r"\boxed{3}").value)
    verifier.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_fork_has_workers_of_its_own(problem: MakeProblem) -> None:
    context = multiprocessing.get_context("fork")
    with Verifier() as verifier:
        verifier.score(problem("3"), r"\boxed{1}")
        assert verifier._pool is not None
        pid = verifier._pool._workers[0].process.pid
        results = context.Queue()
        child = context.Process(target=_in_fork, args=(verifier, problem("3"), results))
        child.start()
        assert results.get(timeout=60) == 1.0
        child.join(60)
        assert alive(pid)
        assert verifier.score(problem("3"), r"\boxed{2}").value == 0.0
        assert verifier._pool._workers[0].process.pid == pid


def test_workers_end_with_the_process_that_started_them() -> None:
    code = (
        "import os, signal\nfrom presat.verify.pool import WorkerPool\npool = WorkerPool()\n"
        "pool.run([('math', ('1', '1', 'boxed'))])\nprint(pool._workers[0].process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
