"""Points become cells: shared where settings and inputs are the same, known by content, found again by key."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from presat.config.load import build, read_yaml
from presat.config.schema import StudyConfig, TrainConfig
from presat.errors import ConfigError
from presat.study.contents import Contents
from presat.study.estimate import costs_of
from presat.study.folder import Folder
from presat.study.plan import Plan, make_plan

DOCS = Path(__file__).parents[2] / "docs"
PRESETS = Path(str(resources.files("presat.config"))) / "presets"
BASE: dict[str, Any] = {
    "model": {"name": "some/model-135m"},
    "data": {"source": "lab/chains", "count": 20, "options": {"operands": [3, 6]}},
    "sft": {"data": {"source": "lab/chains", "count": 10}},
    "filter": {"samples": 4},
    "subset": {"n": 8},
    "train": {"steps": 5},
}


def plan(tmp_path: Path, **given: Any) -> Plan:
    config = build(StudyConfig, {"study": "s", "out": str(tmp_path / "s"), "base": BASE, **given})
    folder = Folder(tmp_path / "s")
    return make_plan(config, folder, Contents(folder.hashes))


def stages(found: Plan) -> dict[str, int]:
    counts: dict[str, int] = {}
    for cell in found.cells.values():
        counts[cell.stage] = counts.get(cell.stage, 0) + 1
    return counts


def test_stages_are_shared_by_the_points_that_agree_on_them(tmp_path: Path) -> None:
    found = plan(tmp_path, axes={"subset.n": [8, 16]}, seeds=[0, 1, 2], seeded=["train"])
    assert stages(found) == {"sft": 1, "filter": 1, "subset": 2, "train": 6}


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"micro_batch": 7}, r"the stage `train` at .*: micro_batch is 7, which does not divide the 512 responses"),
        ({"reward": {"source": "majority_vot"}}, "the stage `train` at .*: There is no reward 'majority_vot'"),
    ],
)
def test_what_training_would_refuse_is_refused_before_anything_runs(tmp_path: Path, train: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, axes={"train.optim.lr": [1e-6]}, base=BASE | {"train": {"steps": 5, **train}})


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/b", "", ".hidden", "x" * 101])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="called by its name"):
        build(StudyConfig, {"study": name, "base": BASE})


def test_a_check_is_of_the_model_before_rl_and_the_problems_before_they_are_chosen_from(tmp_path: Path) -> None:
    found = plan(tmp_path, base=BASE | {"check": {"samples": 8}}, axes={"subset.n": [8, 16]})
    assert stages(found) == {"sft": 1, "check": 1, "filter": 1, "subset": 2, "train": 2}
    cells = {cell.stage: cell for cell in found.cells.values()}
    check = cells["check"].settings
    assert check["model"]["name"] == cells["sft"].settings["run"]
    assert (check["data"]["source"], check["data"]["count"]) == ("lab/chains", 20)
    assert cells["train"].settings["model"]["name"] == cells["sft"].settings["run"]
    assert costs_of(found)[cells["check"].key].sampled == 20 * 8 * 2048


def test_each_stage_takes_what_the_last_one_made(tmp_path: Path) -> None:
    found = plan(tmp_path, base=BASE | {"eval": {"sets": [{"source": "lab/chains"}]}})
    cells = {cell.stage: cell for cell in found.cells.values()}
    settings = {stage: cell.settings for stage, cell in cells.items()}
    folder = Folder(tmp_path / "s")
    assert settings["sft"]["model"]["name"] == "some/model-135m"
    assert settings["filter"]["model"]["name"] == str(folder.run(cells["sft"].name)) == settings["sft"]["run"]
    assert settings["filter"]["data"]["options"] == {"operands": [3, 6]}
    assert settings["subset"]["data"]["source"] == str(folder.data(cells["filter"].name)) == settings["filter"]["out"]
    assert settings["subset"]["data"]["options"] == {}
    assert settings["train"]["data"]["source"] == settings["subset"]["out"]
    assert settings["eval"]["model"]["name"] == settings["train"]["run"]
    assert all(build(type(cell.config), cell.settings) for cell in cells.values())


def test_names_say_the_values_that_bear_on_a_cell(tmp_path: Path) -> None:
    axes = {"repair": {"none": {"sft": None}, "sft": {}}, "subset.n": [8, 16]}
    names = [
        cell.name.rpartition("-")[0]
        for cell in plan(tmp_path, axes=axes, seeds=[0, 1], seeded=["train"]).cells.values()
    ]
    assert names[:3] == ["sft-sft", "filter-none", "filter-sft"]
    assert "subset-sft-n16" in names
    assert "train-none-n8-seed1" in names


def test_a_cell_without_its_axis_in_it_is_one_for_all_values(tmp_path: Path) -> None:
    axes = {"repair": {"none": {"sft": None}, "sft": {}}, "sft.epochs": [1, 2]}
    assert stages(plan(tmp_path, axes=axes)) == {"sft": 2, "filter": 3, "subset": 3, "train": 3}


def test_a_changed_setting_touches_its_cell_and_those_after_it(tmp_path: Path) -> None:
    before = set(plan(tmp_path).cells)
    after = plan(tmp_path, base=BASE | {"subset": {"n": 9}})
    assert [cell.stage for key, cell in after.cells.items() if key not in before] == ["subset", "train"]


@pytest.mark.parametrize("harmless", [{"threads": 3}, {"verify": {"workers": 2}}, {"beta": 0.001}])
def test_what_decides_nothing_makes_no_other_cell(tmp_path: Path, harmless: dict[str, Any]) -> None:
    assert set(plan(tmp_path).cells) == set(plan(tmp_path, base=BASE | {"train": {"steps": 5, **harmless}}).cells)


def test_files_and_models_are_known_by_content(tmp_path: Path) -> None:
    def keys(file: Path, model: Path) -> list[str]:
        base = {"model": {"name": str(model)}, "data": {"source": str(file)}, "train": {}}
        return list(plan(tmp_path, base=base).cells)

    def make(name: str, answer: str, weights: str) -> tuple[Path, Path]:
        file, model = tmp_path / f"{name}.jsonl", tmp_path / name
        file.write_text(json.dumps({"question": "1+1?", "answer": answer}))
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_text(weights)
        (model / "optimizer.pt").write_text(name)
        return file, model

    first = keys(*make("a", "2", "w"))
    assert keys(*make("b", "2", "w")) == first
    assert keys(*make("b", "3", "w")) != first
    assert keys(*make("b", "2", "v")) != first


def test_a_hash_is_kept_while_the_file_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    file.write_text("one")
    contents = Contents(tmp_path / "hashes.json")
    first = contents.of(file)
    contents.save()
    monkeypatch.setattr("presat.study.contents.hash_path", lambda *_: "anew")
    assert Contents(tmp_path / "hashes.json").of(file) == first
    file.write_text("other")
    assert Contents(tmp_path / "hashes.json").of(file) == "anew"
    (tmp_path / "hashes.json").write_text("[")
    assert Contents(tmp_path / "hashes.json").of(file) == "anew"


def test_a_cell_keeps_the_name_it_was_first_run_under(tmp_path: Path) -> None:
    (cell,) = [cell for cell in plan(tmp_path).cells.values() if cell.stage == "train"]
    config = Folder(tmp_path / "s").config(cell.name)
    config.parent.mkdir(parents=True)
    config.touch()
    found = plan(tmp_path, axes={"train.steps": [5, 6]}, base=BASE | {"train": {}})
    assert cell.name in [other.name for other in found.cells.values()]


def test_a_block_may_start_from_a_preset(tmp_path: Path) -> None:
    base = {"model": {"name": "some/model"}, "data": {"source": "lab/chains"}, "train": {"config": "paper-math-n8"}}
    (cell,) = plan(tmp_path, base=base).cells.values()
    assert isinstance(cell.config, TrainConfig)
    assert cell.config.model.name == "some/model"
    assert cell.config.data.source == "lab/chains"
    assert cell.config.verify.extraction == "any"


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"train": {"stesp": 3}}, "In the stage `train` at .*stesp.* Did you mean 'steps'"),
        ({"train": {"run": "x"}}, "leave out `run`"),
        ({"subset": {"out": "x.parquet"}}, "leave out `out`"),
        ({"train": {"model": {"name": "x"}}}, "`train.model.name` would not be used"),
        ({"train": {"data": {"source": "x"}}}, "`train.data.source` would not be used"),
        ({"train": {"lora": {"alpha": 3}}}, "would do nothing"),
        ({"train": {"config": 5}}, "`config` should be a file or a preset of `presat train`"),
        ({"train": {"model": 5}}, "`model` should hold settings by name"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(tmp_path: Path, base: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, base=BASE | base, seeds=[0])
    assert not (tmp_path / "s").exists()


def test_a_study_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to run"):
        plan(tmp_path, base={})


def test_costs_are_read_off_the_settings(tmp_path: Path) -> None:
    found = plan(tmp_path, base=BASE | {"train": {"steps": 5, "prompts_per_step": 4, "max_new_tokens": 10}})
    costs = {found.cells[key].stage: cost for key, cost in costs_of(found).items()}
    assert costs["filter"].sampled == 20 * 4 * 2048
    assert costs["train"].sampled == costs["train"].trained == 5 * 4 * 8 * 10
    assert costs["sft"].trained == 3 * 10 * 8192
    assert costs["sft"].disk == 135e6 * 4 * 3
    assert costs["train"].disk is not None
    assert costs["train"].disk > 135e6 * 4 * 3


def test_the_papers_grid_is_a_page(tmp_path: Path) -> None:
    assert len((PRESETS / "paper.yaml").read_text(encoding="utf-8").splitlines()) < 66
    found = planned("paper", tmp_path)
    assert len(found.points) == 3 * (2 * 3 * 13 - 2 + 2 * 4 + 3 * 4)
    assert stages(found)["cpt"] == 1
    assert stages(found)["sft"] == 4
    assert len(found.absent) == 5


def planned(preset: str, folder: Path) -> Plan:
    config = build(StudyConfig, read_yaml(preset) | {"out": str(folder)})
    return make_plan(config, Folder(folder), Contents(folder / "hashes.json"))


def test_the_labs_studies_begin_with_nothing(tmp_path: Path) -> None:
    mini = planned("lab-mini", tmp_path)
    assert stages(mini) == {"pretrain": 1, "cpt": 1, "sft": 2, "filter": 2, "subset": 2, "train": 12}
    assert mini.absent == []
    (first,) = [cell for cell in mini.cells.values() if cell.stage == "pretrain"]
    assert (first.settings["model"]["name"], first.sources) == ("lab/new", [])
    by_stage = {cell.stage: cell for cell in mini.cells.values()}
    assert mini.cells[by_stage["cpt"].model_of] is first
    lab = planned("lab", tmp_path)
    assert stages(lab) == {"pretrain": 1, "cpt": 1, "sft": 12, "filter": 12, "subset": 24, "corrupt": 12, "train": 36}
    assert stages(planned("lab-aa", tmp_path))["train"] == 40


def test_gpu_hours_follow_from_tokens_and_parameters(tmp_path: Path) -> None:
    found = planned("paper", tmp_path)
    costs = costs_of(found)
    hours = {costs[key].gpu_hours for key, cell in found.cells.items() if cell.stage == "train"}
    assert None not in hours
    small, large = (
        next(key for key, cell in found.cells.items() if cell.stage == "train" and f"math-{model}-n8-none" in cell.name)
        for model in ("qwen_1.5b", "qwen_math_1.5b")
    )
    assert costs[small].gpu_hours == costs[large].gpu_hours
    cost = costs[small]
    assert cost.gpu_hours == pytest.approx(1.5e9 * (2 * cost.sampled / 4e13 + 6 * cost.trained / 4e14) / 3600)


def test_the_file_that_the_page_explains_is_a_study(tmp_path: Path) -> None:
    page = (DOCS / "study.md").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    config = build(StudyConfig, read_yaml(str(tmp_path / "study.yaml")) | {"out": str(tmp_path / "out")})
    found = make_plan(config, Folder(tmp_path / "out"), Contents(tmp_path / "hashes.json"))
    assert len(found.points) == 4 * 3
    assert stages(found) == {"cpt": 1, "sft": 2, "filter": 3, "subset": 3, "train": 12}
