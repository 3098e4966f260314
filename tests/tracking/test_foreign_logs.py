"""Foreign logs as they are found: torn, with what is no number in them, with steps that are none. Nothing goes missing
without a word, and nothing is read that was not written."""

import contextlib
import io
import json
import math
import time

import pytest
from rich.console import Console

from presat.analysis.summary import summarise
from presat.console import SafeConsole
from presat.diagnosis import alarms
from presat.errors import PresatError, RunError
from presat.report import watch_run
from presat.report.live import live_view
from presat.report.tables import rows, to_csv
from presat.report.terminal import summary_table
from presat.tracking import open_run
from presat.tracking.follow import follow

CONSOLE = "".join(f"(Task pid=1) step:{s} - critic/score/mean:0.{s}5 - actor/kl_loss:0.0{s}\n" for s in range(1, 4))
TABLE = "step,reward,math/avg@4\n" + "".join(f"{s},0.{s}5,0.1{s}\n" for s in range(1, 4))
FLAT = "".join(f'{{"step": {s}, "reward": 0.{s}5, "kl": 0.0{s}}}\n' for s in range(1, 4))
VERL = "".join(f'{{"step": {s}, "data": {{"critic/score/mean": 0.{s}5, "actor/lr": 0.0{s}}}}}\n' for s in range(1, 4))
DUMP = "".join(f'{{"input": "q", "output": "a", "score": 0.{s}5, "step": {s}}}\n' for s in range(1, 4))
LOGS = {
    "verl.log": CONSOLE, "table.csv": TABLE, "table.tsv": TABLE.replace(",", "\t"), "flat.jsonl": FLAT,
    "file.jsonl": VERL, "1.jsonl": DUMP,
}  # fmt: skip


