"""What `presat study` shows: before it runs, when asked how it stands, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from presat.cli import run
from presat.report.study import summary
from presat.study import Folder, Watcher
from presat.study.folder import KIND, CellPart, Record, StudyFile
from presat.tracking import RunWriter
from presat.tracking.lock import RunLock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study of one filter and two runs."""
    base = {
        "model": {"name": "some/model-1.5b"},
        "data": {"source": "lab/chains", "count": 10},
        "filter": {"samples": 4, "max_new_tokens": 10},
        "train": {"steps": 2, "prompts_per_step": 4, "max_new_tokens": 10},
    }
    study = {"study": "s", "out": str(tmp_path / "s"), "base": base, "axes": {"train.optim.lr": [1e-6, 1e-5]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    return tmp_path / "study.yaml"


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_shows_cells_and_costs_and_writes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["study", "run", str(file), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 points, 3 cells" in shown
    assert "upper bounds" in shown
    found = asked(capsys, "study", "run", str(file), "--dry-run")
    assert [row["cells"] for row in found["stages"]] == [1, 2]
    assert found["total"]["sampled"] == 10 * 4 * 10 + 2 * 2 * 4 * 8 * 10
    assert found["total"]["disk"] > 2 * 1.5e9 * 4 * 3
    assert [cell["points"] for cell in found["cells"]] == [[0, 1], [0], [1]]
    assert list(file.parent.iterdir()) == [file]


def test_what_is_not_there_is_said_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = {"study": "s", "base": {"data": {"source": "no/such.parquet"}, "train": {}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert asked(capsys, "study", "run", str(tmp_path / "study.yaml"), "--dry-run")["absent"] == ["no/such.parquet"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["study", "run"], 2, "Which study? `presat study run` takes its YAML file."),
        (["study", "status", "nosuch"], 2, "no configuration file or preset 'nosuch'"),
        (["study"], 2, "`presat study` needs one more word: study run, study status, study report."),
        (["study", "status", "FILE"], 1, "No study was run in"),
        (["study", "run", "--config", "FILE"], 2, "It is a study: `presat study run "),
        (["train", "--config", "FILE"], 2, "It is a study: `presat study run "),
    ],
)
def test_wrong_calls(words: list[str], code: int, said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word.replace("FILE", str(file)) for word in words]) == code
    assert said in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A study with a done, a running, a failed, a skipped and a waiting cell."""
    folder = Folder(tmp_path / "s")
    folder.path.mkdir()
    folder.claim()
    cells = {
        name: CellPart(stage=stage, key=name, after=after, path=f"runs/{name}", work=work, steps=10)
        for name, stage, after, work in (
            ("filter-a", "filter", [], 100.0),
            ("filter-b", "filter", [], 300.0),
            ("train-a", "train", ["filter-a"], 50.0),
            ("train-b", "train", ["filter-b"], 50.0),
            ("train-c", "train", ["filter-a"], 100.0),
        )
    }
    folder.write(StudyFile(kind=KIND, study="s", workers=1, cells=cells))
    folder.run("filter-a").mkdir(parents=True)
    folder.note("filter-a", Record(key="filter-a", state="done", seconds=10.0))
    folder.note("filter-b", Record(key="filter-b", state="failed", seconds=3.0, reason="There is no file x."))
    folder.note("train-a", Record(key="train-a", state="running", started=0.0))
    return folder


def log(folder: Folder, steps: int) -> None:
    with RunWriter(folder.run("train-a"), {"steps": 10}, "train") as writer:
        for step in range(1, steps + 1):
            writer.append(step, {"reward": 0.5})
    path = folder.run("train-a") / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"time": 100.0 + 3 * row["step"]}) + "\n" for row in rows))


def test_what_was_made_and_is_gone_is_said(folder: Folder) -> None:
    folder.run("filter-a").rmdir()
    cell = Watcher(folder).look().cells[0]
    assert (cell.name, cell.state) == ("filter-a", "waiting")
    assert "makes it anew" in cell.reason


def test_a_study_is_told_from_its_folder(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    log(folder, 4)
    lock = RunLock(folder.path)
    standing = Watcher(folder).look()
    states = {cell.name: (cell.state, cell.step, cell.left and round(cell.left)) for cell in standing.cells}
    assert states["train-a"] == ("running", 4, 18)  # six steps of three seconds
    assert states["filter-b"] == ("failed", None, None)
    assert states["train-b"][0] == "skipped"
    assert states["train-c"][0] == "waiting"
    assert standing.active
    assert standing.unmeasured == []
    assert "about" in summary(standing)
    lock.release()
    assert run(["study", "status", str(folder.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "interrupted, step 4 of 10" in shown
    assert "skipped: needs filter-b" in shown
    assert "filter-b failed: There is no file x." in shown
    assert "Nothing runs it now" in shown


def test_stages_that_were_never_timed_are_named(folder: Folder) -> None:
    folder.note("train-a", Record(key="another key", state="done", seconds=9.0))
    standing = Watcher(folder).look()
    assert standing.unmeasured == ["train"]
    assert standing.left is None
    assert {cell.name: cell.state for cell in standing.cells}["train-a"] == "waiting"


def test_cells_that_failed_alike_are_told_together(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train-a", "train-c"):
        folder.note(name, Record(key=name, state="failed", reason="There is no file x."))
    run(["study", "status", str(folder.path)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "filter-b, train-a, train-c failed: There is no file x." in shown
    assert shown.count("There is no file x.") == 1
