"""Other trainers' logs, through `report`."""

from __future__ import annotations

import json
import os

from tests.inputs.case import Case, Content
from tests.inputs.tables.data import LONG, NOISE, trap_pickle

EITHER = (0, 1)


def log(kind: str, name: str, file: str, content: Content, *says: str, codes=(1,)) -> Case:
    words = f"report {file} --out out/p.html"
    return Case("log", f"{kind}-{name}", words, {file: content, "out/.keep": ""}, codes, says)


def trl(name: str, content: object, *says: str, codes=(1,)) -> Case:
    """TRL's state: bytes, or what is written as JSON."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return log("trl", name, "trainer_state.json", content, *says, codes=codes)


def state(*rows, **more) -> dict:
    return {"global_step": 2, "max_steps": 2, "log_history": [{"step": 1, "reward": 0.5}, *rows], **more}


def console(name: str, content: str | bytes, *says: str, codes=(1,)) -> Case:
    return log("verl-console", name, "train.log", content, *says, codes=codes)


def file_log(name: str, *rows, says=(), codes=(1,)) -> Case:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    return log("verl-file", name, "log.jsonl", text, *says, codes=codes)


def dump(name: str, *rows, says=("1.jsonl",), codes=(1,), file: str = "1.jsonl") -> Case:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    files = {f"dump/{file}": text, "out/.keep": ""}
    return Case("log", f"verl-dump-{name}", "report dump --out out/p.html", files, codes, says)


def csv(name: str, content: Content, *says: str, codes=(1,), ending: str = "csv") -> Case:
    return log(ending, name, f"curve.{ending}", content, *says, codes=codes)


def flat(name: str, *rows, says=(), codes=(1,)) -> Case:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    return log("json-lines", name, "curve.jsonl", text, *says, codes=codes)


GOOD_CSV = "step,reward,held_out\n1,0.1,0.2\n2,0.2,0.3\n"
RESPONSE = {"input": "1+1", "output": "2", "gts": "2", "score": 1.0, "step": 1}
STEP = "step:1 - critic/score/mean:0.4 - actor/lr:0.1\n"
DATA = {"step": 1, "data": {"critic/score/mean": 0.4}}
S = "trainer_state.json"
TRL = [
    trl("empty", b"", S),
    trl("garbled", b"{", S),
    trl("cut", json.dumps(state()).encode()[:-5], S),
    trl("list", [], S),
    trl("noise", NOISE, S),
    trl("deep", b'{"log_history": ' + b"[" * 200_000, S),
    trl("pickle", trap_pickle(), S),
    trl("no-history", {"global_step": 3}, S),
    trl("history-a-map", {"log_history": {"step": 1}}, S),
    trl("history-empty", {"log_history": []}, codes=EITHER),
    trl("history-of-text", {"log_history": ["a", 3, None]}, codes=EITHER),
    trl("step-text", state({"step": "2", "reward": 0.5}), S, codes=EITHER),
    trl("step-fraction", state({"step": 1.5, "reward": 0.5}), S, codes=EITHER),
    trl("step-a-time", state({"step": 1_700_000_000, "reward": 0.5}), codes=EITHER),
    trl("step-2e70", state({"step": 2**70, "reward": 0.5}), codes=EITHER),
    trl("step-negative", state({"step": -2, "reward": 0.5}), codes=EITHER),
    trl("reward-text", state({"step": 2, "reward": "0.5"}), "reward", codes=EITHER),
    trl("reward-list", state({"step": 2, "reward": [0.5]}), "reward", codes=EITHER),
    trl("reward-object", state({"step": 2, "reward": {"a": 1}}), "reward", codes=EITHER),
    trl("reward-5000-digits", b'{"log_history": [{"step": 1, "reward": ' + b"9" * 5000 + b"}]}", codes=EITHER),
    trl("reward-nan", b'{"log_history": [{"step": 1, "reward": NaN}]}', codes=EITHER),
    trl("global-step-text", state(global_step="two"), codes=EITHER),
    trl("global-step-null", state(global_step=None, max_steps=None), codes=EITHER),
    trl("max-steps-list", state(max_steps=[2]), codes=EITHER),
    trl("names-with-escape", state({"step": 2, "eval_\x1b[2J_runtime": 1, "eval_\x1b[2J_reward": 0.5}), codes=EITHER),
    trl("half-a-character", state({"step": 2, "eval_\ud800_runtime": 1, "eval_\ud800_reward": 0.5}), codes=EITHER),
    Case("log", "trl-checkpoints-mixed", "report out --out p/p.html", {
        "out/checkpoint-1/trainer_state.json": json.dumps(state(global_step="x")),
        "out/checkpoint-2/trainer_state.json": json.dumps(state()), "p/.keep": ""}, EITHER),
    Case("log", "trl-checkpoint-garbled", "report out --out p/p.html", {
        "out/checkpoint-1/trainer_state.json": json.dumps(state()), "out/checkpoint-2/trainer_state.json": "{",
        "p/.keep": ""}, (1,), ("checkpoint-2",)),
]  # fmt: skip
VERL = [
    console("empty", b""),
    console("of-something-else", "starting\nepoch 1 loss 0.3\n", "train.log"),
    console("noise", NOISE, "train.log"),
    console("zeros", b"\0" * 3000, "train.log"),
    console("torn-in-a-value", STEP + "step:2 - critic/score/mean:0.", "last line", codes=(0,)),
    console("torn-in-a-name", STEP + "step:2 - critic/sco", "last line", codes=(0,)),
    console("step-2e70", STEP + f"step:{2**70} - critic/score/mean:0.4\n", codes=EITHER),
    console("step-a-time", STEP + "step:1700000000 - critic/score/mean:0.4\n", codes=EITHER),
    console("step-5000-digits", STEP + f"step:{'9' * 5000} - critic/score/mean:0.4\n", codes=EITHER),
    console("value-text", STEP + "step:2 - critic/score/mean:high - actor/lr:0.1\n", codes=EITHER),
    console("value-open", STEP + "step:2 - critic/score/mean:np.float64(0.4\n", codes=EITHER),
    console("value-list", STEP + "step:2 - critic/score/mean:[0.4]\n", codes=EITHER),
    console("value-nan", STEP + "step:2 - critic/score/mean:nan\n", codes=EITHER),
    console("no-reward", "step:1 - actor/lr:0.1\n", codes=EITHER),
    console("escape-in-a-name", STEP + "step:2 - val-core/\x1b]0;owned\x07/acc/mean@2:0.4\n", codes=EITHER),
    console("not-utf-8", STEP.encode() + b"step:2 - val-core/\xff/acc/mean@2:0.4\n", codes=EITHER),
    console("line-of-megabytes", STEP + "step:2 - " + "x" * 3_000_000 + "\n", codes=EITHER),
    console("k-huge", STEP + f"step:2 - val-core/a/acc/mean@{'9' * 5000}:0.4\n", codes=EITHER),
    Case("log", "verl-two-logs", "report there --out out/p.html",
         {"there/a.log": STEP, "there/b.log": STEP, "out/.keep": ""}, (1,), ("a.log", "b.log")),
    file_log("data-list", DATA, {"step": 2, "data": [1]}, says=("log.jsonl",), codes=(0,)),
    file_log("data-null", DATA, {"step": 2, "data": None}, says=("log.jsonl",), codes=(0,)),
    file_log("data-empty", {"step": 1, "data": {}}, codes=EITHER),
    file_log("data-text-values", DATA, {"step": 2, "data": {"critic/score/mean": "0.4"}}, says=("critic/score/mean",),
             codes=(0,)),
    file_log("step-missing", DATA, {"data": {"critic/score/mean": 0.4}}, says=("log.jsonl",), codes=(0,)),
    file_log("step-text", DATA, {"step": "2", "data": {"critic/score/mean": 0.4}}, says=("log.jsonl",), codes=(0,)),
    file_log("step-fraction", DATA, {"step": 1.5, "data": {"critic/score/mean": 0.4}}, says=("log.jsonl",),
             codes=(0,)),
    file_log("step-2e70", DATA, {"step": 2**70, "data": {"critic/score/mean": 0.4}}, codes=EITHER),
    file_log("torn", DATA, '{"step": 2, "data": {"critic', says=("last line",), codes=(0,)),
    file_log("all-garbled", "{\n{\n", codes=(1,), says=("log.jsonl",)),
    file_log("deep", DATA, '{"step": 2, "data": ' + "[" * 200_000 + "\n", codes=(0,), says=("log.jsonl",)),
    dump("output-missing", RESPONSE, {"input": "1", "score": 1.0}, says=("1.jsonl", "line 2", "output")),
    dump("score-text", RESPONSE, RESPONSE | {"score": "1"}, says=("1.jsonl", "line 2", "score")),
    dump("score-list", RESPONSE, RESPONSE | {"score": [1]}, says=("1.jsonl", "line 2", "score")),
    dump("score-null", RESPONSE, RESPONSE | {"score": None}, codes=EITHER, says=()),
    dump("score-nan", RESPONSE, json.dumps(RESPONSE).replace("1.0", "NaN") + "\n", codes=EITHER, says=()),
    dump("score-5000-digits", RESPONSE, json.dumps(RESPONSE).replace("1.0", "9" * 4000) + "\n", codes=EITHER,
         says=()),
    dump("step-text", RESPONSE, RESPONSE | {"step": "1"}, says=("1.jsonl", "line 2", "step")),
    dump("step-true", RESPONSE, RESPONSE | {"step": True}, says=("1.jsonl", "line 2", "step")),
    dump("step-2e70", RESPONSE, RESPONSE | {"step": 2**70}, codes=EITHER, says=()),
    dump("step-a-time", RESPONSE, RESPONSE | {"step": 1_700_000_000}, codes=EITHER, says=()),
    dump("output-list", RESPONSE, RESPONSE | {"output": ["2"]}, codes=EITHER, says=()),
    dump("half-a-character", RESPONSE, RESPONSE | {"output": "\ud800"}, codes=(0,), says=()),
    dump("escape", RESPONSE | {"input": "\x1b[2J", "output": "\x1b]0;owned\x07"}, codes=(0,), says=()),
    dump("torn", RESPONSE, '{"input": "1', says=("1.jsonl",), codes=(0,)),
    dump("garbled-line", RESPONSE, "{\n", RESPONSE, says=("1.jsonl",), codes=(0,)),
    dump("empty", says=("dump",)),
    dump("name-huge", RESPONSE, file="9" * 100 + ".jsonl", codes=EITHER, says=()),
    dump("acc-text", RESPONSE | {"acc": "yes"}, codes=EITHER, says=()),
    dump("gts-of-megabytes", RESPONSE, RESPONSE | {"gts": LONG}, codes=(0,), says=()),
]  # fmt: skip
TABLES = [
    csv("empty", "", "curve.csv"),
    csv("header-alone", "step,reward\n", codes=EITHER),
    csv("no-step", "time,reward\n1,0.5\n", "step"),
    csv("column-twice", "step,reward,reward\n1,0.5,0.6\n", "reward"),
    csv("step-twice", "step,step,reward\n1,2,0.6\n", "step", codes=EITHER),
    csv("set-twice", "step,reward,a,a\n1,0.5,0.6,0.7\n", "a"),
    csv("word", GOOD_CSV + "3,high,0.4\n", "row 4", "reward"),
    csv("word-of-megabytes", GOOD_CSV + f"3,{'x' * 100_000},0.4\n", "row 4", "reward"),
    csv("cell-over-the-limit", GOOD_CSV + f"3,{LONG},0.4\n", "curve.csv"),
    csv("word-with-escape", GOOD_CSV + "3,\x1b]0;owned\x07,0.4\n", "row 4", "reward"),
    csv("step-fraction", GOOD_CSV + "2.5,0.3,0.4\n", "row 4"),
    csv("step-infinite", GOOD_CSV + "inf,0.3,0.4\n", "row 4"),
    csv("step-nan", GOOD_CSV + "nan,0.3,0.4\n", "row 4"),
    csv("step-1e300", GOOD_CSV + "1e300,0.3,0.4\n", codes=EITHER),
    csv("step-a-time", GOOD_CSV + "1700000000,0.3,0.4\n", codes=EITHER),
    csv("steps-all-times", "step,reward\n" + "".join(f"{1_700_000_000 + i},0.5\n" for i in range(9)), codes=EITHER),
    csv("step-negative", GOOD_CSV + "-4,0.3,0.4\n", codes=EITHER),
    csv("reward-infinite", GOOD_CSV + "3,inf,0.4\n", codes=EITHER),
    csv("reward-nan", GOOD_CSV + "3,nan,0.4\n", codes=EITHER),
    csv("torn", GOOD_CSV + "3,0.", "last line", codes=(0,)),
    csv("torn-after-a-cell", GOOD_CSV + "3", "last line", codes=(0,)),
    csv("more-cells", GOOD_CSV + "3,0.3,0.4,0.5\n", "row 4"),
    csv("fewer-cells", GOOD_CSV + "3,0.3\n4,0.4,0.4\n", codes=EITHER),
    csv("open-quote", GOOD_CSV + '3,"0.3,0.4\n4,0.4,0.5\n', "curve.csv"),
    csv("zero-byte", GOOD_CSV.encode() + b"3,\0,0.4\n", "curve.csv"),
    csv("latin-1", GOOD_CSV.encode() + "3,é,0.4\n".encode("latin-1"), "curve.csv"),
    csv("utf-16", GOOD_CSV.encode("utf-16"), "curve.csv"),
    csv("noise", NOISE, "curve.csv"),
    csv("pickle", trap_pickle(), "curve.csv"),
    csv("columns-3000", "step,reward," + ",".join(f"c{i}" for i in range(3000)) + "\n"
        + "".join(f"{s}," + ",".join(["0.5"] * 3001) + "\n" for s in range(1, 4)), codes=EITHER),
    csv("name-of-megabytes", "step,reward," + "x" * 100_000 + "\n1,0.5,0.5\n", codes=EITHER),
    csv("name-with-escape", "step,reward,\x1b[2J\n1,0.5,0.5\n", codes=EITHER),
    csv("name-a-formula", "step,reward,=cmd|'/c calc'!A1\n1,0.5,0.5\n", codes=EITHER),
    csv("name-empty", "step,reward,,\n1,0.5,0.5,0.5\n", codes=EITHER),
    csv("name-marked-up", "step,reward,<script>alert(1)</script>\n1,0.5,0.5\n", codes=EITHER),
    csv("only-extremes", "step,reward__MIN,reward__MAX\n1,0.5,0.6\n", codes=EITHER),
    csv("a-pipe", lambda path, _: os.mkfifo(path)),
    csv("tabs-garbled", "step\treward\n1\tx\n", "row 2", ending="tsv"),
    flat("step-text", {"step": "a", "reward": 0.5}, codes=EITHER),
    flat("reward-text", {"step": 1, "reward": 0.5}, {"step": 2, "reward": "x"}, says=("reward",), codes=(0,)),
    flat("reward-list", {"step": 1, "reward": 0.5}, {"step": 2, "reward": [1]}, says=("reward",), codes=(0,)),
    flat("garbled-line", {"step": 1, "reward": 0.5}, "{\n", {"step": 2, "reward": 0.6}, says=("curve.jsonl",),
         codes=(0,)),
    flat("torn", {"step": 1, "reward": 0.5}, '{"step": 2, "rew', says=("last line",), codes=(0,)),
    flat("list-first", "[1]\n", {"step": 1, "reward": 0.5}, says=("curve.jsonl",), codes=EITHER),
    flat("step-a-time", {"step": 1_700_000_000, "reward": 0.5}, codes=EITHER),
    flat("half-a-character", '{"step": 1, "reward": 0.5, "\\ud800": 0.5}\n', codes=EITHER),
]  # fmt: skip
OVER = [
    Case("log", f"written-over-{name}", f"report curve.csv --out {out}", {"curve.csv": GOOD_CSV, "curve.tex": "mine"},
         (1, 2), ())
    for name, out in (("table", "curve.html"), ("itself", "curve.csv"))
] + [Case("log", "written-over-by-default", "report report.csv", {"report.csv": GOOD_CSV}, (1, 2))]  # fmt: skip
CASES = [*TRL, *VERL, *TABLES, *OVER]
