"""From a study to its cells: one for each stage with settings and inputs of its own, shared by the points that have it.

A cell is known by its key, a hash of its settings and of what it reads: files and models by content, what another cell
makes by that cell's key. Where it lies on the disk follows from the key, so a cell is found again when the grid around
it has changed. Its name also says which values of the axes it stands for.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from presat.config.batches import plan_batches
from presat.config.load import build, read_yaml
from presat.config.schema import (
    STAGES,
    CheckConfig,
    CorruptConfig,
    CptConfig,
    EvalConfig,
    FilterConfig,
    Settings,
    SftConfig,
    StageName,
    StudyConfig,
    SubsetConfig,
    TrainConfig,
)
from presat.config.unused import refuse_unused
from presat.errors import ConfigError
from presat.outputs import DECIDES_NOTHING, flat
from presat.rewards import reward_of
from presat.study.contents import Contents, external_inputs
from presat.study.folder import Folder
from presat.study.grid import Axis, Point, axes_of, merge, points_of
from presat.text import brief

VERBS: Mapping[StageName, tuple[str, type[Settings]]] = {
    "pretrain": ("cpt", CptConfig),
    "cpt": ("cpt", CptConfig),
    "sft": ("sft", SftConfig),
    "check": ("check", CheckConfig),
    "filter": ("data filter", FilterConfig),
    "subset": ("data subset", SubsetConfig),
    "corrupt": ("data corrupt", CorruptConfig),
    "train": ("train", TrainConfig),
    "eval": ("eval", EvalConfig),
}
MODELS: tuple[StageName, ...] = ("pretrain", "cpt", "sft", "train")
"""Stages that make a model."""
FILES: tuple[StageName, ...] = ("filter", "subset", "corrupt")
"""Stages that write a file of problems."""
_OWN = {"run": "where cells lie", "out": "where cells lie", "resume": "whether a cell is gone on with"}
"""What no block may set: the study knows."""
_EARLIER = "of an earlier stage"
_NOTHING = DECIDES_NOTHING | {"report_to"}
"""Settings under which the same run or file is made."""
_KEY = 8
"""Characters of the key in a name."""


@dataclass
class Cell:
    """One stage with settings and inputs of its own.

    Attributes:
        stage: which.
        key: hash of what decides it.
        config: its verb's settings, complete; paths of the study's own are put in by `_place`.
        model_of: key of the cell whose model it takes; empty where that is from outside.
        data_of: key of the cell whose file it takes.
        name: what it is called, in the folder too.
        points: numbers of the points that have it.
        settings: `config` as plain data, with the paths.
    """

    stage: StageName
    key: str
    config: Settings = field(repr=False)
    model_of: str = ""
    data_of: str = ""
    name: str = ""
    points: list[int] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sources(self) -> list[str]:
        """Keys of the cells it needs."""
        return [key for key in dict.fromkeys((self.model_of, self.data_of)) if key]

    @property
    def reads_all(self) -> bool:
        """Whether it reads every checkpoint of the run that it takes its model from."""
        return isinstance(self.config, EvalConfig) and self.config.every_checkpoint


@dataclass(frozen=True)
class Plan:
    """A study, ready to run.

    Attributes:
        study: what it is.
        axes: its axes.
        points: its points.
        cells: by key, each after those it needs.
        absent: paths that are named and not there.
    """

    study: StudyConfig
    axes: list[Axis]
    points: list[Point]
    cells: dict[str, Cell]
    absent: list[str]

    @functools.cached_property
    def _readers(self) -> dict[str, list[Cell]]:
        found: dict[str, list[Cell]] = {key: [] for key in self.cells}
        for cell in self.cells.values():
            for key in cell.sources:
                found[key].append(cell)
        return found

    def readers(self, cell: Cell) -> list[Cell]:
        """The cells that need a cell."""
        return self._readers[cell.key]


def make_plan(study: StudyConfig, folder: Folder, contents: Contents) -> Plan:
    """Work out all cells of a study.

    Raises:
        ConfigError: an axis, a rule or a setting is wrong (the message names the point).
        RunError: an input cannot be read.
    """
    axes = axes_of(study)
    points = points_of(study, axes)
    cells: dict[str, Cell] = {}
    for number, point in enumerate(points):
        if not any(stage in point.blocks for stage in STAGES):
            raise ConfigError(f"There is nothing to run at {_told(point)}: `base` has no stage, or all are left out.")
        for cell in _cells_of(point, contents):
            cells.setdefault(cell.key, cell).points.append(number)
    ordered = sorted(cells.values(), key=lambda cell: STAGES.index(cell.stage))
    cells = {cell.key: cell for cell in ordered}
    for cell in ordered:
        cell.name = folder.name_of(cell.stage, cell.key[:_KEY]) or _name(cell, axes, points)
        _place(cell, cells, folder)
    return Plan(study, axes, points, cells, _absent(ordered))


def _cells_of(point: Point, contents: Contents) -> Iterable[Cell]:
    """Yield the cells of one point in the order of the stages."""
    model: Cell | None = None
    data: Cell | None = None
    for stage in STAGES:
        if stage not in point.blocks:
            continue
        config = _config(stage, point, model is not None, data is not None)
        takes_model = model is not None and hasattr(config, "model")
        takes_data = data is not None and stage in (*FILES, "train")
        model_of = model.key if model and takes_model else ""
        data_of = data.key if data and takes_data else ""
        inputs = external_inputs(config, contents, not takes_model, not takes_data)
        cell = Cell(stage, _key(stage, config, inputs, model_of, data_of), config, model_of, data_of)
        model, data = cell if stage in MODELS else model, cell if stage in FILES else data
        yield cell


def _config(stage: StageName, point: Point, has_model: bool, has_data: bool) -> Settings:
    """Return a stage's settings at a point; what an earlier stage will have made has no name yet."""
    verb, kind = VERBS[stage]
    block = copy.deepcopy(point.blocks[stage])
    where = f"the stage `{stage}` at {_told(point)}"
    source = block.pop("config", None)
    if source is not None and not isinstance(source, str):
        raise ConfigError(f"In {where}: `config` should be a file or a preset of `presat {verb}`, not {brief(source)}.")
    given = read_yaml(source) if source else {}
    for name, why in _OWN.items():
        if name in block:
            raise ConfigError(f"In {where}: leave out `{name}`: the study decides {why}.")
        given.pop(name, None)
    if "model" in kind.model_fields:
        settings = merge(_taken(given, "model", where), point.blocks["model"])
        given["model"] = _with(settings, _taken(block, "model", where), has_model, f"{stage}.model.name", "name")
    if stage in (*FILES, "check", "train"):
        settings = copy.deepcopy(point.blocks["data"]) or _taken(given, "data", where)
        settings = {} if has_data else settings  # counts and options are those of the first source
        given["data"] = _with(settings, _taken(block, "data", where), has_data, f"{stage}.data.source", "source")
    config = build(kind, merge(given, block), where)
    try:
        refuse_unused(config)
        if isinstance(config, TrainConfig):
            plan_batches(config, processes=1)
            reward_of(config)
    except ConfigError as error:
        raise ConfigError(f"In {where}: {error}") from error
    return config


