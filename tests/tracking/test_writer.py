import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from presat.config.schema import RewardConfig, SftConfig, TrainConfig, VerifyConfig
from presat.errors import RunError
from presat.jsons import mend_last_line, read_lines
from presat.tracking import RunWriter, hash_path, hash_problems, model_identity, open_run
from presat.tracking.lock import is_locked
from presat.types import Problem

CONFIG = {"seed": 3, "steps": 20, "data": {"source": "lab/chains", "seed": 5}, "verify": {"extraction": "boxed"}}


def write(path, steps, **options):
    with RunWriter(path, CONFIG, "train", **options) as run:
        for step in steps:
            run.append(step, {"reward": step / 10})


@pytest.mark.parametrize("name", ["model.safetensors", "notes.txt", "report.html.old"])
def test_a_folder_with_anything_else_is_no_run_directory(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="and no run, and a run would be mixed in"):
        RunWriter(tmp_path, CONFIG, "eval", resume=True)
    assert sorted(item.name for item in tmp_path.iterdir()) == [name]


MISSING = "1 of 2 steps have no logged reward; they count as missing, not as zero."


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "runs" / "first"
    with RunWriter(path, CONFIG, "train") as writer:
        writer.append(0, {"eval/held/out/avg@16": 0.25, "eval/held/out/greedy": None})
        writer.append(1, {"reward": 0.5, "loss": float("nan"), "steps": 3})
        writer.append(2, {"reward": float("inf")})
        assert open_run(path).status == "running"
    run = open_run(path)
    assert (run.name, run.kind, run.status, run.notes) == ("first", "presat", "finished", [MISSING])
    assert run.config == CONFIG
    assert run.train_rewards()[0] == 0.5
    assert run.eval_sets() == ["held/out"]
    steps, values = run.eval_series("held/out", "avg@16")
    assert (steps.tolist(), values.tolist()) == ([0], [0.25])
    assert all(value != value for value in (run.train_rewards()[1], run.series("loss")[1][0]))
    assert "null" in (path / "metrics.jsonl").read_text()
    assert run.curves().score("held/out/greedy")[0].size == 0
    for ask, word in (
        (lambda: run.series("rewrd"), "Did you mean 'reward'"),
        (lambda: run.eval_series("held/ut", "greedy"), "Did you mean 'held/out'"),
        (lambda: run.eval_series("held/out", "gready"), "Did you mean 'greedy'"),
    ):
        with pytest.raises(RunError, match=word):
            ask()


def test_provenance_says_where_a_run_came_from(tmp_path):
    with RunWriter(tmp_path / "run", CONFIG, "train") as writer:
        writer.note_provenance(problems={"train": {"hash": "abc"}})
    found = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert found["command"] == "train"
    assert found["command_line"] == sys.argv
    assert found["seeds"] == {"seed": 3, "data.seed": 5}
    assert found["extraction"] == "boxed"
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"presat", "numpy", "trl", "torch"} <= found["versions"].keys()
    assert found["machine"]["cpus"] == os.cpu_count()
    assert found["git"] is None or len(found["git"]["commit"]) == 40
    assert found["problems"] == {"train": {"hash": "abc"}}


def test_saved_configuration_starts_the_run_again(tmp_path):
    with RunWriter(tmp_path / "run", {**CONFIG, "resume": True}, "train"):
        pass
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == {**CONFIG, "resume": False}


def test_a_pydantic_configuration_is_saved_resolved(tmp_path):
    from presat.config.schema import TrainConfig

    config = TrainConfig(run=tmp_path / "run", steps=7)
    with RunWriter(config.run, config, "train"):
        pass
    saved = yaml.safe_load((config.run / "config.yaml").read_text())
    assert TrainConfig.model_validate(saved) == config


HOLD = """
    import sys, time
    from presat.tracking import RunWriter
    run = RunWriter(sys.argv[1], {"seed": 1}, "train", resume=len(sys.argv) > 2)
    print("held", flush=True)
    step = 0
    while True:
        step += 1
        run.append(step, {"reward": 0.5, "padding": 1 / 3})
        time.sleep(0.001)
"""


@pytest.fixture
def holder(tmp_path):
    """Start another process that writes to a run directory; ended at the latest with the test."""
    started = []

    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), path], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_writer_is_told_who_holds_the_directory(tmp_path, holder):
    process = holder(tmp_path / "run")
    with pytest.raises(RunError, match=f"written by process {process.pid} on .*Wait for it"):
        RunWriter(tmp_path / "run", CONFIG, "train", resume=True)
    assert open_run(tmp_path / "run").status == "running"


