"""The responses of a run on disk: `rollouts/train/step_000012.parquet`, `rollouts/eval/SET-step_000012.parquet`.

One file per split, set and step, written beside its name and renamed, so a reader never meets half a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import RunError
from presat.types import RolloutGroup, Score

if TYPE_CHECKING:
    import polars as pl

_STEP = re.compile(r"step_(\d+)\.parquet$")


def rollout_files(run: Path, split: str) -> list[tuple[int, Path]]:
    """Step and path of every file of saved responses of a split, in step order."""
    files = ((_STEP.search(file.name), file) for file in (run / "rollouts" / split).glob("*.parquet"))
    return sorted((int(match.group(1)), file) for match, file in files if match)


class RolloutStore:
    """Writes and reads the `rollouts` folder of a run directory."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def path(self, split: str, step: int, set_name: str = "") -> Path:
        """Where the responses of one step are kept."""
        safe = re.sub(r"[^\w.@+-]+", "_", set_name)
        return self.folder / split / f"{safe + '-' if safe else ''}step_{step:06d}.parquet"

    def write(
        self,
        split: str,
        step: int,
        groups: Sequence[RolloutGroup],
        scores_PG: Sequence[Sequence[Score]],
        rewards_PG: Sequence[Sequence[float | None]] | None = None,
        set_name: str = "",
        extra_PG: Mapping[str, Sequence[Sequence[Any]]] | None = None,
    ) -> Path:
        """Write the responses of one step, one row a response, and return the file.

        Args:
            split: `train` or `eval`.
            step: 0 is before training.
            groups: P groups of G responses.
            scores_PG: the verifier's verdicts.
            rewards_PG: the training signal; None for evaluations.
            set_name: the evaluation set.
            extra_PG: further columns, one value a response (`valid_trace`).

        Raises:
            RunError: the folder cannot be written.
        """
        import polars as pl

        schema = _schema()
        columns: dict[str, list[Any]] = {name: [] for name in schema}
        for name in extra_PG or {}:
            columns[name] = []
        for p, (group, scores) in enumerate(zip(groups, scores_PG, strict=True)):
            _add_problem(columns, group, step, set_name)
            _add_responses(columns, group, scores)
            columns["reward"] += rewards_PG[p] if rewards_PG is not None else [None] * len(scores)
            for name, values_PG in (extra_PG or {}).items():
                columns[name] += values_PG[p]
        path = self.path(split, step, set_name)
        partial = path.with_suffix(".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pl.DataFrame(columns, schema_overrides=schema).write_parquet(partial)
            partial.replace(path)
        except OSError as error:
            raise RunError(
                f"Cannot write rollouts to {path} ({error.strerror or error}). Check space and rights."
            ) from error
        return path

    def read(self, split: str, set_name: str = "") -> pl.DataFrame | None:
        """Return all responses of a split (and set) in step order, or None when there are none."""
        import polars as pl

        pattern = f"{self.path(split, 0, set_name).name.removesuffix('step_000000.parquet')}step_*.parquet"
        paths = sorted((self.folder / split).glob(pattern if set_name else "*step_*.parquet"), key=_step_of)
        return pl.concat([pl.read_parquet(p) for p in paths], how="diagonal") if paths else None


def _step_of(path: Path) -> tuple[int, str]:
    match = _STEP.search(path.name)
    return (int(match[1]) if match else -1, path.name)


def _add_problem(columns: dict[str, list[Any]], group: RolloutGroup, step: int, set_name: str) -> None:
    """Add the columns that are the same for every response of a group."""
    count = len(group.completions)
    problem = group.problem
    columns["step"] += [step] * count
    columns["set"] += [set_name] * count
    columns["problem_id"] += [problem.id] * count
    columns["sample"] += range(count)
    columns["prompt"] += ["\n\n".join(message["content"] for message in problem.messages)] * count
    columns["gold"] += [problem.gold] * count


def _add_responses(columns: dict[str, list[Any]], group: RolloutGroup, scores: Sequence[Score]) -> None:
    for completion, score in zip(group.completions, scores, strict=True):
        columns["text"].append(completion.text)
        columns["extracted"].append(score.extracted)
        columns["score"].append(score.value)
        columns["reason"].append(score.reason)
        columns["finished"].append(completion.finished)
        columns["n_tokens"].append(len(completion.token_ids))


def _schema() -> dict[str, Any]:
    """Column types, so that a column of missing values alone keeps its type."""
    import polars as pl

    text = ("set", "problem_id", "prompt", "text", "gold", "extracted", "reason")
    return {
        **dict.fromkeys(("step", "sample", "n_tokens"), pl.Int64),
        **dict.fromkeys(text, pl.String),
        **dict.fromkeys(("score", "reward"), pl.Float64),
        "finished": pl.Boolean,
    }
