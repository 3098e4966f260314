"""Fuzzing of extraction, gates, settings and every reader: what comes out is a result or a sentence, in bounded time.

A few examples each in continuous integration, always the same; ten minutes with seeds of the day in `make test-faults`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.faults.record import record
from tests.inputs.case import Kit
from tests.inputs.mutations import damaged, texts

from presat.config import load_config
from presat.config.schema import TaskConfig, TrainConfig
from presat.errors import PresatError
from presat.rewards.gates import GATES
from presat.tasks import load_task
from presat.tasks.traces import read_traces
from presat.tracking import open_run
from presat.types import Problem, Score
from presat.verify import Verifier, answer_box, boxes, extract_boxed
from presat.verify.choice import read_choice

SECONDS = float(os.environ.get("PRESAT_FUZZ_SECONDS", "600"))
"""How long all targets together are fuzzed by `make test-faults`."""
EXAMPLES, BATCH = 25, 500
ROOM = 3 * 2**30
"""Memory that an input may take beyond what the process has."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        name: what the table calls it.
        inputs: makes inputs.
        call: what is done with one, in a folder; it may raise a PresatError.
        limit_s: how long one may take; where it has a process that is killed after a second, with the start of another.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    call: Callable[[Any, Path, Kit], None]
    limit_s: float = 10.0


def _extraction(text: str, *_: Any) -> None:
    assert isinstance(extract_boxed(text), str | None)
    found = answer_box(text)
    assert found is None or text[found.start :].startswith("\\boxed")
    assert all(text[box.start : box.end].endswith("}") for box in boxes(text))


def _gates(text: str, *_: Any) -> None:
    assert {type(gate(text)) for gate in GATES.values()} == {bool}


def _choices(given_: tuple[str, list[str]], *_: Any) -> None:
    assert all(isinstance(part, str | None) for part in read_choice(*given_))


def _math(mode: str) -> Callable[..., None]:
    verifiers: list[Verifier] = []

    def call(pair: tuple[str, str], *_: Any) -> None:
        if not verifiers:
            verifiers.append(Verifier(mode, timeout_s=1.0))  # pyright: ignore[reportArgumentType]
        gold, text = pair
        problem = Problem("p", ({"role": "user", "content": "?"},), gold, "math", "math")
        score = verifiers[0].score(problem, text)
        assert isinstance(score, Score)
        assert score.value in (0.0, 1.0, None)
        assert isinstance(score.extracted, str | None)

    return call


def _log(name: str) -> Callable[[bytes, Path, Kit], None]:
    """Another trainer's log of that name, read and summarised as a report does."""

    def call(raw: bytes, folder: Path, _: Kit) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(raw)
        _read(path.parent if path.parent != folder else path)

    return call


def _read(path: Path) -> None:
    from presat.analysis import summarise

    run = open_run(path)
    assert all(isinstance(note, str) for note in run.notes)
    json.dumps(summarise(run).to_json(), default=str).encode()


def _ours(change: tuple[str, bytes], folder: Path, kit: Kit) -> None:
    name, raw = change
    run = shutil.copytree(kit.run, folder / "run", dirs_exist_ok=True)
    (run / name).write_bytes(raw)
    _read(run)


def _rows(ending: str) -> Callable[[bytes, Path, Kit], None]:
    def call(raw: bytes, folder: Path, _: Kit) -> None:
        (folder / f"rows.{ending}").write_bytes(raw)
        for problem in load_task(TaskConfig(source=str(folder / f"rows.{ending}"))):
            "".join([problem.id, problem.gold or "", *(turn["content"] for turn in problem.messages)]).encode()

    return call


def _traces(raw: bytes, folder: Path, _: Kit) -> None:
    (folder / "rows.jsonl").write_bytes(raw)
    for _, trace in read_traces(TaskConfig(source=str(folder / "rows.jsonl"))):
        "".join(turn["content"] for turn in trace.thinking()).encode()


def _yaml(raw: bytes, folder: Path, _: Kit) -> None:
    (folder / "c.yaml").write_bytes(raw)
    load_config(TrainConfig, str(folder / "c.yaml"))


RESPONSE = b'{"input": "1+1", "output": "2", "gts": "2", "score": 1.0, "step": 1, "acc": true}\n'
STATE = {"global_step": 2, "max_steps": 2, "log_history": [
    {"step": 1, "reward": 0.5, "kl": 0.1}, {"step": 2, "reward": 0.6}, {"step": 2, "eval_a_runtime": 1.0,
     "eval_a_reward": 0.4, "eval_a_rewards/f/mean": 0.2}]}  # fmt: skip
OURS = {
    "metrics.jsonl": b'{"step": 1, "reward": 0.2, "time": 1.0}\n{"step": 2, "reward": 0.4, "eval/a/avg@2": 0.5}\n',
    "status.json": b'{"status": "finished", "reason": "all steps done"}',
    "provenance.json": b'{"command": "train", "notes": ["slow"], "model": {"name": "m", "note": "4 bits"}}',
    "config.yaml": b"steps: 4\nseed: 3\neval: {sets: [{name: held_out}]}\nstop: {patience: 10, window: 5}\n",
    "evaluated.json": b'{"a": {"2": {"problems": 3, "model": "m"}}}',
}
LINES = [
    b'{"question": "1+1", "answer": "2"}\n{"question": "1+2", "answer": 3, "id": "b"}\n',
    b'{"data_source": "x", "prompt": [{"role": "user", "content": "1"}], "reward_model": {"ground_truth": "2"}}\n',
]
TRACES = [b'{"question": "1+1", "trace": "1 and 1", "solution": "\\\\boxed{2}", "answer": "2"}\n',
          b'{"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "<think>1</think>2"}]}\n',
          b'{"conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"}]}\n']  # fmt: skip