def test_watchers_never_keep_a_run_from_starting(tmp_path):
    write(tmp_path / "run", [1])
    over, looks = threading.Event(), []

    def watch():
        while not over.is_set():
            looks.append(is_locked(tmp_path / "run"))

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for step in range(2, 12):
            write(tmp_path / "run", [step], resume=True)
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()
    assert {True, False} == set(looks)
    assert open_run(tmp_path / "run").train_rewards().size == 11


def test_a_run_of_another_command_is_not_gone_on_with(tmp_path):
    write(tmp_path / "run", [1])
    with pytest.raises(RunError, match="holds a run of `train`, which `eval` cannot go on with"):
        RunWriter(tmp_path / "run", CONFIG, "eval", resume=True)
    assert open_run(tmp_path / "run").status == "finished"


def test_a_torn_line_is_said_by_readers_and_cut_by_the_next_writer(tmp_path):
    write(tmp_path / "run", [1, 2])
    log = tmp_path / "run" / "metrics.jsonl"
    log.write_bytes(log.read_bytes() + b'{"step": 3, "rew')
    run = open_run(tmp_path / "run")
    assert run.train_rewards().tolist() == [0.1, 0.2]
    assert run.notes == [
        "The last line of metrics.jsonl is torn (the run was killed while writing it) and was dropped."
    ]
    write(tmp_path / "run", [3], resume=True)
    assert open_run(tmp_path / "run").train_rewards().tolist() == [0.1, 0.2, 0.3]
    assert open_run(tmp_path / "run").notes == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file even root cannot write to")
def test_a_log_that_cannot_be_opened_is_said_and_the_lock_let_go(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "metrics.jsonl").symlink_to("/proc/version")
    with pytest.raises(RunError, match="Cannot write to"):
        RunWriter(path, CONFIG, "train", resume=True)
    assert not is_locked(path)


def test_a_killed_run_is_interrupted_whole_up_to_a_line_and_resumes(tmp_path, holder):
    path = tmp_path / "run"
    process = holder(path)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = open_run(path)
    assert run.status == "interrupted"
    assert run.status_reason == "the process that ran it is gone"
    steps, rewards = run.series("reward")
    assert steps.tolist() == list(range(1, len(steps) + 1))
    assert set(rewards) == {0.5}
    (path / "rollouts" / "train").mkdir(parents=True)
    machine = f"{zlib.crc32(socket.gethostname().encode()):08x}"
    for half in (path / ".status.json", path / "rollouts" / "train" / ".step_000001.parquet"):
        half.with_name(f"{half.name}.{machine}-{process.pid}.part").write_text("{")
    with RunWriter(path, CONFIG, "train", resume=True) as writer:
        writer.truncate_after(2)
        writer.append(3, {"reward": 0.9})
    assert open_run(path).train_rewards().tolist() == [0.5, 0.5, 0.9]
    assert not list(path.rglob("*.part"))
    resumed = open_run(path).provenance["resumed"]
    assert resumed[0]["changed_settings"]["seed"] == [1, 3]


@given(st.integers(0, 200), st.booleans())
def test_a_log_torn_anywhere_loses_at_most_its_last_line(tmp_path_factory, cut, twice):
    """Whatever byte a kill cuts at, whole lines survive, and a resumed log reads without a hole."""
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    whole = b"".join(json.dumps({"step": step, "reward": 0.25}).encode() + b"\n" for step in range(1, 6))
    path.write_bytes(whole[:cut])
    complete = sum(len(line) <= cut - start for start, line in _lines(whole))
    rows, notes = read_lines(path)
    assert len(rows) == complete
    assert bool(notes) == (whole[:cut].split(b"\n")[-1] not in (b"", whole.split(b"\n")[complete - 1]))
    mend_last_line(path)
    with path.open("ab") as file:
        file.write(b'{"step": 9}\n')
    rows, notes = read_lines(path)
    assert ([row["step"] for row in rows], notes) == ([*range(1, complete + 1), 9], [])


def _lines(whole):
    start = 0
    for line in whole.split(b"\n")[:-1]:
        yield start, line
        start += len(line) + 1


