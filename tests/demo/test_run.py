"""The demo, whole, with the RL cut short: one screen and one page, goes on where it was, repeats itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from presat.cli import run
from presat.config.load import load_config
from presat.config.schema import DemoConfig
from presat.demo.grid import BRANCHES, base_label, slug, study_of, tried_label
from presat.demo.measure import Measurer
from presat.errors import RunError
from presat.study import Folder, Watcher
from presat.study.contents import Contents
from presat.study.plan import Plan, make_plan
from presat.tracking import open_run

RL_STEPS = 4


def demo(out: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    steps = str(RL_STEPS)
    words = ["demo", "--out", str(out), "--seed", "0", "--rl.steps", steps, "--rl.eval.every", steps, "--json"]
    code = run(words)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


@pytest.mark.timeout(900)
def test_the_demo_ends_in_a_report_goes_on_and_repeats_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    found = demo(out, capsys)
    assert [r["name"] for r in found["runs"]] == list(BRANCHES)
    assert found["stages"]["base"]["recall"] >= 0.95
    assert found["stages"]["cpt_thinking-sft"]["valid_short"] >= 0.75
    for branch in BRANCHES:
        logged = open_run(out / slug(branch) / "rl")
        assert len(logged.train_rewards()) == RL_STEPS
        for name in ("held_out", "mostly_minus"):
            steps, _ = logged.eval_series(name, "valid_trace")
            assert steps.tolist() == [0, RL_STEPS]
            assert {"avg@16", "pass@16", "greedy"} <= set(logged.eval_metrics()[name])
        made = found["stages"][f"{slug(branch)}-rl"]["solve_counts"]
        assert len(made) == 8
        assert all(1 <= count <= 15 for count in made)
    thinking, plain = (open_run(out / slug(b) / "rl").config for b in ("CPT + Thinking", "CPT + Non-Thinking"))
    assert (thinking["reward"]["gate"], plain["reward"]["gate"]) == ("think", "none")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(branch in page for branch in BRANCHES)
    # self-contained: the one address in it is a setting of the configuration it shows
    assert "http://" not in page.replace("http://www.w3.org", "").replace("url: http://localhost:8000/v1", "")

    rewards = open_run(out / "cpt_thinking" / "rl").train_rewards().tolist()
    assert {cell.state for cell in Watcher(Folder(out)).look().cells} == {"done"}
    shutil.rmtree((out / "cpt_thinking" / "rl").resolve())
    kept = (out / "base_thinking" / "rl" / "metrics.jsonl").stat().st_mtime_ns
    again = demo(out, capsys)
    assert open_run(out / "cpt_thinking" / "rl").train_rewards().tolist() == rewards
    assert (out / "base_thinking" / "rl" / "metrics.jsonl").stat().st_mtime_ns == kept
    assert again["stages"] == found["stages"]


ALL = {base_label(1): 1.0, **{tried_label(f"{start} + Thinking", 4): 1.0 for start in ("CPT", "Base")}}


def plan(tmp_path: Path, measured: dict[str, float]) -> Plan:
    config = load_config(DemoConfig, "demo").model_copy(update={"out": tmp_path})
    return make_plan(study_of(config, measured), Folder(tmp_path), Contents(tmp_path / "hashes.json"))


def settings(found: Plan, stage: str) -> dict[str, Any]:
    """A stage's settings by the label of the model."""
    labels = list(found.axes[0].values)
    cells = [cell for cell in found.cells.values() if cell.stage == stage]
    return {labels[number]: cell.settings for cell in cells for number in cell.points}