SETTINGS = [b"steps: 9\ndata: {source: lab/chains, count: 3, options: {operands: [3, 5]}}\nseed: 1\n",
            b"reward:\n  source: weighted_sum\n  parts: [{source: random, weight: 0.5}, {weight: 1}]\n",
            b"eval:\n  sets:\n  - &a {source: lab/chains, name: a}\n  - {source: x.jsonl}\nrun: runs/x\n"]  # fmt: skip
CONSOLE = [b"step:1 - critic/score/mean:0.4 - actor/lr:1e-6 - val-core/a/acc/mean@2:0.5\nstep:2 - actor/lr:0.5\n",
           b"\x1b[36m(TaskRunner pid=1)\x1b[0m step:0 - critic/score/mean:np.float64(0.41)\n"]  # fmt: skip
FILE_LOG = [b'{"step": 1, "data": {"critic/score/mean": 0.4}}\n{"step": 2, "data": {"val-core/a/acc/mean@2": 0.5}}\n']
CSV = [b"step,reward,held_out\n1,0.1,0.2\n2,0.2,\n", b'"step";"run - reward";"run - reward__MIN"\n1;0.1;0.1\n']
JSON_LINES = [b'{"step": 1, "reward": 0.1}\n{"step": 2, "reward": null, "a/b": 3}\n']
TARGETS = [
    Target("extraction", texts(), _extraction),
    Target("format gates", texts(), _gates),
    Target("multiple choice", st.tuples(texts(8), st.lists(texts(3), max_size=6)), _choices),
    Target("math answers, boxed", st.tuples(texts(4), texts(8)), _math("boxed"), 60),
    Target("math answers, any", st.tuples(texts(4), texts(8)), _math("any"), 60),
    Target("TRL's state", damaged([json.dumps(STATE).encode()]), _log("trainer_state.json")),
    Target("verl's console log", damaged(CONSOLE), _log("train.log")),
    Target("verl's file log", damaged(FILE_LOG), _log("log.jsonl")),
    Target("verl's dumps", damaged([RESPONSE, RESPONSE * 3]), _log("dump/1.jsonl")),
    Target("tables", damaged(CSV), _log("curve.csv")),
    Target("JSON lines", damaged(JSON_LINES), _log("curve.jsonl")),
    Target("our run directory", st.sampled_from(sorted(OURS)).flatmap(
        lambda name: st.tuples(st.just(name), damaged([OURS[name]]))), _ours),
    Target("problems, JSON lines", damaged(LINES), _rows("jsonl")),
    Target("problems, CSV", damaged([b"question,answer\n1+1,2\n1+2,3\n"]), _rows("csv")),
    Target("traces", damaged(TRACES), _traces),
    Target("settings", damaged(SETTINGS), _yaml),
]  # fmt: skip


@pytest.fixture
def limited():
    """No input may have all memory of the process that tests run in."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(target: Target, folder: Path, kit: Kit, number: int, examples: int) -> tuple[int, list[str]]:
    """Try a target on examples of a seed; return how many, and what went wrong with the least of those that did."""
    tried = 0
    last: Any = None

    @seed(number)
    @settings(max_examples=examples, deadline=datetime.timedelta(seconds=target.limit_s), database=None,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
              print_blob=False)  # fmt: skip
    @given(target.inputs)
    def once(example: Any) -> None:
        nonlocal tried, last
        tried, last = tried + 1, example
        with contextlib.suppress(PresatError):
            target.call(example, folder, kit)

    try:
        once()
    except Exception as error:  # noqa: BLE001  (whatever comes out that should not is what is looked for)
        return tried, [f"seed {number}: {type(error).__name__}: {str(error)[:200]} by {last!r:.400}"]
    return tried, []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_damaged_inputs_end_in_a_sentence(target: Target, tmp_path, kit, limited) -> None:
    _, wrong = fuzz(target, tmp_path, kit, 11, EXAMPLES)
    assert not wrong, wrong[0]


@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_minutes_of_damaged_inputs_end_in_a_sentence(target: Target, tmp_path, kit, limited) -> None:
    end, first = time.monotonic() + SECONDS / len(TARGETS), int(time.time())
    number, tried, wrong = first, 0, []
    while time.monotonic() < end and not wrong:
        more, wrong = fuzz(target, tmp_path, kit, number, BATCH)
        tried, number = tried + more, number + 1
    print(f"{target.name}: {tried} inputs, seeds {first} to {number - 1}")
    record(f"fuzzing: {target.name}", f"a result or a sentence, within {target.limit_s:g} s", wrong,
           f"{tried:,} inputs, seeds {first} to {number - 1}")  # fmt: skip
    assert not wrong, wrong[0]
