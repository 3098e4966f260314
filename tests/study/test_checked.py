"""What checks found, compared over a study's settings and seeds: real checks of a toy model, run by the real driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.study.test_drive import Quick

import presat
from presat.analysis.numbers import Choices
from presat.cli import run
from presat.config.load import build
from presat.config.schema import CheckConfig, StudyConfig
from presat.config.yamls import read_yaml_file
from presat.errors import ConfigError, RunError
from presat.forecast import run_check
from presat.forecast.evidence import MEANINGS
from presat.forecast.verdict import KINDS
from presat.study import Folder, run_study
from presat.study.checked import NAMES
from presat.study.comparison import Entry, table_of
from presat.study.finished import Cells
from presat.study.folder import CellPart, PointPart
from presat.study.local import Ended
from presat.study.quantities import parse_quantity

CHECK = {"prompts": 8, "samples": 4, "group_size": 4, "max_new_tokens": 12, "max_prompt_tokens": 64, "threads": 1,
         "until_clear": False}  # fmt: skip


class Checking(Quick):
    """Workers that check, here and now."""

    def start(self, name: str, verb: str, config: Path, log: Path) -> None:
        assert verb == "check"
        run_check(build(CheckConfig, read_yaml_file(config)), quiet=True)
        self._over[name] = Ended(0, "")


@pytest.fixture(scope="module")
def checks(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of checks alone: two temperatures, three seeds, the same eight prompts."""
    out = tmp_path_factory.mktemp("checks") / "s"
    data = {"source": "lab/chains", "count": 8, "options": {"operands": [3, 4]}}
    base = {"model": {"name": str(toy_model)}, "data": data, "check": CHECK}
    given = {"study": "s", "out": str(out), "base": base, "axes": {"check.temperature": [1.0, 0.5]}, "seeds": [0, 1, 2]}
    known = run_study(build(StudyConfig, given), tick_s=0, workers=Checking())
    assert [state for state, _ in known.values()] == ["done"] * 6
    return out


def entries(folder: Path, *words: str) -> dict[str, list[Entry]]:
    table = table_of(Cells(Folder(folder), Choices()), [parse_quantity(word) for word in words])
    return {word: [item for item in table.entries if item.quantity.name == word] for word in words}


def test_every_word_is_what_the_check_says(checks: Path) -> None:
    found = entries(checks, *(f"check:{name}" for name in NAMES))
    file = Folder(checks).read()
    runs = {tuple(point.axes.values()): checks / file.cells[point.cells["check"]].path for point in file.points}
    for name in NAMES:
        for item in found[f"check:{name}"]:
            for unit in item.units:
                said = json.loads((runs[item.row[0], unit.seed] / "forecast.json").read_text())
                of, _, kind = name.partition(":")
                verdict = next((one for one in said["verdicts"] if one["kind"] == kind), {})
                of = {"generalise": "probability", "verdict": "label"}.get(of, of)
                assert unit.found.value == (verdict[of] if kind else said["evidence"]["measures"][of]["value"])
    assert {word for item in found["check:verdict:clean"] for word in item.words} <= {
        "generalise", "uncertain", "memorise", "cannot learn"
    }  # fmt: skip


def test_intervals_are_over_seeds_and_prompts(checks: Path) -> None:
    found = entries(checks, "check:length", "check:generalise:clean")
    for item in found["check:length"]:
        assert item.over == "3 seeds, 8 problems"
        assert item.interval is not None
        assert item.interval.low < (item.mean or 0.0) < item.interval.high
        for unit in item.units:
            assert sum(unit.found.by_problem.values()) / 8 == pytest.approx(unit.found.value)
    assert all(not item.problems for item in found["check:generalise:clean"])


def test_checks_alone_are_reported_without_being_asked_for_anything(
    checks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["study", "report", str(checks), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    shown = {item["metric"] for item in said["entries"]}
    assert {"check:avg", "check:aligned_right", "check:generalise:clean"} <= shown
    out = tmp_path / "t.csv"
    words = ["--metric", "check:entropy", "check/entropy", "check:verdict:clean", "--against", "temperature=1.0"]
    assert run(["study", "report", str(checks), *words, "--out", str(out)]) == 0
    assert "check:entropy,0.5,3,3," in out.read_text()


def test_a_check_counts_although_what_follows_it_failed(checks: Path) -> None:
    folder = Folder(checks)
    whole = folder.read()
    file = whole.model_copy(deep=True)
    file.cells["train-x"] = CellPart(stage="train", key="x", after=[], path="runs/train-x", work=1.0)
    file.points = [PointPart(axes=p.axes, cells=p.cells | {"train": "train-x"}) for p in file.points]
    folder.write(file)
    try:
        found = entries(checks, "check:length", "main")
    finally:
        folder.write(whole)
    assert [len(item.values) for item in found["check:length"]] == [3, 3]
    assert [dict(item.missing) for item in found["main"]] == [{"waiting": 1}] * 2


def test_a_wrong_word_is_told_all_there_are() -> None:
    with pytest.raises(ConfigError, match=r"finds no 'aligned_rigth'.*Did you mean 'aligned_right'.*usable, never"):
        parse_quantity("check:aligned_rigth")
    with pytest.raises(ConfigError, match="clean, noisy, majority_vote, self_certainty"):
        parse_quantity("check:")


def test_a_study_without_checks_and_a_damaged_one_are_said(checks: Path) -> None:
    folder = Folder(checks)
    whole = folder.read()
    file = whole.model_copy(deep=True)
    for name, cell in file.cells.items():
        file.cells[name] = cell.model_copy(update={"stage": "sft"})
    file.points = [PointPart(axes=point.axes, cells={"sft": point.cells["check"]}) for point in file.points]
    folder.write(file)
    try:
        with pytest.raises(ConfigError, match="the study has no stage `check`"):
            entries(checks, "check:avg")
    finally:
        folder.write(whole)
    forecast = next(checks.glob("runs/*/forecast.json"))
    text = forecast.read_text()
    forecast.write_text("{}")
    try:
        with pytest.raises(RunError, match=r"forecast\.json is damaged"):
            entries(checks, "check:avg")
    finally:
        forecast.write_text(text)


def test_the_docs_name_every_word() -> None:
    page = (Path(presat.__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*MEANINGS, *KINDS))
