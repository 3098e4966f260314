"""Paths that are no files, or odd ones, through the verbs that read."""

from __future__ import annotations

import os

from tests.inputs.case import Case, Content
from tests.inputs.tables.data import GOOD

CURVE = "step,reward\n1,0.5\n2,0.6\n"


def path(name: str, words: list[str] | str, files: dict[str, Content] | None = None, *says: str, codes=(1,)) -> Case:
    return Case("path", name, words, files or {}, codes, says)


def pipe(path, _) -> None:
    os.mkfifo(path)


def closed(path, _) -> None:
    path.write_text(GOOD)
    path.chmod(0)


CASES = [
    path("no-file", "data inspect no_such.parquet", {}, "no_such.parquet"),
    path("no-run", "report no_such", {}, "no_such"),
    path("no-run-to-watch", "watch no_such --once", {}, "no_such", codes=(0, 1)),
    path("folder-called-a-file", "data inspect a.jsonl", {"a.jsonl/x": "1"}, "a.jsonl"),
    path("folder-called-a-table", "report a.csv", {"a.csv/x": "1"}, "a.csv"),
    path("file-as-a-folder", "data inspect a.jsonl/x", {"a.jsonl": GOOD}, "a.jsonl/x"),
    path("pipe-of-rows", "data inspect a.jsonl", {"a.jsonl": pipe}, "a.jsonl"),
    path("pipe-of-a-log", "report a.log", {"a.log": pipe}, "a.log"),
    path("pipe-of-settings", "train --config a.yaml --dry-run", {"a.yaml": pipe}, "a.yaml", codes=(2,)),
    path("zeros-without-end", "report /dev/zero", {}, "/dev/zero"),
    path("random-without-end", "data inspect /dev/urandom", {}, "/dev/urandom"),
    path("nothing-device", "report /dev/null", {}, "/dev/null"),
    path("dangling-link", "data inspect a.jsonl", {"a.jsonl": lambda p, _: p.symlink_to("nowhere")}, "a.jsonl"),
    path("link-to-itself", "data inspect a.jsonl", {"a.jsonl": lambda p, _: p.symlink_to(p)}, "a.jsonl"),
    path("link-to-itself-run", "report a", {"a": lambda p, _: p.symlink_to(p)}),
    path("too-long", ["data", "inspect", "x" * 5000 + ".jsonl"], {}),
    path("too-long-run", ["report", "x" * 5000], {}),
    path("zero", ["data", "inspect", "a\0b.jsonl"], {}, codes=(2,)),
    path("zero-run", ["report", "a\0b"], {}, codes=(2,)),
    path("line-break", ["data", "inspect", "a\nb.jsonl"], {"a\nb.jsonl": "{\n"}, "row 1"),
    path("escape", ["data", "inspect", "\x1b[2J.jsonl"], {"\x1b[2J.jsonl": "{\n"}, "row 1"),
    path("escape-run", ["report", "\x1b[2J.csv"], {"\x1b[2J.csv": "step\nx\n"}, "row 2"),
    path("not-utf-8", ["data", "inspect", "\udcff.jsonl"], {"\udcff.jsonl": "{\n"}, "row 1"),
    path("not-utf-8-read", ["data", "inspect", "\udcff.jsonl"], {"\udcff.jsonl": GOOD}, codes=(0, 1)),
    path("not-utf-8-run", ["report", "\udcff.csv", "--out", "p.html"], {"\udcff.csv": CURVE}, codes=(0, 1)),
    path("not-utf-8-out", ["report", "a.csv", "--out", "\udcff.html"], {"a.csv": CURVE}, codes=(0, 1)),
    path("half-a-character", ["data", "inspect", "\ud800.jsonl"], {}, codes=(2,)),
    path("half-a-character-run", ["report", "\ud800"], {}, codes=(2,)),
    path("brackets", "data inspect 'a[1].jsonl'", {"a[1].jsonl": GOOD, "a1.jsonl": "{"}, codes=(0,)),
    path("stars", "data inspect 'a*.jsonl'", {"a*.jsonl": GOOD, "ab.jsonl": "{"}, codes=(0,)),
    path("stars-folder", "data inspect 'a*'", {"a*/x.jsonl": GOOD, "ab/x.jsonl": "{"}, codes=(0,)),
    path("no-such-user", "data inspect ~nobody_here/x.jsonl", {}),
    path("out-of-a-report-nowhere", "report a.csv --out /dev/null/x/p.html", {"a.csv": CURVE}, "/dev/null"),
    path("out-of-a-report-a-folder", "report a.csv --out there", {"a.csv": CURVE, "there/x": ""}, codes=(1, 2)),
    path("out-of-a-subset-its-source", "data subset --data.source subset.parquet --n 1 --batch 0",
         {"subset.parquet": lambda p, _: subset(p)}, codes=(1, 2)),
    path("demo-in-a-foreign-folder", "demo --out there --fresh", {"there/.git/HEAD": "x", "there/mine": "x"},
         "there", codes=(1, 2)),
    path("demo-in-a-run", "demo --out there --fresh", {"there/provenance.json": "{}", "there/metrics.jsonl": ""},
         "there", codes=(1, 2)),
    path("demo-in-a-file", "demo --out there", {"there": "x"}, "there", codes=(1, 2)),
]  # fmt: skip


def subset(path) -> None:
    import polars as pl

    pl.DataFrame({"question": ["1", "2"], "answer": ["1", "2"], "solve": [3, 4]}).write_parquet(path)