def save(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def noted(run):
    return " ".join(run.notes)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_cut_at_any_byte_gives_nothing_that_was_not_written(tmp_path, name):
    text = LOGS[name]
    whole = open_run(save(tmp_path, name, text)).values
    said = 0
    for cut in range(len(text)):
        path = save(tmp_path, name, text[:cut])
        try:
            run = open_run(path)
        except RunError:
            continue
        for metric, series in run.values.items():
            assert series.items() <= whole[metric].items(), text[:cut]
        said += "last line" in noted(run)
    assert said > len(text) / 3


def test_a_torn_last_line_is_no_verdict(tmp_path):
    text = "".join(f"step:{s} - critic/score/mean:0.{s:02d}\n" for s in range(1, 60))
    run = open_run(save(tmp_path, "verl.log", f"{text}step:60 - critic/score/mean:0."))
    summary = summarise(run)
    assert (summary.steps, summary.reward.after) == (59, pytest.approx(0.57))
    assert any("last line of verl.log has no end" in note for note in summary.notes)
    assert "dropped" in noted(open_run(save(tmp_path, "run.csv", TABLE + "5,0.")))
    assert open_run(save(tmp_path, "run.csv", TABLE)).notes == []


def test_a_line_that_is_being_written_is_waited_for_silently(tmp_path):
    path = save(tmp_path, "verl.log", CONSOLE + "step:4 - critic/score/mean:0.")
    follower = follow(path)
    assert follower.refresh().notes == []
    with path.open("a") as file:
        file.write("55\n")
    follower._next = 0.0  # as if enough time had passed
    run = follower.refresh()
    assert (run.values["reward"][4], run.notes) == (0.55, [])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"step": 1, "reward": "0.5"}\n{"step": 2, "reward": 0.5}\n', "reward (text once)"),
        ("a.jsonl", '{"step": 1, "reward": [0.5, 1]}\n{"step": 2, "reward": [1]}\n', "reward (a list 2 times)"),
        ("a.jsonl", '{"step": 1, "reward": true, "kl": {"a": 1}}\n', "reward (true or false once), kl (an"),
        ("a.jsonl", '{"step": 1, "reward": 0.5}\n{"step": 2, "reward": null}\n', "1 of 2 steps have no logged reward"),
        ("a.jsonl", '{"step": 1, "reward": 0.5}\n{"reward": 1}\n{"step": "3"}\n', "2 lines of a.jsonl without a whole"),
        ("a.jsonl", '{"step": 1, "reward": 0.5}\n{"step": 1.5}\n{"step": -1}\n', "2 lines of a.jsonl without a whole"),
        ("a.jsonl", '{"step": 1, "kl": 1e999, "lr": 1' + "0" * 400 + "}\n", "count as missing: kl (once), lr (once)"),
        ("a.jsonl", '{"step": 1, "kl": 0}\n{"step": 2, "kl": 1' + "0" * 5000 + "}\n", "Line 2 of a.jsonl was left out"),
        ("a.jsonl", '{"step": 1, "kl": 0}\n{"step": 2, "kl": 1, "kl": 2}\n', "the key 'kl' stands twice"),
        ("a.jsonl", '{"step": 1, "kl": 0}\n' + "[" * 100_000 + "\n" * 2, "nested too deeply"),
        ("a.jsonl", '{"step": 1, "kl": 0}\nx\ny\n', "2 lines of a.jsonl were left out; the first, line 2: not JSON"),
        ("v.jsonl", '{"step": 1, "data": [1]}\n{"step": 2, "data": {"loss": 1}}\n{"step": 3}\n', "2 lines of v.jsonl"),
        ("v.log", "step:1 - critic/score/mean:[0.5] - loss:1\n", "critic/score/mean (text once)"),
        ("t.csv", "step,reward\n1,0.5\n,0.7\n", "1 line of t.csv without a whole-number step"),
        ("t.csv", "step,reward,kl\n1,0.5\n2,0.5,1\n", "1 row has fewer cells than the header"),
        ("t.csv", "step,global_step,,reward\n1,1,0,0.5\n", "count steps; left out: global_step"),
        ("t.csv", "step,global_step,,reward\n1,1,0,0.5\n", "1 column of t.csv without a name"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_said_with_counts_in_every_table(tmp_path, name, text, words):
    run = open_run(save(tmp_path, name, text))
    assert words in noted(run)
    for shown in (summary_table([summarise(run)]), live_view(run)):
        out = io.StringIO()
        Console(file=out, width=1000).print(shown)
        assert words in " ".join(out.getvalue().replace("│", " ").split())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "step,reward,reward\n1,0.5,0.7\n", "several columns of 'reward'"),
        ("t.csv", "step,kl,actor/kl_loss\n1,0.5,0.7\n", "several columns of 'kl'"),
        ("t.csv", "step,reward, reward \n1,0.5,0.7\n", "several columns of 'reward'"),
        ("t.csv", "step,step,reward\n1,1,0.7\n", "several columns of 'step'"),
        ("t.csv", "step,reward\n1,0,5\n", "row 2, has 3 cells, and the header 2"),
        ("t.csv", "step,reward\n\n\n1,x\n", "row 4, column `reward`"),
        ("t.csv", 'step,reward\n1,"0.5\n2,0.7\n', "row 2, cannot be read as CSV"),
        ("t.csv", "step,reward\n-1,0.5\n", "whole number from 0 on, not '-1'"),
        ("t.csv", "step,reward\n1,0.5\n1764000000,0.5\n", "line 3: step 1764000000.0 is beyond 1,000,000"),
        ("t.csv", f"step,reward\n1,{'x' * 100_000}\n", "xxx ... is not a number"),
        ("a.jsonl", '{"step": 1000000000000000000, "reward": 1}\n', "line 1: step 1000000000000000000 is beyond"),
        ("v.log", f"step:{'9' * 5000} - critic/score/mean:1\n", "is beyond 1,000,000"),
        ("1764000000.jsonl", '{"input": "q", "output": "a", "score": 1}\n', "line 1: step 1764000000 is beyond"),
        ("1.jsonl", '\n{"input": "q", "output": "a", "score": "1"}\n', "line 2: the `score` of step 1 must be"),
        ("1.jsonl", '{"input": "q", "output": "a", "score": 1, "step": true}\n', "from 0 on, not True"),
        ("trainer_state.json", '{"log_history": [3]}', "'log_history.0' should be a JSON object, not 3"),
        ("trainer_state.json", '{"log_history": [], "global_step": "x"}', "'global_step' should be a valid integer"),
        ("trainer_state.json", '{"log_history": ' + "[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_would_be_read_wrongly_is_refused_with_its_place(tmp_path, name, text, words):
    with pytest.raises(RunError) as caught:
        open_run(save(tmp_path, name, text))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "step,reward\n1,0.5\n7,1e999\n"),
        ("t.csv", "step,reward\n7,nan\n"),
        ("a.jsonl", '{"step": 7, "reward": 1e999}\n'),
        ("a.jsonl", '{"step": 1, "train/reward": 0.5}\n{"step": 7, "train/reward": -1' + "0" * 400 + "}\n"),
        ("v.log", "step:7 - critic/score/mean:inf\n"),
        ("trainer_state.json", '{"log_history": [{"step": 7, "reward": Infinity}, {"step": 8, "reward": 1.0}]}'),
        ("trainer_state.json", '{"log_history": [{"step": 7, "reward": NaN}, {"step": 8, "reward": NaN}]}'),
        ("trainer_state.json", '{"log_history": [{"step": 6, "reward": 0, "loss": NaN}, {"step": 7, "reward": NaN}]}'),
        ("7.jsonl", '{"input": "q", "output": "a", "score": Infinity}\n'),
        ("7.jsonl", '{"input": "q", "output": "a", "score": NaN}\n{"input": "q", "output": "a", "score": 1}\n'),
        ("g.jsonl", '{"prompt_id": "p", "step": 7, "rewards": [NaN, 1, 0]}\n'),
        ("g.jsonl", '{"prompt_id": "p", "step": 7, "rewards": [1, -1' + "0" * 400 + ", 0]}\n"),
        ("g.jsonl", '{"prompt": "p", "step": 7, "response": "r", "reward": Infinity}\n'),
    ],
)  # fmt: skip
def test_a_reward_that_is_infinite_or_no_number_is_missing_and_an_alarm(tmp_path, name, text):
    run = open_run(save(tmp_path, name, text))
    assert 7 in run.not_finite["reward"]
    assert not any(math.isinf(value) for value in run.values["reward"].values())
    (found,) = [alarm for alarm in alarms(run) if alarm.name == "not_finite"]
    assert "is no finite number at step" in found.sentence
    summarise(run)


