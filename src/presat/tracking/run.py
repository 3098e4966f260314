"""A run as its readers see it, whoever wrote it: named series over steps, status, saved responses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from presat.config.schema.base import set_label
from presat.errors import RunError, nearest
from presat.metrics import RunCurves, headline_metric, is_share, main_set, ordered_sets, reward_parts
from presat.tracking.judgements import judgement_folder, read_judgements
from presat.tracking.responses import choose, drawn_with, read_file, rollout_files, scan_file
from presat.tracking.state import UNKNOWN

if TYPE_CHECKING:
    import polars as pl

Kind = Literal[
    "presat", "trl", "verl", "rollouts", "csv", "log", "wandb", "tensorboard", "trackio", "mlflow", "completions"
]
Split = Literal["train", "eval"]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

REWARD = "reward"
EVAL_PREFIX = "eval/"


LEAST_NAN = 3
"""Steps without a number at the end of a metric from which on it is broken, and not a gap."""


@dataclass
class Run:
    """One training run, ours or another trainer's.

    Attributes:
        path: the folder or file it was read from.
        kind: which format it was read as.
        values: metric values by name, then by step; step 0 is before training.
        config: its configuration where it left one, else empty.
        provenance: where it came from, where recorded.
        status: one of `presat.tracking.state.Status`, or `unknown`.
        status_reason: why it ended, where recorded.
        notes: things worth saying about the reading, one sentence each.
        rollout_frames: saved responses by split, where they are not in files of ours.
        torn: what is to be said of a last line without its end. Whoever reads a log that is being written waits for
            the end; else it is among the notes.
        called: its name, where what it was read from holds several.
        not_finite: steps by metric at which something infinite or not a number was logged; both are NaN in `values`,
            and so is what is missing.
    """

    path: Path
    kind: Kind
    values: Mapping[str, Mapping[int, float]]
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    status: str = UNKNOWN
    status_reason: str = ""
    notes: list[str] = field(default_factory=list)
    rollout_frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)
    called: str = ""
    not_finite: Mapping[str, Collection[int]] = field(default_factory=dict)
    _sets: tuple[int, dict[str, list[str]]] = field(default=(0, {}), init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What tables call the run: its own name where it has one, else its folder's or file's."""
        if self.called:
            return self.called
        resolved = self.path.resolve()
        return resolved.stem if resolved.is_file() else resolved.name

    def names(self) -> list[str]:
        """Every metric of the run, sorted."""
        return sorted(self.values)

    def series(self, name: str) -> tuple[IntArray, FloatArray]:
        """Steps (increasing) and values of one metric; a value logged as not a number is NaN.

        Raises:
            RunError: the run has no such metric.
        """
        if name not in self.values:
            raise RunError(f"The run {self.name} logged no metric '{name}'.{nearest(name, self.values)}")
        points = sorted(self.values[name].items())
        return np.array([step for step, _ in points], dtype=np.int64), np.array(
            [v for _, v in points], dtype=np.float64
        )

    def train_rewards(self) -> FloatArray:
        """Mean train reward of steps 1..T, NaN where not logged. Shape (T,); empty when no reward was logged."""
        points = {step: value for step, value in self.values.get(REWARD, {}).items() if step >= 1}
        rewards_T = np.full(max(points, default=0), np.nan)
        for step, value in points.items():
            rewards_T[step - 1] = value
        return rewards_T

    def reward_is_share(self) -> bool:
        """Whether the train reward is a share of what is paid: within 0 and 1, and no sum of several rewards."""
        return not reward_parts(self.values) and is_share(self.values.get(REWARD, {}).values())

    def not_a_number_from(self, name: str) -> int | None:
        """The step from which on a metric was logged as NaN up to its end, after numbers; None where it was not."""
        points = sorted((step, value) for step, value in self.values.get(name, {}).items() if step >= 1)
        known = [index for index, (_, value) in enumerate(points) if value == value]
        after = points[known[-1] + 1 :] if known else []
        return after[0][0] if len(after) >= LEAST_NAN else None

    def eval_metrics(self) -> dict[str, list[str]]:
        """Metrics of every evaluation set: `eval/SET/METRIC`; a set's name may hold slashes, a metric's may not."""
        metrics, found = self._sets
        if metrics != len(self.values):  # of thousands of sets each asks for its own; a followed run gains metrics
            found = {}
            for name in self.names():
                if name.startswith(EVAL_PREFIX) and name.count("/") >= 2:
                    set_name, metric = name.removeprefix(EVAL_PREFIX).rsplit("/", 1)
                    found.setdefault(set_name, []).append(metric)
            self._sets = len(self.values), found
        return found

    def eval_sets(self) -> list[str]:
        """Names of the evaluation sets, sorted."""
        return sorted(self.eval_metrics())

    def eval_series(self, set_name: str, metric: str) -> tuple[IntArray, FloatArray]:
        """Steps and values of one metric of one evaluation set.

        Raises:
            RunError: the run has no such set or metric.
        """
        sets = self.eval_metrics()
        if set_name not in sets:
            raise RunError(f"The run {self.name} has no evaluation set '{set_name}'.{nearest(set_name, sets)}")
        if metric not in sets[set_name]:
            raise RunError(
                f"Set '{set_name}' of {self.name} has no metric '{metric}'.{nearest(metric, sets[set_name])}"
            )
        return self.series(f"{EVAL_PREFIX}{set_name}/{metric}")

    def held_out_sets(self) -> list[str]:
        """Evaluation sets in the order of the run's configuration, else of its log; out-of-distribution ones last."""
        sets = self.eval_metrics()
        logged = dict.fromkeys(name.removeprefix(EVAL_PREFIX).rpartition("/")[0] for name in self.values)
        return ordered_sets((name for name in logged if name in sets), _configured_sets(self.config))

    def scores(self, set_name: str) -> tuple[str, IntArray, FloatArray] | None:
        """The headline score of a set: its name, steps and values; None when no score of it was ever measured."""
        metric = headline_metric(self.eval_metrics().get(set_name, []))
        if metric is None:
            return None
        steps, values = self.eval_series(set_name, metric)
        measured = ~np.isnan(values)
        return (metric, steps[measured], values[measured]) if measured.any() else None

    def held_out(self) -> tuple[str, str, IntArray, FloatArray] | None:
        """The held-out score (`presat.metrics.headline`): main set, its score, steps and values; None without one."""
        found = {name: scores for name in self.held_out_sets() if (scores := self.scores(name)) is not None}
        name = main_set(list(found), lambda item: item, lambda item: found[item][2])
        return None if name is None else (name, *found[name])

    def curves(self) -> RunCurves:
        """The train reward and every held-out metric, named `SET/METRIC`, on the union of the evaluation steps."""
        names = [f"{set_name}/{metric}" for set_name, metrics in self.eval_metrics().items() for metric in metrics]
        points = {name: self.values[EVAL_PREFIX + name] for name in names}
        steps = np.array(sorted({step for series in points.values() for step in series}), dtype=np.int64)
        scores = {name: np.array([series.get(int(s), np.nan) for s in steps]) for name, series in points.items()}
        return RunCurves(self.train_rewards(), steps, scores)

    def to_frame(self) -> pl.DataFrame:
        """Every metric by step: a column `step`, and one for each of `names()`.

        Null where nothing was logged at a step, NaN where a value was logged that is no number.
        """
        import polars as pl

        names = self.names()
        steps = sorted({step for series in self.values.values() for step in series})
        columns = {name: [self.values[name].get(step) for step in steps] for name in names}
        schema = {"step": pl.Int64, **dict.fromkeys(names, pl.Float64)}
        return pl.DataFrame({"step": steps, **columns}, schema=schema, strict=False)

    def rollout_steps(self, split: Split = "train", set_name: str | None = None) -> list[int]:
        """Steps with saved responses, of all sets or of one, increasing."""
        if split in self.rollout_frames:
            return sorted(choose(self.rollout_frames[split].lazy(), ["step"], set_name).collect()["step"].unique())
        return sorted({step for step, _ in self._rollout_files(split, set_name)})

    def responses(
        self,
        split: Split = "train",
        set_name: str | None = None,
        steps: Collection[int] | None = None,
        columns: Collection[str] | None = None,
    ) -> pl.LazyFrame | None:
        """Saved responses that are not read yet, one row each, ordered by step; None when there are none.

        What is then asked of them decides what is read: an evaluation may be hundreds of megabytes, nearly all of it
        texts and tokens. `rollouts` reads, and names the file that it cannot read.

        Args:
            split: training or evaluation responses.
            set_name: only this evaluation set's; all sets' when None.
            steps: only these steps; all when None. Other steps' files are not opened.
            columns: those wanted (docs/run-directory.md), null where they were not saved; all that were when None.

        Raises:
            RunError: a saved file cannot be opened.
        """
        import polars as pl

        if split in self.rollout_frames:
            parts = [choose(self._in_memory(split, steps), columns, set_name)]
        else:
            files = self._rollout_files(split, set_name, steps)
            parts = [choose(scan_file(file), columns, set_name) for _, file in files]
        return pl.concat(parts, how="diagonal_relaxed") if parts else None

    def rollouts(
        self,
        split: Split = "train",
        steps: Collection[int] | None = None,
        *,
        set_name: str | None = None,
        columns: Collection[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame | None:
        """Read saved responses, one row each, ordered by step; None when there are none.

        Args:
            split: as in `responses`.
            steps: likewise.
            set_name: likewise.
            columns: likewise. Ask for few: texts and tokens are large.
            where: only rows of which this holds.

        Raises:
            RunError: a saved file cannot be read (the message names it).
        """
        import polars as pl

        if split in self.rollout_frames:
            frames = [choose(self._in_memory(split, steps), columns, set_name, where).collect()]
        else:
            files = self._rollout_files(split, set_name, steps)
            frames = [read_file(file, columns, set_name, where) for _, file in files]
        found = [frame for frame in frames if frame.height]
        return pl.concat(found, how="diagonal_relaxed") if found else None

    def judgements(self, judge: str | None = None, folder: Path | str | None = None) -> pl.DataFrame:
        """What judges said of the saved responses: judge, key, label, score, reason, tokens, calls; docs/judges.md.

        Args:
            judge: only this judge's, by its identity.
            folder: where they were kept, if elsewhere than by default.

        Raises:
            RunError: a file cannot be read.
        """
        default = judgement_folder(self.path, self.kind == "presat")
        return read_judgements(default if folder is None else Path(folder), judge)

    def drawn_with(self, split: Split, step: int, set_name: str = "") -> dict[str, Any]:
        """How the saved responses of a step were drawn: model, engine, temperature, ...; empty where it is not known.

        Raises:
            RunError: the file cannot be read.
        """
        files = [] if split in self.rollout_frames else self._rollout_files(split, set_name, [step])
        return next((facts for _, file in files if (facts := drawn_with(file))), {})

    def _in_memory(self, split: Split, steps: Collection[int] | None) -> pl.LazyFrame:
        import polars as pl

        frame = self.rollout_frames[split].lazy()
        return frame if steps is None else frame.filter(pl.col("step").is_in(list(steps)))

    def _rollout_files(
        self, split: Split, set_name: str | None = None, steps: Collection[int] | None = None
    ) -> list[tuple[int, Path]]:
        return rollout_files(self.path, split, set_name, steps) if self.kind == "presat" else []


def _configured_sets(config: Mapping[str, Any]) -> list[str]:
    """Labels of the evaluation sets a configuration lists, of training or of `presat eval`."""
    section = config.get("eval", config)
    listed = section.get("sets") if isinstance(section, Mapping) else None
    found = [
        set_label(str(item.get("name") or ""), str(item.get("source") or ""))
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, Mapping)
    ]
    benchmarks = config.get("benchmarks")
    return found + [str(name) for name in (benchmarks if isinstance(benchmarks, list) else [])]
