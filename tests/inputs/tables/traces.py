"""Files of reasoning traces, through `data sft`."""

from __future__ import annotations

import json
import shutil

from tests.inputs.case import Case, Content

GOOD = {"question": "7 a +1 <b>", "trace": "7 a +1 <b>", "solution": "\\boxed{ 8 }", "answer": "8"}
EITHER = (0, 1)


def traces(name: str, second: Content | dict, *says: str, codes=(1,), more: str = "") -> Case:
    """A good row, then a bad one."""
    content = second
    if not callable(second):
        text = json.dumps(second) if isinstance(second, dict) else second
        content = json.dumps(GOOD).encode() + b"\n" + (text if isinstance(text, bytes) else text.encode()) + b"\n"
    words = f"data sft --data.source traces.jsonl --model.name model --out sft --max-length 100 {more}"
    files = {"traces.jsonl": content, "model": lambda path, kit: shutil.copytree(kit.model, path)}
    return Case("traces", name, words, files, codes, says or ("traces.jsonl", "row 2"), slow=True)


def chat(*turns, **more) -> dict:
    return {"messages": list(turns), **more}


USER, REPLY = {"role": "user", "content": "1"}, {"role": "assistant", "content": "<think>1</think>2"}
CASES = [
    traces("torn", '{"question": "7'),
    traces("list", "[]"),
    traces("latin-1", '{"question": "é"}'.encode("latin-1")),
    traces("question-number", GOOD | {"question": 3}),
    traces("question-empty", GOOD | {"question": " "}),
    traces("question-null", GOOD | {"question": None}),
    traces("trace-number", GOOD | {"trace": 3}),
    traces("trace-list", GOOD | {"trace": ["a"]}),
    traces("trace-missing", {key: GOOD[key] for key in ("question", "solution", "answer")}),
    traces("solution-missing", {key: GOOD[key] for key in ("question", "trace", "answer")}),
    traces("solution-number", GOOD | {"solution": 8}),
    traces("solution-null", GOOD | {"solution": None}, "no trace 1", codes=(0,)),
    traces("answer-object", GOOD | {"answer": {"a": 8}}),
    traces("answer-list", GOOD | {"answer": [8, 9]}, "2 of 2 rows kept", codes=(0,)),  # either is right
    traces("half-a-character-in-the-question", GOOD | {"question": "\ud800"}),
    traces("half-a-character-in-the-trace", GOOD | {"trace": "\udfff"}),
    traces("half-a-character-in-the-solution", GOOD | {"solution": "\ud83d"}),
    traces("half-a-character-in-the-answer", GOOD | {"answer": "\ud800"}),
    traces("escape-in-a-column", {"\x1b[2J": "1"}),
    traces("chat-one-turn", chat(REPLY)),
    traces("chat-empty", chat()),
    traces("chat-text", {"messages": "1"}),
    traces("chat-ends-in-user", chat(REPLY, USER)),
    traces("chat-role", chat(USER, {"role": "tool", "content": "1"}, REPLY)),
    traces("chat-role-missing", chat({"content": "1"}, REPLY)),
    traces("chat-content-null", chat(USER, {"role": "assistant", "content": None})),
    traces("chat-content-parts", chat(USER, {"role": "assistant", "content": [{"type": "text", "text": "1"}]}),
           codes=(0, 1)),
    traces("chat-turn-text", chat("1", "2")),
    traces("chat-tool-calls", chat(USER, REPLY | {"tool_calls": [{"function": {"name": "f"}}]}), "tool_calls",
           codes=EITHER),
    traces("none", lambda path, _: path.write_bytes(b""), "traces.jsonl"),
    traces("all-too-long", GOOD, "too long", more="--max-length 2"),
    traces("where-no-column", GOOD, "domain", more="--where domain math"),
    traces("where-no-row", GOOD, "no rows with these values", more="--where answer 9"),
    traces("columns-no-column", GOOD, "thoughts", more="--data.columns trace thoughts"),
]  # fmt: skip
