"""Files that no problem can be made of: one sentence each, with the row and the field, and never a hang."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presat import Problem, load_problems, score
from presat.cli import run
from presat.errors import DataError
from presat.tasks.cells import DEEPEST, sound, sound_problems
from presat.tasks.corpus import corpus_parts, read_parts
from presat.tasks.subsets import solve_counts_of

HALF = "\ud83d"
MEGABYTE = "x" * 2**20


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """Nothing here may take longer than some seconds: a pipe that is opened waits for ever."""
    signal.alarm(30)
    yield
    signal.alarm(0)


def row(**values: Any) -> str:
    return json.dumps({"question": "1+1?", "answer": "2", **values}) + "\n"


def turns(*messages: dict[str, Any]) -> str:
    return row(messages=list(messages))


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


ASKED = {"role": "user", "content": "1+1?"}
ROWS: dict[str, tuple[str, str]] = {
    "half a character in a gold": (row(answer=HALF), r"row 1: field 'answer' holds half of a character \(\\ud83d"),
    "in a question": (row(question=HALF), r"row 1: field 'question' holds half"),
    "in a column nobody reads": (row() + row(x={"y": ["", HALF]}), r"row 2: field 'x\.y\[1\]' holds half"),
    "in the name of a column": (row(**{HALF: 1}), r"row 1: the name of a field, '\\ud83d', holds half"),
    "in JSON within text": (row(answer=json.dumps([HALF])), r"row 1: field 'gold' holds half"),
    "in JSON of extra_info": (
        row(prompt=[ASKED], reward_model={"ground_truth": "2"}, extra_info=json.dumps({"a": HALF})),
        r"row 1: field 'extra_info\.a' holds half",
    ),
    "a key twice": ('{"question": "?", "answer": "2", "answer": "3"}\n', r"line 1: not JSON \(the key 'answer' stands"),
    "no end of nesting": ('{"question": ' + "[" * 10**5, r"line 1: not JSON \(it is nested too deeply\)"),
    "deep": (row(x=nested(90)) + row(x=nested(150)), r"row 2: field 'x' holds values within more than 100 others"),
    "a number of 5000 digits": ('{"answer": ' + "9" * 5000 + "}\n", r"line 1: not JSON \(it holds a number of th"),
    "an infinite gold": ('{"question": "?", "answer": -Infinity}\n', r"row 1: field 'answer' is infinite"),
    "a gold that is true": (row(answer=True), r"row 1: field 'answer' is true: write the answer as text"),
    "a gold that is a mapping": (row(answer={"a": MEGABYTE}), r"row 1: field 'answer' should hold an answer, .{,150}$"),
    "a question that is a mapping": (row(question={"a": MEGABYTE}), r"row 1: field 'question' should hold .{,300}$"),
    "a reward model that is none": (row(prompt=[ASKED], reward_model=[MEGABYTE]), r"field 'reward_model' .{,300}$"),
    "3000 columns": (json.dumps({f"c{i}": 1 for i in range(3000)}), r"among the fields c0, .{,200}2980 more;"),
    "a column that is an escape sequence": ('{"\x1b[2J": 1}\n'.replace("\x1b", "\\u001b"), r"the fields \\x1b\[2J;"),
    "a list": ("[1]\n", r"line 1: should be a JSON object; it is list"),
    "a call of a tool": (
        turns(ASKED, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}),
        r"row 1: field 'messages' holds a turn with `tool_calls`, which the prompt would lose",
    ),
    "a call of a tool beside text": (
        turns(ASKED, {"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}),
        r"row 1: field 'messages' holds a turn with `tool_calls`",
    ),
    "no text": (turns(ASKED, {"role": "assistant", "content": None}), r"should be a list of .role, content. turns"),
    "a role of functions": (turns(ASKED, {"role": "function", "content": "3"}), r"a turn of the role 'function'"),
    "an image": (
        turns({"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": "x"}]}),
        r"row 1: field 'messages' holds a part of the type 'image_url'; a model of text can be shown text alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_that_cannot_be_a_problem_is_named(kind: str, tmp_path: Path) -> None:
    text, message = ROWS[kind]
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as told:
        load_problems(path)
    assert len(str(told.value)) < 600
    assert str(told.value).isprintable()


FILES: dict[str, tuple[str, bytes, str]] = {
    "a column twice": (
        "a.csv",
        b"question,answer,answer\n?,2,3\n",
        r"a\.csv has several columns of one name \(answer\)",
    ),
    "an open quotation mark": ("a.csv", b'question,answer\n?,"2\n?,3\n', r"row 2: is not CSV .*may not be closed"),
    "another encoding": (
        "a.csv",
        "question,answer\nä,2\n".encode("latin1"),
        r"row 2: not UTF-8 text .*iconv -f latin1 -t utf8",
    ),
    "UTF-16": ("a.jsonl", row().encode("utf-16"), r"line 1: not UTF-8 text"),
    "gzip": ("a.jsonl", b"\x1f\x8b\x08\x00" * 9, r"line 1: not UTF-8 text"),
    "nothing": ("a.parquet", b"", r"is not a parquet file, or a damaged one: .* 0 bytes\.$"),
    "half a file": ("a.parquet", b"PAR1" + b"\0" * 50, r"is not a parquet file, or a damaged one"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    name, content, message = FILES[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_problems(tmp_path / name)


def one(answer: Any, **more: Any) -> pa.Table:
    return pa.table({"question": pa.array(["?"]), "answer": answer, **more})


_BAD_UTF8 = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
)
TABLES: dict[str, tuple[pa.Table, str]] = {
    "bytes": (one(pa.array([b"2\xff"])), r"row 1: field 'answer' should hold an answer.* it is b'2\\xff'"),
    "a date": (one(pa.array([datetime.date(2024, 1, 1)])), r"row 1: field 'answer' should hold an answer"),
    "no UTF-8": (one(_BAD_UTF8), r"is not UTF-8 text after row 0"),
    "a time beyond Python's": (
        one(pa.array(["2"]), t=pa.array([2**62], pa.timestamp("us"))),
        r"after row 0: .*range\.$",
    ),
    "a column twice": (
        pa.table([pa.array(["?"]), pa.array(["1"]), pa.array(["2"])], names=["question", "answer", "answer"]),
        r"has several columns of one name \(answer\)",
    ),
    "a key twice": (
        one(pa.array(["2"]), s=pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])),
        r"cannot be read after row 0: .*duplicate",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    table, message = TABLES[kind]
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        load_problems(tmp_path / "a.parquet")


def test_what_is_odd_and_an_answer_all_the_same_is_read(tmp_path: Path) -> None:
    pq.write_table(one(pa.array([decimal.Decimal("2.50")])), tmp_path / "decimal.parquet")
    pq.write_table(one(pa.array(["2"]).dictionary_encode()), tmp_path / "dictionary.parquet")
    (tmp_path / "controls.jsonl").write_bytes(b"\xef\xbb\xbf" + row(answer="2\0\x1b").encode().replace(b"\n", b"\r\n"))
    (tmp_path / "parts.jsonl").write_text(turns({"role": "user", "content": [{"type": "text", "text": "1+1?"}]}))
    golds = {path.stem: load_problems(path)[0].gold for path in sorted(tmp_path.iterdir())}
    assert golds == {"controls": "2\0\x1b", "decimal": "2.50", "dictionary": "2", "parts": "2"}
    assert load_problems(tmp_path / "parts.jsonl")[0].messages == (ASKED,)


@pytest.mark.parametrize("gold", [None, "", " ", float("nan"), []])
def test_no_gold_is_none(gold: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(row(answer=gold) if gold != [] else row())
    assert (load_problems(path)[0].gold is None) == (gold != [])


def test_a_gold_that_nests_without_end_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(row(answer="[" * 10**5))
    assert load_problems(tmp_path / "a.jsonl")[0].gold == "[" * 10**5


@pytest.mark.parametrize("kind", ["pipe", "pipe in a folder", "pipe of text", "link", "device", "folder in a folder"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    name = tmp_path / ("a.txt" if kind == "pipe of text" else "a.jsonl")
    if kind.startswith("pipe"):
        os.mkfifo(name)
    elif kind == "link":
        name.symlink_to(name)
    else:
        name.mkdir()
    source = {"device": Path("/dev/zero"), "pipe": name, "link": name, "pipe of text": name}.get(kind, tmp_path)
    with pytest.raises(DataError, match=r"is a (pipe, a device or a link that leads nowhere|folder), not a file"):
        list(read_parts(corpus_parts(str(source), "text"))) if kind == "pipe of text" else load_problems(source)


@pytest.mark.parametrize("name", ["/" + "a" * 5000 + ".jsonl", "a\0b.jsonl"])
def test_a_name_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="can be no file or data set"):
        load_problems(name)


def test_a_path_that_is_not_utf8_is_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J.jsonl")
    Path(path).write_text(row(answer=None) + row(question=["?"]))
    assert run(["data", "inspect", path]) == 1
    assert "\\xff\\x1b[2J.jsonl, row 2: field 'question'" in capsys.readouterr().err
    Path(path).write_text(row(answer=None))
    assert run(["data", "inspect", path, "--json"]) == 0
    assert "\\xff" in capsys.readouterr().err


def test_what_turns_hold_beside_text_is_said_with_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    named = turns({**ASKED, "name": "Ann", "weight": None}) + turns(ASKED, {**ASKED, "name": "Bob"})
    (tmp_path / "a.jsonl").write_text(named + row(images=[], tools="[{}]"))
    load_problems(tmp_path / "a.jsonl")
    assert caplog.messages[0].endswith("what its rows hold beside the question: `name` 2 times, `tools` 1 times.")
    assert len(caplog.messages) == 1


def test_ids_stay_different_whatever_they_are(tmp_path: Path) -> None:
    names = ["a", "a", "a#2", "a"]
    (tmp_path / "a.jsonl").write_text("".join(row(id=name, question=f"{i}?") for i, name in enumerate(names)))
    found = [problem.id for problem in load_problems(tmp_path / "a.jsonl", columns={"id": "id"})]
    assert len(set(found)) == 4
    (tmp_path / "a.jsonl").write_text(row(id=None))
    with pytest.raises(DataError, match="row 1: field 'id' should hold the problem's id; it is None"):
        load_problems(tmp_path / "a.jsonl", columns={"id": "id"})


def problem(gold: str = "2", identity: str = "p", text: str = "1+1?") -> Problem:
    return Problem(identity, ({"role": "user", "content": text},), gold, "math", "math")


def test_problems_made_in_python_are_held_to_the_same() -> None:
    sound_problems([problem()])
    for bad in (problem(gold=HALF), problem(identity=HALF), problem(text=HALF)):
        with pytest.raises(DataError, match=r"problem 2 .* holds half of a character"):
            sound_problems([problem(), bad])
    with pytest.raises(DataError, match="field 'gold' holds half of a character"):
        score(problem(gold=HALF), r"\boxed{2}")


def test_a_text_beyond_the_limit_is_refused_in_every_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("presat.tasks.cells.LONGEST", 1000)
    (tmp_path / "a.jsonl").write_text(row(x="y" * 1001))
    with pytest.raises(DataError, match="row 1: field 'x' has 1,001 characters, more than the 1,000"):
        load_problems(tmp_path / "a.jsonl")
    assert sound({"x": nested(DEEPEST - 1)}, "row 1") == {"x": nested(DEEPEST - 1)}


@pytest.mark.parametrize("count", [MEGABYTE, {"right": 1, "samples": 10**9}, {"right": 2, "samples": "x" * 2**20}])
def test_a_solve_count_that_is_none_is_named_shortly(count: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(row(solve=count))
    with pytest.raises(DataError, match=r"field 'solve' (should|says)") as told:
        solve_counts_of(load_problems(tmp_path / "a.jsonl"), "solve", 16)
    assert len(str(told.value)) < 400
