"""`presat eval`: evaluate a model, or the checkpoints of a run, on named problem sets. Results are appended.

Which model a result is of, and how its responses were drawn, is kept in `evaluated.json`. Responses are saved chunk by
chunk: started again with the same settings, a killed evaluation goes on, and what was finished is read from the log.

Intervals are over problems (a problem brings all its samples), logged as `interval/SET/METRIC/low` and `.../high`: they
say how far a number may be off because the set is a sample of problems and the responses are samples.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.config.schema import EvalConfig, TaskConfig
from presat.config.unused import refuse_unused
from presat.errors import ConfigError, ModelError
from presat.evaluation.chunks import Chunks, chunk_size
from presat.evaluation.evaluate import Draw, Evaluation, evaluate_problems
from presat.evaluation.problems import describe, describe_engine, drop_too_long, identity_of
from presat.evaluation.sets import load_sets
from presat.files import expanded
from presat.metrics import Interval, avg_at_k, coverage_of, maj_at_k, mean_pass_at_k, metric_of, share_interval
from presat.models import resolve_model
from presat.models.cpu import use_cpu
from presat.models.libraries import quiet_libraries
from presat.rollouts import seed_for
from presat.rollouts.batching import BatchEngine
from presat.rollouts.opening import open_engine
from presat.tasks.benchmarks import benchmark_names, size_note
from presat.tasks.doubts import doubts_of
from presat.text import printable
from presat.tracking import RunWriter
from presat.tracking.checkpoints import checkpoint_step, list_checkpoints
from presat.tracking.evaluated import known_results, note_evaluated, refuse_another
from presat.tracking.progress import Progress
from presat.tracking.questions import seen_in_training, shared_sentence
from presat.tracking.responses import RolloutStore
from presat.types import Problem, RolloutGroup, Sampling, Score
from presat.verify import Verifier

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

LOG = logging.getLogger("presat")
LEVEL = 0.95
"""Coverage of the intervals."""
NAME = 16
"""Characters of a set's name that its column has room for at least."""
UNFINISHED = "unfinished"
"""Folder of the responses below `rollouts` until their set is finished."""


@dataclass(frozen=True)
class SetResult:
    """One evaluation of one set: the step it is logged at, how many problems it had, its metrics and intervals."""

    name: str
    step: int
    problems: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]