def _with(settings: dict[str, Any], own: Mapping[str, Any], follows: bool, name: str, key: str) -> dict[str, Any]:
    """Settings of a model or of data, with a stage's own; after another stage that one's output stands in them."""
    if follows and key in own:
        raise ConfigError(
            f"`{name}` would not be used: the stage takes what an earlier one made. Leave it out, or set it in `base` "
            f"(`{name.split('.')[1]}.{key}`)."
        )
    return merge(settings, own) | ({key: _EARLIER} if follows else {})


def _taken(block: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Take a group of settings out of a block."""
    found = block.pop(name, None) or {}
    if not isinstance(found, dict):
        raise ConfigError(f"In {where}: `{name}` should hold settings by name, not {brief(found)}.")
    return found


def _key(stage: str, config: Settings, inputs: Mapping[str, str], model_of: str, data_of: str) -> str:
    """Hash what decides a cell: settings at their defaults ask for nothing, and names of files decide nothing."""
    said = flat(config.model_dump(mode="json", exclude_defaults=True))
    settings = {name: value for name, value in said if name not in _NOTHING}
    for what, name in (("model", "model.name"), ("data", "data.source")):
        if what in inputs:
            settings.pop(name, None)
    text = json.dumps([stage, settings, dict(inputs), model_of, data_of], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(cell: Cell, axes: Sequence[Axis], points: Sequence[Point]) -> str:
    """`train-thinking-n8-seed0-1a2b3c4d`: the values that all points of a cell have, of axes that bear on it."""
    before = {"model", "data", *STAGES[: STAGES.index(cell.stage) + 1]}
    parts: list[str] = []
    for axis in axes:
        labels = {points[number].labels[axis.name] for number in cell.points}
        if len(labels) == 1 and len(axis.values) > 1 and axis.touches & before:
            parts.append(labels.pop() if axis.named else f"{axis.name}{labels.pop()}")
    said = "-".join(re.sub(r"[^\w.+]+", "_", part).strip("._") for part in parts)[:100]
    return "-".join(filter(None, (cell.stage, said, cell.key[:_KEY])))


def _place(cell: Cell, cells: Mapping[str, Cell], folder: Folder) -> None:
    """Put the study's own paths into a cell's settings."""
    config = cell.config.model_copy(deep=True)
    if "run" in type(config).model_fields:
        config.run = folder.run(cell.name)  # pyright: ignore[reportAttributeAccessIssue]
    if "out" in type(config).model_fields:
        config.out = folder.data(cell.name)  # pyright: ignore[reportAttributeAccessIssue]
    if cell.model_of:
        config.model.name = str(folder.run(cells[cell.model_of].name))  # pyright: ignore[reportAttributeAccessIssue]
    if cell.data_of:
        config.data.source = str(folder.data(cells[cell.data_of].name))  # pyright: ignore[reportAttributeAccessIssue]
    cell.config, cell.settings = config, config.model_dump(mode="json")


def _absent(cells: Iterable[Cell]) -> list[str]:
    """Paths that cells read from outside the study and that are not there; a name that may be a hub's is none."""
    found: dict[str, None] = {}
    for cell in cells:
        for of, block, key in ((cell.model_of, "model", "name"), (cell.data_of, "data", "source")):
            name = str(cell.settings.get(block, {}).get(key, ""))
            path_like = name.startswith((".", "/", "~")) or Path(name).suffix in (".parquet", ".jsonl", ".csv", ".txt")
            if not of and path_like and not Path(name).expanduser().exists():
                found[name] = None
    return list(found)


def _told(point: Point) -> str:
    return ", ".join(f"{axis} {label}" for axis, label in point.labels.items())
