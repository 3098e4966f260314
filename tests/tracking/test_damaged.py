"""Damaged files of run directories: whatever a file holds, a sentence that names it comes out, and nothing else."""

import contextlib
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from presat.analysis.summary import summarise
from presat.cli import run as cli
from presat.errors import PresatError, RunError
from presat.jsons import read_json
from presat.models import adapters
from presat.report.html import _origin
from presat.report.live import live_view
from presat.report.tables import rows, to_csv
from presat.tracking import RunWriter, open_run, provenance
from presat.tracking.evaluated import note_evaluated
from presat.tracking.follow import follow
from presat.tracking.lock import RunLock
from presat.tracking.state import Stop, stop_of
from presat.training.supervised import example_file, token_file

OTHERS = (None, 3, -1.5, True, "x", [], [1], {}, {"x": 1}, 10**400, "\ud83d")
"""One value of every other kind, to stand in the place of any."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run directory with something in every file that presat reads of one."""
    path = tmp_path_factory.mktemp("saved") / "run"
    with RunWriter(path, {"steps": 4, "stop": {"patience": 2}, "eval": {"sets": [{"name": "s"}]}}, "train") as writer:
        for step in range(5):
            note_evaluated(path, step, "s", "m", {"model": f"{step}", "samples": 4, "seed": 0})
            writer.append(step, {"reward": step / 4, "eval/s/avg@4": step / 5})
        writer.note_provenance(model={"name": "m", "note": "4-bit"}, notes=["slow"], git={"commit": "a" * 40})
        writer.note_stop(Stop(9, "flat", {"window": 5}))
    return path


def places(value, here=()):
    """Every place of a JSON value, keys included as their values' places."""
    yield here
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*here, key))


def put(value, place, other):
    """A copy of a JSON value with another one at a place of it."""
    if not place:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = put(copy[place[0]], place[1:], other)
    return copy


def look(path):
    """All that `report` and `watch --once` make of a run directory."""
    run = open_run(path)
    summary = summarise(run)
    origin = _origin(run, summary)
    to_csv(rows([summary])).encode()
    " ".join([run.status, run.status_reason, *run.notes, *summary.notes]).encode()
    live_view(run), live_view(follow(path).refresh())
    return origin


@pytest.mark.parametrize("name", ["status.json", "provenance.json", "evaluated.json", "config.yaml", "metrics.jsonl"])
def test_a_value_of_another_kind_is_refused_in_a_sentence_or_does_no_harm(saved, tmp_path, name):
    path = shutil.copytree(saved, tmp_path / "run")
    text = (path / name).read_text()
    log = [json.loads(line) for line in text.splitlines()] if name == "metrics.jsonl" else None
    data = log or (yaml.safe_load(text) if name == "config.yaml" else json.loads(text))
    tried = refused = 0
    for place in places(data):
        if log and not place:
            continue
        for other in OTHERS if len(place) == 1 else OTHERS[1:7:4]:
            changed = put(data, place, other)
            (path / name).write_text("".join(json.dumps(row) + "\n" for row in changed) if log else json.dumps(changed))
            tried += 1
            try:
                look(path)
            except PresatError as error:
                refused += 1
                named = name in str(error)
            else:
                named = True
            assert named or name == "config.yaml", (place, other)
    assert tried > 40
    assert refused or log


@pytest.mark.parametrize("name", ["status.json", "provenance.json", "evaluated.json", "config.yaml", "metrics.jsonl"])
@pytest.mark.parametrize("content", ["folder", "deep", "bytes"])
def test_what_is_no_file_of_its_kind_is_named_by_every_reader(saved, tmp_path, capsys, name, content):
    path = shutil.copytree(saved, tmp_path / "run")
    (path / name).unlink()
    if content == "folder":
        (path / name).mkdir()
    else:
        (path / name).write_bytes(
            b"[" * (5_000 if name != "config.yaml" else 200) if content == "deep" else bytes(range(128, 256))
        )
    for words in (["report", str(path), "--out", str(tmp_path / "out.html")], ["watch", str(path), "--once"]):
        status = cli(words)
        said = " ".join(capsys.readouterr().err.split())
        assert "Unexpected" not in said
        if name == "metrics.jsonl" and content != "folder":
            assert status == 0  # a log without a whole line: said in a note
        elif words[0] == "report" or name in ("status.json", "metrics.jsonl"):
            assert status == 1
            assert name in said


