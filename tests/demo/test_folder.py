"""The demo removes what it made and nothing else, and uses no folder that is not its own."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from presat.cli import run
from presat.demo.folder import STAMP, link_stages
from presat.errors import RunError
from presat.tracking import RunWriter
from presat.tracking.lock import RunLock

FOREIGN = "presat demo` did not make that folder"
OLD_STAMP = {"key": "0123", "result": {"model": "base/try_1", "recall": 1.0, "attempts": 1}}


class FirstStageError(RunError):
    """The demo came to its first stage."""


@pytest.fixture
def demo(monkeypatch, capsys):
    """Run the demo up to its first stage; return whether it came there, and what it said."""

    def first_stage(*_):
        raise FirstStageError("the first stage.")

    monkeypatch.setattr("presat.demo.run._run", first_stage)

    def start(out: Path, *words: str) -> tuple[bool, str]:
        assert run(["demo", "--out", str(out), *words]) == 1
        said = capsys.readouterr().err
        assert said.count("presat: ") == 1
        assert "Unexpected" not in said
        return said == "presat: the first stage.\n", said

    return start


def files(folder: Path) -> set[str]:
    """All that is in a folder but the demo's lock and the empty folders it begins with."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return found - {".lock", ".lock.json", "study.json"}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_fresh_removes_what_the_demo_made_and_nothing_else(demo, tmp_path):
    out = tmp_path / "demo"
    assert demo(out)[0]
    assert json.loads((out / STAMP).read_text())["kind"] == "presat demo"
    theirs = (".git/HEAD", "notes.txt", "other/rl/metrics.jsonl", "base.txt")
    ours = ["runs/train-x/x", "data/filter-x.parquet", "cells/x.json", "configs/x.yaml", "logs/x.log", "measured.json"]
    touch(out, *theirs, *ours)
    link_stages(out, {"base": "pretrain-x", "cpt_thinking/rl": "train-x"})
    before = files(out)
    assert demo(out)[0]
    assert files(out) == before
    assert (out / "cpt_thinking" / "rl" / "x").is_file()
    assert demo(out, "--fresh")[0]
    assert {name for name in files(out) if (out / name).is_file()} == {STAMP, *theirs}


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["goes on", "fresh"])
def test_a_page_of_somebody_elses_in_a_demos_folder_is_left(tmp_path, demo, capsys, fresh):
    assert demo(tmp_path / "demo")[0]
    touch(tmp_path / "demo", "report.html")
    assert run(["demo", "--out", str(tmp_path / "demo"), *fresh]) == 2
    assert "report.html" in capsys.readouterr().err
    assert (tmp_path / "demo" / "report.html").read_text() == "x"


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["goes on", "fresh"])
@pytest.mark.parametrize("kind", ["files", "git", "runs", "a run", "another stamp", "a damaged stamp", "another study"])
def test_a_folder_the_demo_did_not_make_is_refused_and_left_as_it_is(demo, tmp_path, kind, fresh):
    out = tmp_path / "out"
    if kind == "a run":
        with RunWriter(out, {}, "train") as writer:
            writer.append(1, {"reward": 1.0})
    touch(out, *{"git": [".git/HEAD"], "runs": ["base/metrics.jsonl", "mine/config.yaml"]}.get(kind, ["mine.txt"]))
    if kind == "another stamp":
        (out / STAMP).write_text('{"kind": "a demo of something else"}')
    elif kind == "a damaged stamp":
        (out / STAMP).write_text("[[")
    elif kind == "another study":
        touch(out, "stages/base.json")
        (out / "stages" / "base.json").write_text('{"key": "1", "result": [1]}')
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    came, said = demo(out, *fresh)
    assert not came
    assert FOREIGN in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_the_folder_of_an_earlier_demo_is_recognised_and_started_over_when_asked(demo, tmp_path):
    touch(tmp_path, "base/try_1/metrics.jsonl", "stages/base.json", "mine.txt", "cpt_thinking/rl/metrics.jsonl")
    (tmp_path / "stages" / "base.json").write_text(json.dumps(OLD_STAMP))
    came, said = demo(tmp_path)
    assert not came
    assert "An earlier version made the demo" in said
    assert (tmp_path / "cpt_thinking" / "rl" / "metrics.jsonl").is_file()
    assert demo(tmp_path, "--fresh")[0]
    assert files(tmp_path) == {STAMP, "mine.txt"}


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["goes on", "fresh"])
def test_a_link_out_of_the_folder_is_not_followed(demo, tmp_path, fresh):
    precious, out = tmp_path / "precious", tmp_path / "demo"
    touch(precious, "data.txt", "rl/metrics.jsonl")
    out.symlink_to(precious)
    assert FOREIGN in demo(out, *fresh)[1]
    out.unlink()
    assert demo(out)[0]
    (out / "cpt_thinking").symlink_to(precious)
    came, said = demo(out, *fresh)
    assert not came
    assert f"{out / 'cpt_thinking'} is a link" in said
    assert files(precious) == {"data.txt", "rl", "rl/metrics.jsonl"}


def test_what_is_in_the_way_of_a_link_is_said_and_links_follow_their_cells(tmp_path):
    touch(tmp_path, "cpt/mine.txt")
    with pytest.raises(RunError, match="cpt is in the way of a link"):
        link_stages(tmp_path, {"cpt": "cpt-1"})
    for cell in ("cpt-1", "cpt-2", "cpt-2"):
        link_stages(tmp_path, {"cpt_thinking/sft": cell})
        assert (tmp_path / "cpt_thinking" / "sft").readlink() == Path("..", "runs", cell)


def test_two_demos_in_one_folder_are_refused(demo, tmp_path):
    out = tmp_path / "demo"
    assert demo(out)[0]
    touch(out, "base/x")
    lock = RunLock(out)
    for words in ((), ("--fresh",)):
        assert f"is being written by process {os.getpid()}" in demo(out, *words)[1]
    lock.release()
    assert (out / "base" / "x").is_file()
    assert demo(out)[0]


def test_a_folder_that_cannot_be_had_is_said(demo, tmp_path, monkeypatch):
    touch(tmp_path, "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for out in (tmp_path / "file", tmp_path / "file" / "demo", tmp_path / "nowhere"):
        assert "The demo cannot have" in demo(out)[1]

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left on device" in demo(tmp_path / "full")[1]
