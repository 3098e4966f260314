"""Axes, seeds and rules make the points they say; what is ambiguous is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from presat.config.load import build
from presat.config.schema import StudyConfig
from presat.errors import ConfigError
from presat.study.grid import Point, axes_of, points_of


def study(**given: Any) -> StudyConfig:
    return build(StudyConfig, {"study": "s", "base": {"sft": {}, "train": {"steps": 5}}, **given})


def points(**given: Any) -> list[Point]:
    config = study(**given)
    return points_of(config, axes_of(config))


REPAIR = {"none": {"sft": None, "cpt": None}, "sft": {"cpt": None}, "both": {"cpt": {"steps": 3}}}


def test_every_combination_is_a_point() -> None:
    found = points(axes={"repair": REPAIR, "train.optim.lr": [1e-6, 1e-5]}, seeds=[0, 1], seeded=["train"])
    assert len(found) == 12
    assert found[0].labels == {"repair": "none", "lr": "1.0e-06", "seed": "0"}
    blocks = {name: block for name, block in found[-1].blocks.items() if name not in ("model", "data")}
    assert blocks == {"sft": {}, "cpt": {"steps": 3}, "train": {"steps": 5, "optim": {"lr": 1e-5}, "seed": 1}}
    assert {"sft", "cpt"}.isdisjoint(found[0].blocks)


def test_a_stage_that_one_axis_leaves_out_stays_out_whatever_another_sets_of_it() -> None:
    found = points(axes={"sft.epochs": [1, 2], "repair": REPAIR})
    assert [("sft" in point.blocks) for point in found] == [False, True, True] * 2


def test_seeds_make_no_stage() -> None:
    assert {"filter", "eval"}.isdisjoint(points(seeds=[3])[0].blocks)


def test_without_seeds_each_stage_keeps_its_own() -> None:
    (only,) = points()
    assert only.labels == {}
    assert "seed" not in only.blocks["train"]


def test_rules_choose_points_by_label_or_number() -> None:
    axes = {"repair": REPAIR, "subset.n": [8, 64]}
    assert len(points(axes=axes, only=[{"repair": ["none", "sft"], "n": 8}])) == 2
    assert len(points(axes=axes, exclude=[{"n": 64}, {"repair": "both"}])) == 2
    with pytest.raises(ConfigError, match="No point is left"):
        points(axes=axes, exclude=[{"n": [8, 64]}])


def test_two_settings_of_one_name_are_told_apart() -> None:
    names = [axis.name for axis in axes_of(study(axes={"sft.optim.lr": [1], "train.optim.lr": [1]}))]
    assert names == ["sft.optim.lr", "train.optim.lr"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"axes": {"a": {"x": {"train.steps": 1}}, "train.steps": [2]}}, "`a` and `steps` both change `train.steps`"),
        ({"axes": {"a": {"x": {"train": {"optim": {"lr": 1}}}}, "train.optim": [{"lr": 2}]}}, "both change"),
        ({"axes": {"train.seed": [1]}, "seeds": [0]}, "out of `seeded`"),
        ({"axes": {"trian.steps": [1]}}, "no block `trian`. Did you mean 'train'"),
        ({"axes": {"a": {"x": {"train": 5}}}}, "name one of its settings"),
        ({"axes": {"a": {"x": {"model": None}}}}, "name one of its settings"),
        ({"axes": {"a": {"x": {"sft": None, "sft.epochs": 1}}}}, "both leaves out `sft` and changes it"),
        ({"axes": {"a": {"x": {"sft.epochs": 1, "sft": None}}}}, "both leaves out `sft` and changes it"),
        ({"axes": {"a": []}}, "should be a list of values"),
        ({"axes": {"a": {"x": 1}}}, "should be a list of values"),
        ({"axes": {"train.steps": [1, 1]}}, "a value twice"),
        ({"axes": {"seed": {"x": {}}}}, "cannot be called `seed`"),
        ({"axes": {"b.steps": [1]}}, "no block `b`"),
        ({"seeds": [1, 1]}, "a number twice"),
        ({"base": {"train": {"seed": 4}}, "seeds": [1]}, "`base.train.seed` and `seeds`"),
        ({"only": [{"nothing": 1}]}, "names the axis `nothing`"),
        ({"axes": {"train.steps": [1]}, "exclude": [{"steps": 2}]}, "no value '2'"),
        ({"axes": {f"train.options.{name}": list(range(50)) for name in "abc"}}, "make two studies"),
    ],
)
def test_what_is_ambiguous_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        points(**given)