def test_both_sft_styles_see_the_same_prompts_and_every_branch_the_same_rl(tmp_path: Path) -> None:
    found = plan(tmp_path, ALL)
    sft, rl, chosen = (settings(found, stage) for stage in ("sft", "train", "filter"))
    assert {branch: sft[branch]["thinking"] for branch in BRANCHES} == {b: "Non" not in b for b in BRANCHES}
    assert all(sft[branch]["data"] == sft["CPT + Thinking"]["data"] for branch in BRANCHES)
    assert [rl[branch]["reward"]["gate"] for branch in BRANCHES] == ["think", "think", "none", "none"]
    for each in (rl, chosen):
        for values in each.values():
            for name in ("run", "out", "reward"):
                values.pop(name, None)
            values["model"].pop("name")
            values["data"].pop("source")
        assert len(each) == len(BRANCHES)
        assert all(values == each["CPT + Thinking"] for values in each.values())
    models = {label: cell.model_of for cell in found.cells.values() if cell.stage == "sft"
              for label in (list(found.axes[0].values)[number] for number in cell.points)}  # fmt: skip
    made_by = {branch: found.cells[models[branch]].stage for branch in BRANCHES}
    assert made_by == {branch: "cpt" if branch.startswith("CPT") else "pretrain" for branch in BRANCHES}


def test_the_grid_grows_by_what_is_measured(tmp_path: Path) -> None:
    def labels(measured: dict[str, float]) -> list[str]:
        return list(plan(tmp_path, measured).axes[0].values)

    assert labels({}) == ["base 1"]
    assert labels({"base 1": 0.5}) == ["base 1", "base 2"]
    first = labels({"base 1": 0.5, "base 2": 0.95})
    assert first[2:] == ["CPT + Thinking, 4 epochs", "Base + Thinking, 4 epochs", "CPT + Non-Thinking",
                         "Base + Non-Thinking"]  # fmt: skip
    low = {f"Base + Thinking, {epochs} epochs": 0.1 for epochs in range(4, 8)}
    more = labels(ALL | low)
    assert "CPT + Thinking" in more
    assert "Base + Thinking, 8 epochs" in more
    assert "Base + Thinking" not in more
    most = plan(tmp_path, ALL | low | {"Base + Thinking, 8 epochs": 0.2})  # the most that is allowed
    assert settings(most, "sft")["Base + Thinking"]["epochs"] == 8
    assert settings(most, "pretrain")["base 1"]["seed"] == 20
    again = plan(tmp_path, {"base 1": 0.5})
    assert settings(again, "pretrain")["base 2"] | {"run": ""} == settings(again, "pretrain")["base 1"] | {
        "run": "", "seed": 1020, "model": settings(again, "pretrain")["base 2"]["model"]
    }  # fmt: skip


def test_nothing_is_measured_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from presat.study.drive import study_file

    config = load_config(DemoConfig, "demo").model_copy(update={"out": tmp_path})
    found = plan(tmp_path, {})
    Folder(tmp_path).write(study_file(found, Folder(tmp_path), 2))
    monkeypatch.setattr("presat.demo.measure.recalled", lambda _: 0.98765)
    (name,) = [cell.name for cell in found.cells.values()]
    grown = Measurer(config).grow({name: ("done", "")})
    assert "CPT + Non-Thinking" in grown.axes["model"]
    monkeypatch.setattr("presat.demo.measure.recalled", lambda _: 0.0)
    again = Measurer(config)
    assert again.grow({name: ("done", "")}) == grown
    assert again.measured == {"base 1": 0.9877}
    assert Measurer(config).grow({name: ("running", "")}) is None


def test_fewer_epochs_at_most_than_at_least_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--max-epochs", "2"]) == 2
    assert "max_epochs must be at least thinking.epochs (4)" in capsys.readouterr().err


def test_a_base_model_that_cannot_recall_is_said() -> None:
    with pytest.raises(RunError, match=r"None of 5 base models learned to recall \(the last: 0.30, needed: 0.95\)"):
        study_of(load_config(DemoConfig, "demo"), {base_label(n): 0.3 for n in range(1, 6)})


def test_any_seed_has_a_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from presat.models.fresh import new_folder

    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))

    config = load_config(DemoConfig, "demo").model_copy(update={"out": tmp_path, "seed": 2**31 - 1})
    name = study_of(config, {}).axes["model"]["base 1"]["model.name"]
    assert (new_folder(name) / "model.safetensors").is_file()