def test_damaged_lines_in_the_middle_outlive_a_resume_and_are_said(tmp_path, caplog):
    """Cut out, they would be gone for good, and the step they logged without a trace."""
    write(tmp_path / "run", [1, 2, 3, 4])
    log = tmp_path / "run" / "metrics.jsonl"
    first, second, third, fourth = log.read_bytes().splitlines(keepends=True)
    odd = [second[:9] + b"\xff\n", b"\x00" * 40 + b"\n", b'{"step": "two",  "reward": 1}\n', b'{"reward": NaN}\n']
    before, after = [first, odd[0], b"\n", odd[1], odd[2], odd[3], third], [b"{\n", fourth, b'{"step": 5, "rew']
    log.write_bytes(b"".join([*before, *after]))
    with RunWriter(tmp_path / "run", CONFIG, "train", resume=True) as writer:
        writer.truncate_after(3)
        assert log.read_bytes() == b"".join(before)
        writer.append(4, {"reward": 0.9})
    assert f"The last line of {log} was torn" in caplog.text
    assert f"2 lines of {log} cannot be read. They stay as they are" in caplog.text
    (said,) = (note for note in open_run(tmp_path / "run").notes if "the first, line" in note)
    assert said.startswith("2 lines of metrics.jsonl were left out; the first, line 2: not UTF-8 text")


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    write(tmp_path / "run", [1, 2])
    log = tmp_path / "run" / "metrics.jsonl"
    log.write_text(log.read_text().replace("\n", "\ngarbage\n", 1) + '{"step": 2, "reward": 0.9}\n{"reward": 1}\n')
    run = open_run(tmp_path / "run")
    assert run.train_rewards().tolist() == [0.1, 0.9]
    assert run.notes == [
        "Line 2 of metrics.jsonl was left out: not JSON (Expecting value: line 1 column 1 (char 0)).",
        "1 line of metrics.jsonl without a whole-number step from 0 on: left out.",
        "metrics.jsonl logs step 2 more than once; the last value counts.",
    ]


def test_the_extraction_mode_is_the_one_answers_are_judged_by(tmp_path):
    votes = {"source": "majority_vote", "options": {"extraction": "any"}}
    parts = {"source": "weighted_sum", "parts": [{"source": "random"}, votes]}
    for name, reward in (("one", votes), ("sum", parts)):  # the reward's settings come before `verify`
        config = TrainConfig(reward=RewardConfig(**reward), verify=VerifyConfig(extraction="boxed"))
        with RunWriter(tmp_path / name, config, "train"):
            pass
    one, several = (open_run(tmp_path / name).provenance for name in ("one", "sum"))
    assert (one["extraction"], several["extraction"]) == ("boxed", "boxed")
    assert one["other_extractions"] == {"reward.options.extraction": "any"}
    assert several["other_extractions"] == {"reward.parts.1.options.extraction": "any"}
    write(tmp_path / "none", [1])
    assert open_run(tmp_path / "none").provenance["other_extractions"] == {}
    with RunWriter(tmp_path / "sft", SftConfig(), "sft"):
        pass
    assert open_run(tmp_path / "sft").provenance["extraction"] is None


def test_missing_steps_are_missing_and_said(tmp_path):
    write(tmp_path / "run", [1, 2, 5])
    run = open_run(tmp_path / "run")
    assert [str(value) for value in run.train_rewards()] == ["0.1", "0.2", "nan", "nan", "0.5"]
    assert run.notes == ["2 of 5 steps have no logged reward; they count as missing, not as zero."]


def test_truncating_forgets_later_steps_everywhere(tmp_path):
    path = tmp_path / "run"
    with RunWriter(path, CONFIG, "train") as writer:
        for step in range(5):
            writer.append(step, {"reward": step / 10})
            for name in (f"train/step_{step:06d}", f"eval/held-out-step_{step:06d}"):
                file = path / "rollouts" / f"{name}.parquet"
                file.parent.mkdir(parents=True, exist_ok=True)
                pl.DataFrame({"step": [step], "text": [name]}).write_parquet(file)
        writer.truncate_after(2)
        writer.append(3, {"reward": 0.9})
    run = open_run(path)
    assert run.series("reward")[0].tolist() == [0, 1, 2, 3]
    for split in ("train", "eval"):
        assert run.rollout_steps(split) == [0, 1, 2]
        assert run.rollouts(split)["step"].to_list() == [0, 1, 2]
        assert run.rollouts(split, steps=[1])["text"].len() == 1
        assert run.rollouts(split, steps=[7]) is None
    (path / "rollouts" / "eval" / "held-out-step_000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"held-out-step_000001\.parquet cannot be read"):
        run.rollouts("eval")


def test_a_run_killed_before_its_first_line_opens_and_starts_again(tmp_path):
    write(tmp_path / "run", [])
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert open_run(tmp_path / "run").train_rewards().size == 0
    write(tmp_path / "run", [1])
    assert open_run(tmp_path / "run" / "metrics.jsonl").name == "run"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.yaml", "a: [", "not valid YAML"),
        ("status.json", "{", "cannot be read as JSON"),
        ("provenance.json", "[]", "should hold a JSON object"),
        (
            "evaluated.json",
            '{"math500": 3}',
            "is damaged: 'math500' should be a JSON object, not 3. Restore it, or delete",
        ),
        ("evaluated.json", '{"math500": {"x": {}}}', "is damaged: "),
        ("evaluated.json", '{"math500": {"0": [1]}}', "is damaged: "),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, text, message):
    write(tmp_path / "run", [1])
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RunError, match=f"{name}.*{message}"):
        open_run(tmp_path / "run")
    if name == "config.yaml":
        with pytest.raises(RunError, match=r"config\.yaml is not valid YAML .*delete it if you can do without"):
            write(tmp_path / "run", [2], resume=True)