@dataclass
class EvalReport:
    """What `evaluate_model` found.

    Attributes:
        run: the run directory.
        results: one for each model and set, in order.
        notes: what one should know about the sets, one sentence each.
    """

    run: Path
    results: list[SetResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        rows = [
            {
                "set": item.name,
                "step": item.step,
                "problems": item.problems,
                "metrics": item.metrics,
                "intervals": {name: [interval.low, interval.high] for name, interval in item.intervals.items()},
            }
            for item in self.results
        ]
        return {"run": str(self.run), "results": rows, "notes": self.notes}


def run_eval(config: EvalConfig, quiet: bool = False) -> Path:
    """Evaluate as `evaluate_model` does and return the run directory."""
    return evaluate_model(config, quiet).run


def evaluate_model(config: EvalConfig, quiet: bool = False) -> EvalReport:
    """Evaluate a model on every set and benchmark; metrics and responses are appended to the run directory.

    A model named `.../checkpoints/step_N` is logged at step N, any other at step 0. With the seed of a training run,
    a checkpoint's numbers repeat the ones its training logged.

    Raises:
        ConfigError: no sets to evaluate on, two of one name, an unknown benchmark, or a setting that would do nothing.
        DataError, ModelError, RunError: problems, model or run directory cannot be used, or the directory holds another
            evaluation of a set at the same step.
    """
    refuse_unused(config)
    report = EvalReport(config.run)
    use_cpu(config.threads, config.onednn)
    first, *others = _models(config)
    verify = config.verify
    with Progress("eval", quiet) as progress:
        with quiet_libraries():  # before the run directory is opened: what is refused leaves it as it was
            progress.phase("loading")
            asked = _problems(config, report.notes)
            subject = _open(first, config, asked)
        with (
            quiet_libraries(),
            RunWriter(config.run, config, "eval", resume=True) as writer,
            Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier,
        ):
            progress.start(0, len(asked) * (1 + len(others)))
            _evaluate_one(subject, config, report, writer, verifier, progress)
            del subject  # its memory is free before the next is loaded
            for name in others:
                progress.phase("loading")
                subject = _open(name, config, asked)
                _evaluate_one(subject, config, report, writer, verifier, progress)
                del subject
    return report


@dataclass(frozen=True)
class _Subject:
    """A loaded model: the step it is logged at, what it is, and by set its problems and what decides the results."""

    step: int
    engine: BatchEngine
    described: dict[str, Any]
    problems: dict[str, list[Problem]]
    facts: dict[str, dict[str, Any]]
    identities: dict[str, dict[str, Any]]

    def chunks(self, run: Path, label: str) -> dict[str, Chunks]:
        """Where the responses to a set are while it is not finished: those sampled, and the greedy ones."""
        kinds = ("sampled", "greedy")
        return {kind: Chunks(run, UNFINISHED, self.identities[label], f"{label}/{self.step}/{kind}") for kind in kinds}


def _open(name: str, config: EvalConfig, asked: dict[str, list[Problem]]) -> _Subject:
    """Load a model, unless the run directory holds another evaluation, whole or not, where this one's would be."""
    step = checkpoint_step(Path(resolve_model(name))) or 0
    engine = open_engine(config, name)
    described = describe_engine(engine, config.server)
    fitting = {label: drop_too_long(engine, own, config.max_prompt_tokens) for label, own in asked.items()}
    facts = {label: describe(*found) for label, found in fitting.items()}
    drawn = identity_of(engine, config, described, config.samples)
    prompts = {task.label(): task.prompt for task in config.sets}  # benchmarks have the common one
    identities = {}
    for label in asked:
        own = {"prompt": prompts.get(label, config.prompt), "problems": facts[label]["hash"]}
        identities[label] = {**drawn, **own}
        refuse_another(config.run, step, label, described["name"], identities[label])
    problems = {label: own for label, (own, _) in fitting.items()}
    subject = _Subject(step, engine, described, problems, facts, identities)
    for label in asked:
        for chunks in subject.chunks(config.run, label).values():
            chunks.refuse_others(f"{label} at step {step}")
    return subject


def _evaluate_one(
    subject: _Subject, config: EvalConfig, report: EvalReport, writer: RunWriter, verifier: Verifier, progress: Progress
) -> None:
    """Evaluate one model on all sets."""
    step, described = subject.step, subject.described
    if (note := described.get("note")) and note not in report.notes:
        report.notes.append(note)
    shared = seen_in_training(resolve_model(described["name"]), subject.problems) if "server" not in described else {}
    writer.note_provenance(model=described, problems={"eval": subject.facts, "shared": shared})
    for note in (shared_sentence(printable(name), *count) for name, count in shared.items()):
        if note not in report.notes:
            LOG.warning("%s", note)
            report.notes.append(note)
    progress.phase("evaluation")
    for label in subject.problems:
        result = _from_log(subject, label, config)
        if result is None:
            result = _evaluate_set(subject, label, config, writer, verifier)
        else:
            note_evaluated(config.run, step, label, described["name"], subject.identities[label])
            report.notes.append(f"{label}, step {step}: evaluated before; the numbers are those in the log.")
        for chunks in subject.chunks(config.run, label).values():
            chunks.discard()
        report.results.append(result)
        progress.show(len(report.results), _named(result))


def _evaluate_set(
    subject: _Subject, label: str, config: EvalConfig, writer: RunWriter, verifier: Verifier
) -> SetResult:
    """Evaluate one model on one set, going on with what was drawn of it before; keep responses and numbers."""
    step, problems, identity = subject.step, subject.problems[label], subject.identities[label]
    sampling = Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens)
    found = evaluate_problems(
        subject.engine,
        verifier,
        problems,
        config.samples,
        sampling,
        seed_for(config.seed, label),
        config.greedy,
        draw=_going_on(subject.engine, verifier, subject.chunks(config.run, label)),
    )
    result = SetResult(label, step, len(problems), found.metrics, intervals(found))
    if config.save_rollouts:
        store = RolloutStore(config.run / "rollouts")
        store.write("eval", step, found.groups, found.scores_PG, None, label, found.extra_PG, identity)
    note_evaluated(config.run, step, label, subject.described["name"], identity)
    writer.append(step, _named(result))
    return result


