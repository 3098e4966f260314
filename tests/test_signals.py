"""SIGTERM and a closed terminal end a verb as Ctrl-C does: it says so, the run says so, and its lock is free."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.forked import Done, Forked, Running
from tests.test_processes import gone
from tests.toy import toy

from presat import cli
from presat.config import dump_config
from presat.tracking import RunWriter, open_run
from presat.tracking.lock import is_locked

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
REASONS = {
    signal.SIGINT: "interrupted from the keyboard",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP",
}


@pytest.fixture(scope="module")
def forked() -> Forked:
    return Forked()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(running: Running, number: int, once: Callable[[], bool]) -> Done:
    """Send a signal as soon as something holds; wait for the end."""
    wait_for(lambda: once() or not running.process.is_alive())
    running.kill(number)
    return running.wait()


def holds_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_training_that_is_asked_to_end_records_it(forked, toy_model, tmp_path, number):
    config = toy(toy_model, tmp_path / "run").model_copy(update={"steps": 100_000})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    running = forked.start(["train", "--config", str(file), "--json"], tmp_path)
    log = config.run / "metrics.jsonl"
    done = end(running, number, lambda: log.is_file() and log.read_text().count("\n") > 1)
    assert done.code == ENDS[number]
    how = "" if number == signal.SIGINT else f": {REASONS[number]}"
    assert f"presat: Interrupted{how}. What was saved stays. Go on with --resume.\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["type"] == ("KeyboardInterrupt" if number == signal.SIGINT else "Terminated")
    ended = json.loads((config.run / "status.json").read_text())
    assert (ended["status"], ended["reason"]) == ("interrupted", REASONS[number])
    assert is_locked(config.run) is False
    assert open_run(config.run).train_rewards().size


def work(run: Path, cleans_up_for_ever: bool) -> None:
    """In a fork: a verb that writes a run, and perhaps takes long to let go of what it has."""

    def call(*_) -> dict:
        with RunWriter(run, {}, "train") as writer:
            try:
                writer.append(1, {"reward": 0.5})
                time.sleep(60)
            finally:
                if cleans_up_for_ever:
                    (run / "cleaning").touch()
                    time.sleep(60)
        return {}

    cli.VERBS["watch"] = cli.Verb("", "WatchConfig", call)
    cli.main(["watch"])


@pytest.mark.parametrize(
    ("number", "second"),
    [*((number, None) for number in ENDS), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGTERM)],
)
def test_whatever_ends_it_no_run_seems_to_run(tmp_path, capfd, number, second):
    run = tmp_path / "run"
    process = multiprocessing.get_context("fork").Process(target=work, args=(run, second is not None))
    process.start()
    assert process.pid is not None
    wait_for(lambda: holds_text(run / "metrics.jsonl"))
    os.kill(process.pid, number)
    if second:
        wait_for((run / "cleaning").exists)
        os.kill(process.pid, second)
    process.join(30)
    assert process.exitcode == ENDS[second or number]
    assert "Traceback" not in capfd.readouterr().err
    ended = json.loads((run / "status.json").read_text())
    assert (ended["status"], ended["reason"]) == ("interrupted", REASONS[second or number])
    assert is_locked(run) is False


def test_a_filter_that_is_asked_to_end_goes_on_when_started_again(forked, toy_model, tmp_path):
    words = ["data", "filter", "--data.source", "lab/chains", "--data.count", "4000", "--model.name", str(toy_model)]
    words += ["--samples", "4", "--max-new-tokens", "16", "--chunk", "1", "--run", "run", "--out", "kept.parquet"]
    rollouts = tmp_path / "run" / "rollouts"
    done = end(forked.start(words, tmp_path), signal.SIGTERM, lambda: any(rollouts.rglob("*.parquet")))
    assert done.code == 143
    assert "Interrupted: ended by SIGTERM. What was saved stays. Run the same command again" in done.stderr
    ended = open_run(tmp_path / "run")
    assert (ended.status, ended.status_reason) == ("interrupted", "ended by SIGTERM")
    assert is_locked(tmp_path / "run") is False


def test_watch_is_left_by_ctrl_c_and_ended_by_sigterm(forked, tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        writer.append(1, {"reward": 0.5})
        for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 143)):
            running = forked.start(["watch", "run", "--refresh-s", "0.1"], tmp_path)
            time.sleep(3.0)  # until it looks, on a machine with other work
            done = end(running, number, lambda: True)
            assert done.code == code
            assert "Traceback" not in done.stderr


def test_a_demo_that_is_asked_to_end_ends_its_stages_and_says_how_to_go_on(forked, tmp_path):
    base = tmp_path / "demo" / "base"
    running = forked.start(["demo", "--out", "demo", "--base.log-every", "1"], tmp_path)
    workers: list[int] = []

    def trains() -> bool:
        workers[:] = [pid for starter in children(running.pid) for pid in (starter, *children(starter))]
        return holds_text(base / "metrics.jsonl")

    done = end(running, signal.SIGTERM, trains)
    assert done.code == 143
    assert "Interrupted: ended by SIGTERM. What was saved stays. Run the same command again" in done.stderr
    assert "--resume" not in done.stderr
    assert "Traceback" not in done.stderr
    assert workers
    assert all(gone(pid) for pid in workers)
    ended = open_run(base)
    assert (ended.status, ended.status_reason) == ("interrupted", "ended by SIGTERM")
    assert is_locked(tmp_path / "demo") is False
