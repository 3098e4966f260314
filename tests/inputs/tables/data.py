"""Files and folders of problems, through `data inspect`."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path

from tests.inputs.case import TRAP, Case, Content, Kit

GOOD = '{"question": "1+1", "answer": "2"}\n'
NOISE = random.Random(0).randbytes(5000)
LONG = "x" * 2_000_000
READS_ON = (0,)
EITHER = (0, 1)


def rows(name: str, content: Content, *says: str, codes=(1,), ending: str = "jsonl") -> Case:
    file = f"rows.{ending}"
    return Case("data", f"{ending}-{name}", f"data inspect {file}", {file: content}, codes, (file, *says))


def table(columns: dict, **types):
    """A parquet file with these columns."""

    def write(path: Path, _: Kit) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {name: pa.array(values, type=types.get(name)) for name, values in columns.items()}
        pq.write_table(pa.table(arrays), path)

    return write


def parquet(name: str, columns: dict, *says: str, codes=(1,)) -> Case:
    return rows(name, table(columns), *says, codes=codes, ending="parquet")


def cut_parquet(start: int, end: int | None):
    def write(path: Path, kit: Kit) -> None:
        table({"question": ["1+1"] * 50, "answer": ["2"] * 50})(path, kit)
        path.write_bytes(path.read_bytes()[start:end])

    return write


def not_utf8(path: Path, _: Kit) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffers = pa.array([b"1+1", b"\xff\xfe"], type=pa.binary()).buffers()
    bad = pa.Array.from_buffers(pa.string(), 2, buffers)
    pq.write_table(pa.table({"question": bad, "answer": ["2", "3"]}), path)


def garbled_parquet(path: Path, kit: Kit) -> None:
    table({"question": ["1+1"] * 50, "answer": ["2"] * 50})(path, kit)
    raw = bytearray(path.read_bytes())
    for place in range(20, len(raw) - 200, 7):
        raw[place] ^= 0xFF
    path.write_bytes(bytes(raw))


def pickled(path: Path, _: Kit) -> None:
    path.write_bytes(trap_pickle())


def trap_pickle() -> bytes:
    import pickle

    class Trap:
        def __reduce__(self):
            return exec, (TRAP,)

    return pickle.dumps(Trap())


def trap_torch(path: Path, _: Kit) -> None:
    """A checkpoint file whose unpickling runs code."""
    import torch

    class Trap:
        def __reduce__(self):
            return exec, (TRAP,)

    torch.save({"state": Trap()}, path)


def workbook(path: Path, _: Kit) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "<x/>")


def line(**row) -> str:
    return json.dumps(row) + "\n"


JSON_LINES = [
    rows("empty", ""),
    rows("blank-lines", "\n\n\n"),
    rows("torn", GOOD + '{"question": "1+1", "ans', "row 2"),
    rows("not-json", GOOD + "question: 1+1\n" + GOOD, "row 2"),
    rows("list", GOOD + "[1, 2]\n", "row 2"),
    rows("number", GOOD + "3\n", "row 2"),
    rows("null", GOOD + "null\n", "row 2"),
    rows("string", GOOD + '"text"\n', "row 2"),
    rows("latin-1", GOOD.encode() + '{"question": "é", "answer": "2"}\n'.encode("latin-1"), "row 2"),
    rows("utf-16", GOOD.encode("utf-16"), "row 1"),
    rows("mark-of-utf-8", b"\xef\xbb\xbf" + GOOD.encode(), codes=READS_ON),
    rows("carriage-returns", GOOD.replace("\n", "\r\n") * 2, codes=READS_ON),
    rows("old-mac", GOOD.replace("\n", "\r") * 2),
    rows("noise", NOISE, "row 1"),
    rows("zeros", b"\0" * 5000, "row 1"),
    rows("gzip", gzip.compress(GOOD.encode(), mtime=0), "row 1"),
    rows("pickle", trap_pickle(), "row 1"),
    rows("pretty", json.dumps({"question": "1+1", "answer": "2"}, indent=1), "row 1"),
    rows("array", "[" + GOOD + "]", "row 1"),
    rows("single-quotes", GOOD + "{'question': '1+1'}\n", "row 2"),
    rows("trailing-comma", GOOD + '{"question": "1+1", "answer": "2",}\n', "row 2"),
    rows("question-number", GOOD + line(question=3, answer="2"), "row 2"),
    rows("question-null", GOOD + line(question=None, answer="2"), "row 2"),
    rows("question-list", GOOD + line(question=["1+1"], answer="2"), "row 2"),
    rows("question-object", GOOD + line(question={"a": 1}, answer="2"), "row 2"),
    rows("question-missing", GOOD + line(answer="2"), "row 2"),
    rows("question-nowhere", line(text="1+1", label="2")),
    rows("question-deep", GOOD + '{"question": ' + "[" * 200_000 + "]" * 200_000 + "}\n", "row 2"),
    rows("question-megabytes-of-list", GOOD + line(question=[LONG], answer="2"), "row 2"),
    rows("answer-object", GOOD + line(question="1+1", answer={"a": 2}), "row 2"),
    rows("answer-pair", GOOD + line(question="1+1", answer=["2", "3"]), codes=(0,)),
    rows("answer-deep", GOOD + '{"question": "1+1", "answer": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}\n", "row 2"),
    rows("answer-of-5000-digits", GOOD + '{"question": "1+1", "answer": ' + "9" * 5000 + "}\n", codes=EITHER),
    rows("answer-nan", GOOD + '{"question": "1+1", "answer": NaN}\n', codes=EITHER),
    rows("answer-megabytes-of-object", GOOD + line(question="1+1", answer={"a": LONG}), "row 2"),
    rows("half-a-character-in-the-question", GOOD + '{"question": "\\ud800", "answer": "2"}\n', "row 2"),
    rows("half-a-character-in-the-answer", GOOD + '{"question": "1+1", "answer": "\\udfff"}\n', "row 2"),
    rows("half-a-character-in-the-id", GOOD + '{"id": "\\ud800", "question": "1", "answer": "2"}\n', "row 2"),
    rows("half-a-character-in-a-column", GOOD + '{"\\ud800": 1, "question": "1", "answer": "2"}\n', "row 2"),
    rows("half-a-character-aside", GOOD + '{"extra": {"a": ["\\ud83d"]}, "question": "1", "answer": "2"}\n', "row 2"),
    rows("escape-in-a-column", '{"\\u001b]0;owned\\u0007": 1}\n'),
    rows("escape-in-the-question", GOOD + '{"question": ["\\u001b[2J"], "answer": "2"}\n', "row 2"),
    rows("escape-in-the-answer", GOOD + '{"question": "1", "answer": {"\\u001b[2J": "\\u202e"}}\n', "row 2"),
    rows("escape-in-the-id", '{"id": "\\u001b[31m", "question": "1", "answer": "x"}\n', codes=EITHER),
    rows("id-object", GOOD + line(id={"a": 1}, question="1+1", answer="2"), codes=EITHER),
    rows("ids-twice", line(id="a", question="1+1", answer="2") * 2, codes=EITHER),
    rows("messages-text", line(messages="1+1", answer="2"), codes=(0,)),
    rows("messages-empty", line(messages=[], answer="2"), "row 1"),
    rows("messages-null", line(messages=None, answer="2"), "row 1"),
    rows("messages-of-text", line(messages=["1+1"], answer="2"), "row 1"),
    rows("messages-without-content", line(messages=[{"role": "user"}], answer="2"), "row 1"),
    rows("messages-content-null", line(messages=[{"role": "user", "content": None}], answer="2"), "row 1"),
    rows("messages-content-parts", line(messages=[{"role": "user", "content": [{"text": "1"}]}], answer="2"), "row 1"),
    rows("messages-role-number", line(messages=[{"role": 1, "content": "1"}], answer="2"), "row 1"),
    rows("verl-without-a-prompt", line(data_source="x", reward_model={"ground_truth": "2"}), "row 1"),
    rows("verl-reward-model-text", line(data_source="x", prompt=[{"role": "user", "content": "1"}], reward_model="2"),
         "row 1", codes=EITHER),
    rows("verl-without-a-truth", line(data_source="x", prompt=[{"role": "user", "content": "1"}], reward_model={}),
         codes=EITHER),
    rows("verl-extra-text", line(data_source="x", prompt=[{"role": "user", "content": "1"}],
                                 reward_model={"ground_truth": "2"}, extra_info="x"), codes=EITHER),
    rows("verl-presat-garbled", line(data_source="x", prompt=[{"role": "user", "content": "1"}],
                                     reward_model={"ground_truth": "2"}, extra_info={"presat": "{"}), "row 1"),
    rows("gym-without-an-entry", line(question="1", answer="2", metadata={"source_dataset": "quantum_lock"}),
         codes=EITHER),
]  # fmt: skip
CSV = [
    rows("empty", "", ending="csv"),
    rows("header-alone", "question,answer\n", ending="csv"),
    rows("no-question", "text,label\n1,2\n", ending="csv"),
    rows("header-twice", "question,answer,answer\n1+1,2,3\n", "answer", ending="csv"),
    rows("more-cells", "question,answer\n1+1,2\n1+2,3,4\n", "row 3", ending="csv"),
    rows("fewer-cells", "question,answer\n1+1,2\n1+2\n", "row 3", ending="csv", codes=EITHER),
    rows("open-quote", 'question,answer\n1+1,2\n"1+2,3\n', ending="csv"),
    rows("zero-byte", b"question,answer\n1+1,2\n1\0,3\n", ending="csv", codes=(0,)),
    rows("latin-1", "question,answer\n1+1,2\né,3\n".encode("latin-1"), ending="csv"),
    rows("utf-16", "question,answer\n1+1,2\n".encode("utf-16"), ending="csv"),
    rows("noise", NOISE, ending="csv"),
    rows("cell-of-megabytes", f"question,answer\n1+1,2\n{LONG},3\n", ending="csv", codes=EITHER),
    rows("question-empty", "question,answer\n1+1,2\n,3\n", "row 3", ending="csv"),
    rows("columns-3000", ",".join(f"c{i}" for i in range(3000)) + "\n" + ",".join("1" * 3000) + "\n", ending="csv"),
    rows("escape-in-a-column", "\x1b[2J,answer\n1,2\n", ending="csv"),
]
PARQUET = [
    rows("empty", b"", ending="parquet"),
    rows("text", GOOD, ending="parquet"),
    rows("noise", NOISE, ending="parquet"),
    rows("magic-alone", b"PAR1", ending="parquet"),
    rows("magic-twice", b"PAR1PAR1", ending="parquet"),
    rows("footer-of-noise", b"PAR1" + NOISE + b"\xff\xff\xff\x7fPAR1", ending="parquet"),
    rows("cut", cut_parquet(0, -100), ending="parquet"),
    rows("cut-early", cut_parquet(0, 200), ending="parquet"),
    rows("head-lost", cut_parquet(50, None), ending="parquet"),
    rows("garbled", garbled_parquet, ending="parquet", codes=EITHER),
    rows("not-utf-8", not_utf8, ending="parquet"),
    rows("pickle", pickled, ending="parquet"),
    parquet("no-rows", {"question": [], "answer": []}),
    parquet("no-columns", {}),
    parquet("question-numbers", {"question": [1, 2], "answer": ["2", "3"]}, "row 1"),
    parquet("question-null", {"question": ["1+1", None], "answer": ["2", "3"]}, "row 2"),
    parquet("question-bytes", {"question": [b"1+1"], "answer": ["2"]}, "row 1"),
    parquet("question-lists", {"question": [["1+1"]], "answer": ["2"]}, "row 1"),
    parquet("answer-lists", {"question": ["1+1"], "answer": [["2", "3"]]}, codes=(0,)),
    parquet("answer-structs", {"question": ["1+1"], "answer": [{"a": "2"}]}, "row 1"),
    parquet("answer-bytes", {"question": ["1+1"], "answer": [b"2"]}, "row 1"),
    parquet("prompt-of-numbers", {"prompt": [[1]], "reward_model": [{"ground_truth": "2"}]}, "row 1"),
    parquet("prompt-without-content", {"prompt": [[{"role": "user"}]], "reward_model": [{"ground_truth": "2"}]},
            "row 1"),
    parquet("truth-a-struct", {"prompt": [[{"role": "user", "content": "1"}]],
                               "reward_model": [{"ground_truth": {"a": 1}}]}, "row 1"),
    parquet("presat-garbled", {"prompt": [[{"role": "user", "content": "1"}]],
                               "reward_model": [{"ground_truth": "2"}], "extra_info": [{"presat": "["}]}, "row 1"),
    parquet("escape-in-a-column", {"\x1b[2J": ["1"]}),
]  # fmt: skip


def folder(name: str, files: dict[str, Content], *says: str, codes=(1,), more: str = "") -> Case:
    return Case("data", f"folder-{name}", f"data inspect there {more}", files, codes, ("there", *says))


def saved(damage):
    """A saved dataset with something done to it."""

    def write(path: Path, kit: Kit) -> None:
        shutil.copytree(kit.dataset, path)
        damage(path)

    return write


def arrow(path: Path) -> Path:
    return next(path.glob("*.arrow"))


def put(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def drop(name: str):
    return lambda folder: (folder / name).unlink()


FOLDERS = [
    folder("empty", {"there": lambda path, _: path.mkdir()}),
    folder("nothing-to-read", {"there/notes.md": "x", "there/a.bin": NOISE}),
    folder("of-code", {"there/there.py": TRAP, "there/dataset_infos.json": "{}"}),
    folder("two-kinds", {"there/a.jsonl": GOOD, "there/b.csv": "x,y\n1,2\n"}, codes=EITHER),
    folder("second-file-torn", {"there/a.jsonl": GOOD, "there/b.jsonl": '{"ques'}, "b.jsonl"),
    folder("second-file-empty", {"there/a.parquet": table({"question": ["1"], "answer": ["2"]}),
                                 "there/b.parquet": b""}, "b.parquet"),
    folder("second-file-other-columns", {"there/a.jsonl": GOOD, "there/b.jsonl": line(x=1)}, "b.jsonl"),
    folder("links-in-a-circle", {"there/a.jsonl": lambda path, _: path.symlink_to(path)}),
    folder("saved-without-state", {"there": saved(drop("state.json"))}, codes=EITHER),
    folder("saved-state-garbled", {"there": saved(put("state.json", b"{"))}),
    folder("saved-state-a-list", {"there": saved(put("state.json", b"[]"))}),
    folder("saved-state-empty", {"there": saved(put("state.json", b"{}"))}),
    folder("saved-state-leads-out", {"there": saved(put("state.json", json.dumps({
        "_data_files": [{"filename": "../../../etc/passwd"}], "_fingerprint": "x", "_format_columns": None,
        "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None}).encode()))}),
    folder("saved-info-garbled", {"there": saved(put("dataset_info.json", b"\xff{"))}),
    folder("saved-info-a-list", {"there": saved(put("dataset_info.json", b"[]"))}, codes=EITHER),
    folder("saved-without-arrow", {"there": saved(lambda path: arrow(path).unlink())}),
    folder("saved-arrow-cut", {"there": saved(lambda path: arrow(path).write_bytes(arrow(path).read_bytes()[:150]))}),
    folder("saved-arrow-empty", {"there": saved(lambda path: arrow(path).write_bytes(b""))}),
    folder("saved-arrow-noise", {"there": saved(lambda path: arrow(path).write_bytes(NOISE))}),
    folder("saved-no-such-split", {"there": saved(lambda path: None)}, codes=EITHER, more="--split validation"),
    folder("saved-no-such-column", {"there": saved(lambda path: None)}, more="--columns question text"),
    folder("dict-garbled", {"there/dataset_dict.json": "{"}),
    folder("dict-of-nothing", {"there/dataset_dict.json": '{"splits": []}'}),
    folder("dict-of-missing", {"there/dataset_dict.json": '{"splits": ["train"]}'}),
]  # fmt: skip
ENDINGS = [
    rows("any", "1+1 = 2\n", ending="txt"),
    rows("any", workbook, ending="xlsx"),
    rows("any", GOOD, ending="json", codes=EITHER),
    rows("trap", pickled, ending="pkl"),
    rows("trap", trap_torch, ending="pt"),
    rows("trap", TRAP, ending="py"),
    rows("any", NOISE, ending="npy"),
    rows("any", gzip.compress(GOOD.encode(), mtime=0)[:-9], ending="jsonl.gz"),
    rows("any", b"SQLite format 3\0", ending="db"),
]
CASES = [*JSON_LINES, *CSV, *PARQUET, *FOLDERS, *ENDINGS]
