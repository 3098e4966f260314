"""From a study's axes to its points: what each combination of values changes in `base`.

An axis value changes settings and leaves stages out. No two axes may change the same setting, so their order decides
nothing; a stage that any value leaves out is left out.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from presat.config.schema import STAGES, StudyBase, StudyConfig
from presat.config.yamls import dump_inline
from presat.errors import ConfigError, nearest
from presat.outputs import flat
from presat.text import brief

SEED = "seed"
"""The axis that `seeds` is."""
MOST_POINTS = 100_000
Blocks = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Axis:
    """One thing that is varied.

    Attributes:
        name: what it is called: its own name, or the last part of its setting.
        values: by label, the changes, nested as `base` is; None for a stage that is left out.
        named: whether its labels say by themselves what they are (`thinking`), or only beside its name (`8`).
    """

    name: str
    values: Mapping[str, Mapping[str, Any]]
    named: bool

    @property
    def touches(self) -> set[str]:
        """The blocks of `base` that any of its values changes."""
        return {block for changes in self.values.values() for block in changes}


@dataclass(frozen=True)
class Point:
    """One combination of the axes' values.

    Attributes:
        labels: by axis, the value.
        blocks: `base` with the changes, without the stages that are left out.
    """

    labels: dict[str, str]
    blocks: Blocks = field(repr=False)


def axes_of(study: StudyConfig) -> list[Axis]:
    """Return the axes of a study, the seeds last.

    Raises:
        ConfigError: one is no axis, changes nothing of `base`, or changes what another one does.
    """
    lasts = Counter(name.rpartition(".")[2] for name in study.axes)
    axes = [_axis(name, given, lasts) for name, given in study.axes.items()]
    seeds = {str(seed): {stage: {SEED: seed} for stage in study.seeded} for seed in study.seeds}
    if len(seeds) < len(study.seeds):
        raise ConfigError("`seeds` has a number twice.")
    if seeds:
        axes.append(Axis(SEED, seeds, named=False))
        for stage in study.seeded:
            if SEED in (getattr(study.base, stage) or {}):
                raise ConfigError(
                    f"`base.{stage}.seed` and `seeds` both give `{stage}` its seed: leave one of them out, or take the "
                    "stage out of `seeded`."
                )
    _refuse_shared(axes)
    return axes


def points_of(study: StudyConfig, axes: Sequence[Axis]) -> list[Point]:
    """Return the points of a study's grid that are to be run.

    Raises:
        ConfigError: a rule names no axis or value, or no point is left.
    """
    for rule in (*study.only, *study.exclude):
        _check_rule(rule, axes)
    if math.prod(len(axis.values) for axis in axes) > MOST_POINTS:
        raise ConfigError(f"The axes have more than {MOST_POINTS:,} combinations: make two studies of it.")
    found = []
    for chosen in itertools.product(*(axis.values for axis in axes)):
        labels = {axis.name: label for axis, label in zip(axes, chosen, strict=True)}
        if (study.only and not _fits(labels, study.only)) or _fits(labels, study.exclude):
            continue
        found.append(Point(labels, _blocks(study.base, axes, labels)))
    if not found:
        raise ConfigError("No point is left: `only` and `exclude` leave out all of them.")
    return found


def merge(into: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put nested changes into nested settings; mappings are merged, everything else is replaced."""
    for name, value in changes.items():
        below = into.get(name)
        if isinstance(value, Mapping) and isinstance(below, dict):
            merge(below, value)
        else:
            into[name] = copy.deepcopy(value)
    return into


def _axis(name: str, given: Any, lasts: Mapping[str, int]) -> Axis:
    last = name.rpartition(".")[2]
    if isinstance(given, list) and given:
        values = {_label(value): _nested({name: value}, name) for value in given}
        if len(values) < len(given):
            raise ConfigError(f"The axis `{name}` has a value twice.")
        return Axis(name if lasts[last] > 1 or last == SEED else last, values, named=False)
    if isinstance(given, Mapping) and given and all(isinstance(value, Mapping) for value in given.values()):
        if name == SEED:
            raise ConfigError("An axis cannot be called `seed`: that is what `seeds` are. Give it another name.")
        return Axis(name, {_label(label): _nested(changes, name) for label, changes in given.items()}, named=True)
    raise ConfigError(
        f"The axis `{name}` should be a list of values of that setting, or named values with what each changes "
        f"(`none: {{sft: null}}`); it is {brief(given)}."
    )


def _nested(changes: Mapping[str, Any], axis: str) -> Blocks:
    """Return changes by dotted names as nested ones, checked against the blocks of `base`."""
    found: dict[str, Any] = {}
    for name, value in changes.items():
        block, *below = str(name).split(".")
        if block not in StudyBase.model_fields:
            known = nearest(block, StudyBase.model_fields)
            raise ConfigError(f"The axis `{axis}` changes `{name}`, and `base` has no block `{block}`.{known}")
        if not below and not (isinstance(value, Mapping) or (value is None and block in STAGES)):
            raise ConfigError(
                f"The axis `{axis}` sets `{name}` to {brief(value)}: name one of its settings (`{name}.SETTING`), or "
                "leave the stage out (null)."
            )
        for part in reversed(below):
            value = {part: value}
        if block in found and (value is None or found[block] is None):
            raise ConfigError(f"The axis `{axis}` both leaves out `{block}` and changes it in one value.")
        merge(found, {block: value})
    return found


def _refuse_shared(axes: Iterable[Axis]) -> None:
    owner: dict[str, str] = {}
    for axis in axes:
        if axis.name in owner.values():
            raise ConfigError(f"Two axes are called `{axis.name}`: give one of them another name.")
        names = {name for changes in axis.values.values() for name, value in flat(changes) if value is not None}
        for name in sorted(names - set(StudyBase.model_fields)):
            for other in owner:
                if f"{name}.".startswith(f"{other}.") or f"{other}.".startswith(f"{name}."):
                    raise ConfigError(
                        f"The axes `{owner[other]}` and `{axis.name}` both change `{name}`: leave it to one of them"
                        + (", or take the stage out of `seeded`." if axis.name == SEED else ".")
                    )
        owner |= dict.fromkeys(names - set(StudyBase.model_fields), axis.name)


def _blocks(base: StudyBase, axes: Iterable[Axis], labels: Mapping[str, str]) -> Blocks:
    blocks: dict[str, Any] = {name: value for name, value in base.model_dump().items() if value is not None}
    left_out: set[str] = set()
    for axis in axes:
        changes = axis.values[labels[axis.name]]
        left_out |= {name for name, value in changes.items() if value is None}
        merge(blocks, {n: v for n, v in changes.items() if v is not None and (axis.name != SEED or n in blocks)})
    return {name: block for name, block in blocks.items() if name not in left_out}


def _check_rule(rule: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    known = {axis.name: axis for axis in axes}
    for name, wanted in rule.items():
        if name not in known:
            raise ConfigError(f"A rule of `only` or `exclude` names the axis `{name}`.{nearest(name, known)}")
        for label in _labels(wanted):
            if label not in known[name].values:
                raise ConfigError(f"The axis `{name}` has no value {brief(label)}.{nearest(label, known[name].values)}")


def _fits(labels: Mapping[str, str], rules: Iterable[Mapping[str, Any]]) -> bool:
    return any(all(labels[name] in _labels(wanted) for name, wanted in rule.items()) for rule in rules)


def _labels(wanted: Any) -> Iterator[str]:
    yield from map(_label, wanted if isinstance(wanted, list) else [wanted])


def _label(value: Any) -> str:
    return value if isinstance(value, str) else dump_inline(value)