def test_a_reward_that_was_never_logged_is_no_alarm(tmp_path):
    run = open_run(save(tmp_path, "a.jsonl", '{"step": 1, "reward": null}\n{"step": 2, "reward": null}\n'))
    assert math.isnan(run.values["reward"][1])
    assert alarms(run) == []


def test_whole_numbers_written_as_floats_are_steps(tmp_path):
    run = open_run(save(tmp_path, "a.jsonl", '{"step": 1.0, "reward": 0.5}\n{"step": 2.0, "reward": NaN}\n'))
    assert run.values["reward"][1] == 0.5
    assert math.isnan(run.values["reward"][2])


def test_half_a_character_anywhere_in_a_log_harms_no_table(tmp_path):
    text = json.dumps({"step": 1, "reward": 0.5, "eval/\ud83d\x1b[2J/avg@4": 0.5, "note": "\ud83d"}) + "\n"
    save(tmp_path, "a.jsonl", text)
    row = {"input": "q\ud83d", "output": ["\ud83d"], "gts": {"\ud83d": 1}, "pred": "\ud83d", "score": 1, "acc": 1}
    (tmp_path / "val\udcff").mkdir()
    save(tmp_path / "val\udcff", "0.jsonl", json.dumps(row) + "\n")
    for path in (tmp_path / "a.jsonl", tmp_path / "val\udcff"):
        run = open_run(path)
        summary = summarise(run)
        out = io.StringIO()
        SafeConsole(file=out, width=100).print(summary_table([summary]), live_view(run))
        (out.getvalue() + to_csv(rows([summary]))).encode()
        assert "\x1b[2J" not in out.getvalue()


def test_a_table_of_thousands_of_columns_is_read_in_seconds(tmp_path):
    names = [f"set{i}/score" for i in range(3000)]
    text = f"step,reward,{','.join(names)}\n"
    path = save(tmp_path, "wide.csv", text + "".join(f"{s},0.5,{','.join(['0.5'] * 3000)}\n" for s in range(3)))
    began = time.process_time()
    run = open_run(path)
    summary = summarise(run)
    Console(file=io.StringIO()).print(summary_table([summary]), live_view(run))
    assert len(summary.sets) == 3000
    assert time.process_time() - began < 6  # a third of a minute's worth of quadratic work would show


def test_a_mistyped_path_is_waited_for_in_words_where_nothing_is_drawn(tmp_path, monkeypatch):
    def leave(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", leave)
    out = io.StringIO()
    assert watch_run(tmp_path / "rnu", console=Console(file=out, width=300)) is None
    assert "There is no run at" in out.getvalue()
    assert "Waiting for it; Ctrl-C ends." in out.getvalue()


@pytest.mark.parametrize("name", LOGS)
def test_bytes_put_into_a_log_give_a_run_or_a_sentence(tmp_path, name):
    text, path = LOGS[name].encode(), tmp_path / name
    for number, put in enumerate(
        (b"\xff", b"\0", b'"', b"\n", b",,", b"[" * 2000, b"9" * 400, b"e999", b"-", b"\\ud83d")
    ):
        for at in range(number, len(text), 37):
            path.write_bytes(text[:at] + put + text[at:])
            with contextlib.suppress(PresatError):
                summarise(open_run(path))