def test_a_run_is_not_overwritten_by_accident(tmp_path):
    path = tmp_path / "run"
    write(path, [1, 2])
    (path / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match=r"already holds a run \(finished\).*--resume"):
        RunWriter(path, CONFIG, "train")
    write(path, [3], resume=True)
    assert open_run(path).train_rewards().size == 3
    write(path, [1], overwrite=True)
    assert open_run(path).train_rewards().tolist() == [0.1]
    assert "resumed" not in open_run(path).provenance
    assert (path / "mine.txt").read_text() == "keep"


def test_a_killed_run_is_not_said_to_be_running(tmp_path):
    path = tmp_path / "run"
    write(path, [1, 2])
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "status": "running"}))
    with pytest.raises(RunError, match=r"already holds a run \(interrupted\)"):
        RunWriter(path, CONFIG, "train")


def test_a_run_that_logged_nothing_may_start_again(tmp_path):
    with pytest.raises(ZeroDivisionError), RunWriter(tmp_path / "run", CONFIG, "train"):
        1 / 0  # noqa: B018
    failed = open_run(tmp_path / "run")
    assert (failed.status, failed.status_reason) == ("failed", "ZeroDivisionError: division by zero")
    write(tmp_path / "run", [1])
    assert open_run(tmp_path / "run").status == "finished"


def test_how_a_run_ended_is_recorded(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunWriter(tmp_path / "a", CONFIG, "train"):
        raise KeyboardInterrupt
    assert open_run(tmp_path / "a").status == "interrupted"
    with RunWriter(tmp_path / "b", CONFIG, "train") as writer:
        writer.finish("stopped", "flat")
        with pytest.raises(RunError, match="closed"):
            writer.append(1, {"reward": 1.0})
    run = open_run(tmp_path / "b")
    assert (run.status, run.status_reason) == ("stopped", "flat")


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot make the run directory"):
        RunWriter(tmp_path / "file" / "run", CONFIG, "train")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_write_access_is_said(tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(RunError, match="Cannot write to"):
        RunWriter(tmp_path / "run", CONFIG, "train")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(tmp_path):
    writer = RunWriter(tmp_path / "run", CONFIG, "train")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "metrics.jsonl").symlink_to("/dev/full")
    writer._file = (tmp_path / "run" / "metrics.jsonl").open("ab")
    with pytest.raises(RunError, match="No space left"):
        writer.append(1, {"reward": 1.0})
    writer.finish("failed", "disk full")


def test_hashes_follow_content(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"1")
    (folder / "sub" / "b.bin").write_bytes(b"2")
    before = hash_path(folder)
    (folder / ".cache").write_text("hidden")
    assert hash_path(folder) == before
    (folder / "a.bin").rename(folder / "c.bin")
    assert hash_path(folder) != before
    assert hash_path(folder / "c.bin") != hash_path(folder / "sub" / "b.bin")
    with pytest.raises(RunError, match="no such file"):
        hash_path(tmp_path / "nothing")


def test_a_model_is_named_for_good(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    assert model_identity(str(tmp_path)) == {"name": str(tmp_path), "sha256": hash_path(tmp_path)}
    assert model_identity("nobody/nothing-cached-here") == {"name": "nobody/nothing-cached-here", "revision": None}


def test_problem_hashes_follow_what_is_asked_and_scored():
    one = Problem("1", ({"role": "user", "content": "1+1"},), "2", "math", "math", {"note": "a"})
    same = Problem("1", ({"role": "user", "content": "1+1"},), "2", "math", "math", {"note": "b"})
    other = Problem("1", ({"role": "user", "content": "1+1"},), "3", "math", "math")
    assert hash_problems([one]) == hash_problems([same])
    assert len({hash_problems(p) for p in ([one], [other], [one, other], [other, one])}) == 4