def _going_on(engine: BatchEngine, verifier: Verifier, chunks: dict[str, Chunks]) -> Draw:
    """Return how to draw what is not on the disk yet; a group is known by its seed."""

    def draw(
        kind: str, problems: Sequence[Problem], samples: int, sampling: Sampling, seeds: Sequence[int]
    ) -> tuple[list[RolloutGroup], list[list[Score]]]:
        known = chunks[kind].saved()
        new = [index for index, seed in enumerate(seeds) if seed not in known]
        left, size = [problems[index] for index in new], chunk_size(engine.rows, samples)
        drawn = chunks[kind].draw(engine, verifier, left, samples, sampling, [seeds[index] for index in new], size)
        for groups, scores_PG in drawn:
            known |= {group.seed: (group, scores) for group, scores in zip(groups, scores_PG, strict=True)}
        pairs = [known[seed] for seed in seeds]
        whole = [replace(group, problem=problem) for (group, _), problem in zip(pairs, problems, strict=True)]
        return whole, [scores for _, scores in pairs]

    return draw


def _from_log(subject: _Subject, label: str, config: EvalConfig) -> SetResult | None:
    """Return what this very evaluation has left in the log; None where it was not finished."""
    row = known_results(config.run, subject.step, label, subject.identities[label])
    file = RolloutStore(config.run / "rollouts").path("eval", subject.step, label)
    if row is None or (config.save_rollouts and not file.is_file()):
        return None
    prefix = f"eval/{label}/"
    own = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    metrics = {name: value for name, value in own.items() if "/" not in name}  # else of a set `LABEL/...`
    if ("greedy" in metrics) != config.greedy:
        return None
    kept = {}
    for metric, value in metrics.items():
        low, high = (row.get(f"interval/{label}/{metric}/{end}") for end in ("low", "high"))
        if value is not None and low is not None and high is not None:
            kept[metric] = Interval(value, low, high)
    return SetResult(label, subject.step, len(subject.problems[label]), metrics, kept)


def _named(result: SetResult) -> dict[str, float | None]:
    """The numbers of a result as they are logged."""
    metrics = {f"eval/{result.name}/{metric}": value for metric, value in result.metrics.items()}
    for metric, interval in result.intervals.items():
        metrics[f"interval/{result.name}/{metric}/low"] = interval.low
        metrics[f"interval/{result.name}/{metric}/high"] = interval.high
    return metrics


def intervals(found: Evaluation) -> dict[str, Interval]:
    """Return the interval of each accuracy of an evaluation, over the problems it is a mean of: three at least."""
    values_PG = [[score.value for score in row] for row in found.scores_PG]
    own: dict[str, Callable[[int], float | None]] = {
        "avg": lambda p: avg_at_k([values_PG[p]]),
        "maj": lambda p: maj_at_k([found.classes_PG[p]], [values_PG[p]], ties="first"),
        "greedy": lambda p: found.greedy_P[p],
    }
    done: dict[str, Interval] = {}
    for metric in found.metrics:
        kind, _, k = metric.partition("@")
        if kind == "pass":
            values = [mean_pass_at_k([row], int(k)) for row in values_PG]
        elif kind in own:
            values = [own[kind](p) for p in range(len(values_PG))]
        else:
            continue
        interval = share_interval([value for value in values if value is not None], LEVEL)
        if interval is not None:
            done[metric] = interval
    return done


def render(report: EvalReport) -> RenderableType:
    """Lay the results out for a terminal: one row a set and step, every accuracy with its interval."""
    from rich.console import Group
    from rich.text import Text

    below = f"Below each number: its {LEVEL:.0%} interval over problems. "
    words = f"{below if any(item.intervals for item in report.results) else ''}Kept in {report.run}."
    left_out = filter(None, map(_left_out, report.results))
    return Group(_Results(report.results), *(Text(line) for line in (*report.notes, *left_out, words)))


