"""What a cell will cost, roughly, from its settings alone: tokens sampled and trained on, and room on the disk.

Responses are counted at their longest and early stops not at all, so the numbers are upper bounds. Problems that cannot
be counted beforehand count as 100, text as four bytes a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presat.config.schema import (
    CheckConfig,
    CorruptConfig,
    CptConfig,
    EvalConfig,
    FilterConfig,
    SftConfig,
    SubsetConfig,
    TaskConfig,
    TrainConfig,
)
from presat.errors import ModelError
from presat.files import expanded
from presat.models.loading import resolve_model
from presat.study.contents import path_of, tasks_of
from presat.study.plan import Cell, Plan
from presat.tasks.benchmarks import BENCHMARKS
from presat.tasks.load import PROCEDURAL_COUNT

TRAINING_FLOPS, SAMPLING_FLOPS = 4e14, 4e13
"""Operations a second that a GPU of 1e15 at most (an H100 in bfloat16) comes to: 40% of them in training, a tenth of
that in sampling, which waits for memory."""
TRAINED = 3
"""A token trained on costs about as much as three that are read: forward once, backward twice."""
_PARAMETERS = re.compile(r"(\d+(?:\.\d+)?)([mb])(?![a-z])")
_FLOAT = 4
_RESUMABLE = 3
"""A checkpoint that can be resumed from, in sizes of the model: weights and AdamW's two moments."""
_PER_TOKEN = 6
"""Bytes of a saved response a token: its text and its number, compressed."""


@dataclass
class Cost:
    """Upper bounds.

    Attributes:
        sampled: tokens drawn from a model.
        trained: tokens trained on.
        disk: bytes that stay on the disk; None where the size of the model is not known.
        steps: training steps, where known beforehand.
        problems: problems that come out of it, for the cells after it.
        parameters: of the model, where known.
    """

    sampled: float = 0.0
    trained: float = 0.0
    disk: float | None = 0.0
    steps: int | None = None
    problems: int = 0
    parameters: float | None = None

    @property
    def gpu_hours(self) -> float | None:
        """Hours of one GPU: two operations a parameter and token read, four more where it is trained on."""
        if self.parameters is None:
            return 0.0 if not self.work else None
        seconds = 2 * self.sampled / SAMPLING_FLOPS + 2 * TRAINED * self.trained / TRAINING_FLOPS
        return self.parameters * seconds / 3600

    @property
    def work(self) -> float:
        """One number to compare cells by."""
        return self.sampled + TRAINED * self.trained


def costs_of(plan: Plan) -> dict[str, Cost]:
    """Return the cost of every cell, by key."""
    found: dict[str, Cost] = {}
    for key, cell in plan.cells.items():
        size = _model_bytes(cell, plan.cells)
        found[key] = _cost(cell, found, size, plan.study.keep == "last")
        found[key].parameters = None if size is None else size / _FLOAT
    return found


def _cost(cell: Cell, before: Mapping[str, Cost], size: float | None, keep_last: bool) -> Cost:
    config = cell.config
    if isinstance(config, CptConfig):
        tokens = config.sequence_length * config.batch
        steps = config.steps or max(1, round(_bytes(expanded(config.data.source)) / 4 / tokens))
        return Cost(trained=steps * tokens, disk=_checkpoints(config, steps, size, keep_last), steps=steps)
    if isinstance(config, SftConfig):
        examples = config.epochs * _count(config.data)
        steps = max(1, round(examples / config.batch))
        return Cost(
            trained=examples * config.max_length, disk=_checkpoints(config, steps, size, keep_last), steps=steps
        )
    if isinstance(config, TrainConfig):
        return _train(config, size, keep_last)
    if isinstance(config, EvalConfig):
        per = config.samples + config.greedy
        sampled = sum(map(_count, tasks_of(config))) * per * config.max_new_tokens
        return Cost(sampled=sampled, disk=sampled * _PER_TOKEN * config.save_rollouts)
    if isinstance(config, CheckConfig):
        sampled = min(config.prompts, _count(config.data)) * config.samples * config.max_new_tokens
        return Cost(sampled=sampled, disk=sampled * _PER_TOKEN)
    problems = before[cell.data_of].problems if cell.data_of else _count(config.data)  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(config, SubsetConfig):
        return Cost(problems=config.n)
    if isinstance(config, FilterConfig | CorruptConfig):
        asked = problems * (config.gamma if isinstance(config, CorruptConfig) else 1)
        sampled = asked * config.samples * config.max_new_tokens
        return Cost(sampled=sampled, disk=sampled * _PER_TOKEN, problems=problems)
    raise TypeError(cell.stage)


def _train(config: TrainConfig, size: float | None, keep_last: bool) -> Cost:
    rows, length = config.steps * config.prompts_per_step, config.max_new_tokens
    drawn = rows * max(config.group_size, *config.reward.ballots, 0) * length
    times = (config.steps // config.eval.every if config.eval.every else 0) + 2
    per = (config.eval.samples + config.eval.greedy) * (config.eval.max_new_tokens or length)
    held_out = times * sum(map(_count, config.eval.sets)) * per if config.eval.sets else 0
    saved = held_out * config.eval.save_rollouts
    saved += drawn / config.save_rollouts_every if config.save_rollouts_every else 0
    disk = _checkpoints(config, config.steps, size, keep_last)
    return Cost(
        sampled=drawn + held_out,
        trained=rows * config.group_size * length,
        disk=None if disk is None else disk + saved * _PER_TOKEN,
        steps=config.steps,
    )


def _checkpoints(config: Any, steps: int, size: float | None, keep_last: bool) -> float | None:
    """Bytes of a run's checkpoints once it has ended."""
    if size is None:
        return None
    if config.lora.rank:
        size /= 50
    if keep_last:
        return size
    count = 1 + ((steps - 1) // config.save_every if config.save_every else 0)
    whole = min(count, config.keep_checkpoints) if config.keep_checkpoints else count
    return size * (_RESUMABLE * whole + (count - whole) * config.keep_weights)


def _model_bytes(cell: Cell, cells: Mapping[str, Cell]) -> float | None:
    """Size of the model in float32: by its files, else by what its name says of parameters."""
    while cell.model_of:
        cell = cells[cell.model_of]
    name = str(cell.settings.get("model", {}).get("name", ""))
    try:
        folder = Path(resolve_model(name)) if expanded(name).is_dir() else None
    except ModelError:
        folder = None
    if folder is not None and (files := list(folder.glob("*.safetensors"))):
        return float(sum(map(_bytes, files)))
    said = _PARAMETERS.search(name.lower())
    return float(said[1]) * {"m": 1e6, "b": 1e9}[said[2]] * _FLOAT if said else None


def _count(task: TaskConfig) -> int:
    """How many problems a task has."""
    if task.count is not None:
        return task.count
    path = path_of(task)
    if path is not None and path.suffix == ".parquet" and path.is_file():
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(path).num_rows
        except (pa.ArrowException, OSError):  # the verb will say so
            return PROCEDURAL_COUNT
    if path is not None and path.suffix == ".jsonl" and path.is_file():
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    family, _, name = task.source.partition("/")
    return BENCHMARKS[name].size if family == "benchmark" and name in BENCHMARKS else PROCEDURAL_COUNT


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
