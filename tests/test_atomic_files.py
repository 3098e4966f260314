"""Files are whole or not there, whoever is killed when; lines of JSON are read one way."""

import ast
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import presat
from presat.errors import RunError
from presat.files import atomically, remove_leftovers, write_atomically
from presat.jsons import json_lines

SOURCE = Path(presat.__file__).parent
KILLED = """
import os, signal, sys
from pathlib import Path
from presat.files import atomically
with atomically(Path(sys.argv[1])) as draft:
    if sys.argv[2] == "folder":
        draft.mkdir()
        draft = draft / "inner"
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed_while_writing(path, kind="file"):
    done = subprocess.run([sys.executable, "-c", KILLED, path, kind], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path, kind):
    path = tmp_path / "kept"
    if kind == "file":
        path.write_text("old")
    killed_while_writing(path, kind)
    assert (path.read_text() if path.exists() else None) == ("old" if kind == "file" else None)
    assert len([name for name in names(tmp_path) if name.endswith(".part")]) == 1
    write_atomically(tmp_path / "other", "new")  # somebody else's leftovers are not its business
    assert len(names(tmp_path)) == len({"kept", "other"} & {*names(tmp_path)}) + 1
    with atomically(path) as draft:
        assert draft.parent == path.parent
        draft.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["kept", "other"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept"
    path.write_text("old")

    def write(kind, error):
        with atomically(path) as draft:
            if kind == "folder":
                draft.mkdir()
                draft = draft / "inner"
            draft.write_text("half")
            raise error

    for kind in ("file", "folder"):
        for error in (ZeroDivisionError, KeyboardInterrupt):
            with pytest.raises(error):
                write(kind, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["kept"]


def test_what_may_still_be_written_is_left_alone(tmp_path):
    """A draft of a living process, a young one of another machine, and files that only look a little like drafts."""
    with atomically(tmp_path / "mine") as draft:
        draft.write_text("half")
        remove_leftovers(tmp_path)
        assert draft.is_file()
    elsewhere = tmp_path / ".theirs.00000000-1.part"
    elsewhere.write_text("half")
    (tmp_path / ".note.part").write_text("a user's")
    (tmp_path / ".a.b.part").write_text("a user's")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".a.b.part", ".note.part", elsewhere.name, "mine"]
    os.utime(elsewhere, (time.time() - 2 * 86400,) * 2)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".a.b.part", ".note.part", "mine"]


def test_a_name_with_pattern_signs_is_taken_literally(tmp_path):
    write_atomically(tmp_path / "eval[*]?.json", "{}")
    killed_while_writing(tmp_path / "evala.json")
    write_atomically(tmp_path / "eval[*]?.json", "{}")
    assert len(names(tmp_path)) == 2


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(RunError, match=r"Cannot write .*No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "file", "")


def test_nobody_renames_into_place_by_hand():
    """`atomically` alone does: what others leave half-written nobody would know how to remove."""
    known = {
        ("files", "replace"),
        ("tracking.checkpoints", "rename"),  # TRL writes its own folder; the run's lock is held
        ("training.supervised.token_file", "rename"),  # kept on purpose when killed: the next one goes on with it
    }
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            # str.replace takes two arguments, Path.replace and Path.rename one
            call = node.func if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords else None
            if isinstance(call, ast.Attribute) and call.attr in ("replace", "rename"):
                found.add((".".join(file.relative_to(SOURCE).with_suffix("").parts), call.attr))
    assert found <= known


def test_lines_are_numbered_and_each_fault_is_told():
    raw = b'\xef\xbb\xbf{"a": 1}\n\n[1]\nnull\n{"a": \n\xff\n{"b": 2}\r\n{"c"'
    found = list(json_lines(io.BytesIO(raw)))
    assert [(line.number, line.row) for line in found if line.row is not None] == [(1, {"a": 1}), (7, {"b": 2})]
    faults = [(line.number, line.fault.partition(" (")[0], line.torn) for line in found if line.row is None]
    assert faults == [
        (3, "should be a JSON object; it is list", False),
        (4, "should be a JSON object; it is NoneType", False),
        (5, "not JSON", False),
        (6, "not UTF-8 text", False),
        (8, "not JSON", True),
    ]
    assert [line.number for line in json_lines([b"{}\n", b"{}"], first=7)] == [7, 8]