class _Results:
    """The table of results; metrics that the terminal has no room for stand in further tables below."""

    def __init__(self, results: Sequence[SetResult]) -> None:
        self.results = results

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from presat.console import full_width

        names = list(dict.fromkeys(name for item in self.results for name in item.metrics if _is_accuracy(name)))
        parts: list[list[str]] = [[]]
        for name in names:
            wider = self._table([*parts[-1], name], NAME)  # longer names of sets are folded
            if parts[-1] and full_width(console, options, wider) > options.max_width:
                parts.append([])
            parts[-1].append(name)
        for number, part in enumerate(parts):
            if number:
                yield ""
            yield self._table(part)

    def _table(self, names: Sequence[str], most: int | None = None) -> Table:
        """The table of some metrics, with the first `most` characters of the sets' names."""
        from rich.table import Table

        rows = [self._row(item, names) for item in self.results]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column("set", overflow="fold", min_width=8)
        for place, head in enumerate(("step", "problems", *names), 1):
            lines = [head, *(line for row in rows for line in row[place].split("\n"))]
            table.add_column(head, justify="right", min_width=max(map(len, lines)))  # no number is cut
        for row in rows:
            table.add_row(row[0][:most], *row[1:])
        return table

    def _row(self, item: SetResult, names: Sequence[str]) -> list[str]:
        cells = [_cell(item.metrics.get(name), item.intervals.get(name)) for name in names]
        covered = coverage_of(item.metrics)
        problems = covered.short if covered and covered.partial else str(item.problems)
        return [item.name, str(item.step), problems, *cells]


def _left_out(item: SetResult) -> str | None:
    """How many problems the scores are over, where not all, and how many more have too few judged responses."""
    covered, count = coverage_of(item.metrics), item.metrics.get("unjudged_problems") or 0
    parts = [covered.sentence] if covered and covered.partial else []
    if count > (covered.problems - covered.judged if covered else 0):
        metric = metric_of(item.metrics, "pass") or metric_of(item.metrics, "avg")
        parts.append(f"{count:.0f} of {item.problems} problems left out of {metric}, for too few judged responses")
    return f"{item.name}, step {item.step}: {'; '.join(parts)}." if parts else None


def _is_accuracy(metric: str) -> bool:
    return metric == "greedy" or metric.partition("@")[0] in ("avg", "pass", "maj")


def _cell(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f"\n{interval.low:.2f}-{interval.high:.2f}" if interval else "")


def _models(config: EvalConfig) -> Sequence[str]:
    """The models to evaluate: the one named, or every checkpoint of the run that is named."""
    if not config.every_checkpoint:
        return [config.model.name]
    found = list_checkpoints(expanded(config.model.name) / "checkpoints")
    if not found:
        raise ModelError(f"{config.model.name} is no run directory with checkpoints; `every_checkpoint` needs one.")
    return [str(path) for path in found]


def _problems(config: EvalConfig, notes: list[str]) -> dict[str, list[Problem]]:
    """The problems of every set and benchmark, by the name they are logged under; adds to `notes`."""
    names = list(dict.fromkeys(name for wanted in config.benchmarks for name in benchmark_names(wanted)))
    own = [task.label() for task in config.sets]
    if twice := [name for name in names if name in own]:
        raise ConfigError(f"A set and a benchmark are both called '{twice[0]}'; give the set another `name`.")
    if not own and not names:
        raise ConfigError("There is nothing to evaluate on: give `sets` at least one task, or `benchmarks` a name.")
    options = {"folder": str(config.folder)} if config.folder else {}
    # with the set's own seed, as in training: `config.seed` is that of the draws
    tasks = {name: TaskConfig(source=f"benchmark/{name}", prompt=config.prompt, options=options) for name in names}
    asked, left_out = load_sets([*config.sets, *tasks.values()], config.skip_missing)
    notes += [f"Left out: {reason}" for reason in left_out.values()]
    for name in filter(asked.__contains__, own):
        notes += [f"{printable(name)}: {said}" for said in doubts_of(asked[name]).sentences]
    for name in (name for name in names if name in asked):
        problems = asked[name]
        notes += filter(None, [size_note(name, len(problems), config.folder)])
        if config.count is not None and config.count < len(problems):
            asked[name] = random.Random(f"{name}/{tasks[name].seed}").sample(problems, config.count)
    return asked