def test_a_holder_that_cannot_be_read_still_holds(tmp_path):
    lock = RunLock(tmp_path)
    (tmp_path / ".lock.json").write_text("[1")
    with pytest.raises(RunError, match="being written by another process"):
        RunLock(tmp_path, wait_s=0.1)
    lock.release()


def test_the_message_says_what_should_be_where(tmp_path):
    (tmp_path / "status.json").write_text('{"stop": {"step": "9", "reason": "", "settings": {}}}')
    with pytest.raises(RunError, match=r"status.json is damaged: 'stop.step' should be a valid integer, not '9'"):
        stop_of(tmp_path)
    (tmp_path / "twice.json").write_text('{"a": 1, "a": 2}')
    with pytest.raises(RunError, match="the key 'a' stands twice"):
        read_json(tmp_path / "twice.json")


@pytest.mark.parametrize("name", ["status.json", "provenance.json", "evaluated.json"])
@pytest.mark.parametrize(
    "content", ["[1]", "{", '{"stop": 3, "resumed": 3, "s": {"x": 1}}', '{"s": 1, "git": 1, "status": 1}']
)
def test_a_damaged_run_is_not_gone_on_with(saved, tmp_path, name, content):
    path = shutil.copytree(saved, tmp_path / "run")
    (path / name).write_text(content)
    with pytest.raises(RunError, match=name):  # noqa: SIM117 (the second is what raises)
        with RunWriter(path, {}, "train", resume=True) as writer:
            writer.truncate_after(2)


@pytest.mark.parametrize(
    ("module", "file"), [(token_file, "corpus.json"), (example_file, "examples.json"), (adapters, ".made_from.json")]
)
def test_a_damaged_stamp_is_named(tmp_path, module, file):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text("{}")
    opened = (
        (lambda: adapters.adapter_hash(str(tmp_path), [])) if module is adapters else lambda: module._opened(tmp_path)
    )
    keys = ("documents", "tokens", "dtype", "counts", "adapter", "base")
    for content in ("[1]", *(json.dumps({key: other}) for key in keys for other in ([1], {"x": "y"}, -1, "x"))):
        for folder in (tmp_path, tmp_path / "merged"):
            (folder / file).write_text(content)
        with contextlib.suppress(PresatError):
            opened()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-30]), "cannot be read"),
        (lambda file: (file.unlink(), file.mkdir()), "is a folder"),
        (lambda file: pl.DataFrame({"set": ["held_out"], "score": ["x"]}).write_parquet(file), "`score` should hold"),
        (lambda file: pl.DataFrame({"set": [1], "score": [1.0]}).write_parquet(file), "`set` should hold"),
        (lambda file: pl.DataFrame({"set": ["held_out"], "valid_trace": [[1]]}).write_parquet(file), "`valid_trace`"),
    ],
    ids=["empty", "cut", "folder", "text scores", "numbered sets", "listed traces"],
)
def test_damaged_responses_are_named(make_run, damage, message):
    path: Path = make_run()
    damage(path / "rollouts" / "eval" / "held_out-step_000040.parquet")
    with pytest.raises(RunError, match=message) as caught:
        summarise(open_run(path))
    assert "held_out-step_000040.parquet" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_provenance_is_parsed_once_and_checked(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(provenance, "read_json", lambda path, *shape: read.append(path) or read_json(path, *shape))
    (tmp_path / "provenance.json").write_text('{"command": "train", "more": [1]}')
    assert provenance.read_provenance(tmp_path) == {"command": "train", "more": [1]}
    assert len(read) == 1
    (tmp_path / "provenance.json").write_text('{"command": 3}')
    with pytest.raises(RunError, match=r"provenance\.json is damaged: "):
        provenance.read_provenance(tmp_path)
