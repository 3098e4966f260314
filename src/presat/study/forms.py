"""The paper's tables as forms that a study's cells fill, with the published values that are known beside ours.

Table 1 is known as a whole: models trained on N = 8 clean prompts, t_sat, D_sat and D_post on one benchmark a domain.
Of tables 3 to 7 it is known which quantities they hold, not where in them and not their values: `gains`, `gaps` and
`averages` are these quantities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from presat.config.yamls import YamlError, read_yaml_file
from presat.errors import ConfigError
from presat.study.comparison import Table
from presat.study.finished import Cells
from presat.study.folder import PointPart
from presat.study.grid import SEED
from presat.study.quantities import IN_DOMAIN, MAIN, OUT_OF_DOMAIN

Form = Literal["", "table1", "gains", "gaps", "averages"]
_TABLE_1 = ("t_sat", f"D_sat:{MAIN}", f"D_post:{MAIN}")
_BOTH = (IN_DOMAIN, OUT_OF_DOMAIN)
_PROMPTS = re.compile(r"n?(\d+)")


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the paper's table 1: t_sat, and D_sat and D_post of one benchmark as shares.

    Attributes:
        model: the model's name on the hub.
        benchmark: the benchmark.
        values: in the order of the form.
    """

    model: str
    benchmark: str
    values: tuple[float, float, float]


TABLE_1 = (
    Published("Qwen2.5-Math-1.5B", "math500", (302, 0.297, 0.015)),
    Published("Qwen2.5-1.5B", "math500", (170, 0.321, 0.009)),
    Published("Llama-3.2-3B-Instruct", "math500", (55, 0.108, -0.019)),
    Published("Qwen2.5-Math-1.5B", "scp_hard", (268, 0.145, 0.011)),
    Published("Qwen2.5-1.5B", "scp_hard", (161, 0.064, 0.002)),
    Published("Llama-3.2-3B-Instruct", "scp_hard", (61, 0.018, 0.017)),
    Published("Qwen2.5-Math-7B", "quantum_lock", (150, 0.083, 0.049)),
    Published("Llama-3.1-8B-Instruct", "quantum_lock", (29, 0.101, 0.071)),
)


def metrics_of(form: Form, axes: Mapping[str, list[str]]) -> list[str]:
    """The metrics a form shows.

    Args:
        form: which.
        axes: the study's axes, of which `gaps` looks for the number of prompts.

    Raises:
        ConfigError: the form is of gaps, and no axis is of the number of prompts.
    """
    if form == "table1":
        return list(_TABLE_1)
    if form == "averages":
        return list(_BOTH)
    if form == "gains":
        return [f"{kind}:{part}" for part in _BOTH for kind in ("D_sat", "D_post")]
    numbers = _prompts(axes)
    return [f"G({label}):{part}" for part in _BOTH for label in numbers[1:]]


def _prompts(axes: Mapping[str, list[str]]) -> list[str]:
    """The numbers of prompts among an axis's values, the smallest first."""
    for name, labels in axes.items():
        found = {label: int(match[1]) for label in labels if name != SEED and (match := _PROMPTS.fullmatch(label))}
        if len(found) > 1:
            return sorted(found, key=lambda label: found[label])
    raise ConfigError(
        "The form `gaps` compares runs on more prompts with runs on fewer, and no axis of the study has several "
        "numbers of prompts (`8`, `64`, or `n8`, `n64`) among its values."
    )


def published(cells: Cells, table: Table) -> dict[tuple[Any, ...], float]:
    """The paper's values by row, column and metric, where a setting is one of its table 1."""
    found: dict[tuple[Any, ...], float] = {}
    for point in cells.file.points:
        values = _values(cells, point)
        row, column = (tuple(point.axes[name] for name in names) for names in (table.rows, table.columns))
        found |= {(row, column, name): value for name, value in zip(_TABLE_1, values, strict=False)}
    return found


def _values(cells: Cells, point: PointPart) -> tuple[float, ...]:
    """The row of table 1 a point is: a model as it comes, eight clean prompts, its benchmark the main set."""
    if "train" not in point.cells or {"pretrain", "cpt", "sft", "corrupt"} & point.cells.keys():
        return ()
    train, subset = (_settings(cells, point, stage) for stage in ("train", "subset"))
    reward, sets = train.get("reward", {}), train.get("eval", {}).get("sets", [])
    if subset.get("n") != 8 or reward.get("source") != "verifiable" or reward.get("gate") != "none" or not sets:
        return ()
    model = PurePath(str(train.get("model", {}).get("name", ""))).name.lower()
    benchmark = str(sets[0].get("name") or str(sets[0].get("source")).rpartition("/")[2])
    return next((row.values for row in TABLE_1 if (row.model.lower(), row.benchmark) == (model, benchmark)), ())


def _settings(cells: Cells, point: PointPart, stage: str) -> dict[str, Any]:
    """What a cell's verb was started with; empty where it never was."""
    path = cells.folder.config(point.cells[stage]) if stage in point.cells else None
    if path is None or not path.is_file():
        return {}
    try:
        settings = read_yaml_file(path)
    except YamlError:  # by hand: the cell's own run says what it was made with
        return {}
    return settings if isinstance(settings, dict) else {}
