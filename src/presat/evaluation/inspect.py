r"""`presat data inspect`: what a source holds, and whether a right answer to it earns a reward.

The gold self-check states each gold answer as it is read and has the verifier judge it: anything but a 1 would make the
problem unlearnable. In label-noise sets (section 3, noisy rewards) the true answer is judged against the
training label too: labels that differ in writing but accept the true answer are no noise.

That golds verify is not enough: what the prompts ask for must be what is read (`presat.evaluation.earnable`), and a
held-out set must hold nothing that is trained on (`against`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from presat.evaluation.earnable import Earnable, advice, earnable, first_gold, stated
from presat.tasks.doubts import Doubts, doubts_of
from presat.tasks.golds import accepted
from presat.tasks.load import load_problems
from presat.tasks.rows import is_labelled, original_gold, repeats_of
from presat.tasks.shared import count_shared
from presat.text import brief, listed, printable
from presat.types import Problem, Score
from presat.verify import Verifier

if TYPE_CHECKING:
    from rich.console import RenderableType

    from presat.config.schema import TaskConfig, VerifyConfig

MOST_WORKERS = 4
"""Processes the gold self-check takes when the machine has them, or more where the configuration says so."""
SHOWN = 10
"""Failing rows the terminal shows; the JSON has all."""
SAMPLES = 3
"""Prompts that are shown with their gold answers."""
LONGEST_PROMPT = 1000
"""Characters of a prompt that the terminal shows."""


@dataclass(frozen=True, slots=True)
class GoldFailure:
    """A gold answer that does not verify against itself."""

    problem: str
    place: int
    gold: str
    value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A problem as a model is asked it: its turns, and the gold answer."""

    problem: str
    prompt: str
    gold: str | None


@dataclass(frozen=True, slots=True)
class Shared:
    """How many problems ask a question of another source too, and how many problems that has."""

    source: str
    problems: int
    shared: int


@dataclass(frozen=True, slots=True)
class Noise:
    """Training labels against the true answers a source keeps beside them.

    Attributes:
        known: problems whose true answer the source gives.
        differ: of these, how many carry a label that is written differently.
        wrong: of these, how many labels reject the true answer: the corruption that training feels.
        undecided: of these, how many could not be judged (a time-out).
    """

    known: int
    differ: int
    wrong: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect_source` found.

    Attributes:
        source: the source.
        rows: rows of the source (of a made set: problems).
        problems: problems after folding of uniformly repeated rows.
        duplicates: problems whose turns and gold equal those of an earlier one.
        fields: share of problems that have a value, by field.
        domains, verifiers, sources: how many problems of each kind; `sources` is the field `data_source`.
        prompt_chars: mean and largest number of characters of a prompt.
        with_gold: problems that have a gold answer.
        unlabelled: problems that have none and need one: no response to them can be judged.
        gold_right: of these, how many verify against themselves.
        gold_failures: the others.
        doubts: gold answers that are none, and questions with several.
        formats: the answer formats that the prompts ask for, and whether right answers in them would score.
        advice: what to do where they would not, and about the doubts.
        samples: the first prompts with their gold answers.
        against: None where there was no other source to hold it against.
        noise: None when the source gives no true answers beside the labels.
        mode: how answers were read.
    """

    source: str
    rows: int
    problems: int
    duplicates: int
    fields: dict[str, float]
    domains: dict[str, int]
    verifiers: dict[str, int]
    sources: dict[str, int]
    prompt_chars: tuple[float, int]
    with_gold: int
    unlabelled: int
    gold_right: int
    gold_failures: tuple[GoldFailure, ...]
    doubts: Doubts
    formats: tuple[Earnable, ...]
    advice: tuple[str, ...]
    samples: tuple[Sample, ...]
    against: Shared | None
    noise: Noise | None
    mode: str

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def inspect_source(
    source: str | TaskConfig, verify: VerifyConfig | None = None, against: str = "", **options: Any
) -> Inspection:
    """Load a source and look into it.

    Args:
        source: as for `load_problems`.
        verify: how the self-check reads and judges answers; when None, the source's own settings or the defaults.
        against: another source, to count the questions in both; that of an `InspectConfig` when empty.
        options: as for `load_problems`.

    Raises:
        ConfigError, DataError: as `load_problems`.
        VerifierError: answers cannot be judged.
    """
    from presat.config import schema
    from presat.config.unused import refuse_unused

    if isinstance(source, schema.InspectConfig):
        refuse_unused(source)
    settings: VerifyConfig = verify or getattr(source, "verify", None) or schema.VerifyConfig()
    problems = load_problems(source, **options)
    against = against or getattr(source, "against", "")
    others = load_problems(against) if against else []
    shared = Shared(against, len(others), count_shared(problems, others)) if against else None
    workers = max(settings.workers, min(os.cpu_count() or 1, MOST_WORKERS))  # someone waits, and nothing else runs
    with Verifier(settings.extraction, workers, settings.timeout_s) as verifier:
        found = inspect_problems(problems, verifier, source if isinstance(source, str) else source.source)
    return replace(found, against=shared)


def inspect_problems(problems: Sequence[Problem], verifier: Verifier, source: str = "") -> Inspection:
    """Look into loaded problems."""
    golds = [(place, problem) for place, problem in enumerate(problems, 1) if problem.gold is not None]
    scores = verifier.score_many([(problem, stated(first_gold(problem), verifier.mode)) for _, problem in golds])
    lengths = [sum(len(turn["content"]) for turn in problem.messages) for problem in problems]
    distinct = {(tuple((turn["role"], turn["content"]) for turn in p.messages), p.gold) for p in problems}
    formats, doubts = earnable(problems, verifier), doubts_of(problems)
    return Inspection(
        source=source,
        rows=sum(repeats_of(problem) for problem in problems),
        problems=len(problems),
        duplicates=len(problems) - len(distinct),
        fields=_fields(problems),
        domains=_counts(problem.domain for problem in problems),
        verifiers=_counts(problem.verifier for problem in problems),
        sources=_counts(str(p.metadata["data_source"]) for p in problems if "data_source" in p.metadata),
        prompt_chars=(sum(lengths) / max(1, len(lengths)), max(lengths, default=0)),
        with_gold=len(golds),
        unlabelled=sum(not is_labelled(problem) for problem in problems),
        gold_right=sum(score.value == 1.0 for score in scores),
        gold_failures=_failures(golds, scores),
        doubts=doubts,
        formats=tuple(formats),
        advice=(*advice(formats, verifier.mode), *_without_golds(problems), *doubts.sentences),
        samples=tuple(Sample(p.id, _rendered(p), p.gold) for p in problems[:SAMPLES]),
        against=None,
        noise=_noise(problems, verifier),
        mode=verifier.mode,
    )


def render(inspection: Inspection) -> RenderableType:
    """Lay the findings out for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _lines(inspection):
        table.add_row(name, Text(printable(value), overflow="fold"))  # a long path stays whole
    failures = [
        f"problem {item.place} ({printable(item.problem)}): gold {brief(item.gold)} {item.reason or 'is judged wrong'}"
        for item in inspection.gold_failures[:SHOWN]
    ]
    if len(inspection.gold_failures) > SHOWN:
        failures.append(f"... and {len(inspection.gold_failures) - SHOWN} more (--json has all)")
    said = [printable(line) for line in inspection.advice]
    return Group(*(Text(line) for line in _sample_lines(inspection.samples)), table,
                 *(Text(line) for line in failures), *(Text(line, style="bold") for line in said))  # fmt: skip


def _sample_lines(samples: Sequence[Sample]) -> list[str]:
    lines = []
    for number, sample in enumerate(samples, 1):
        cut = f" ... ({len(sample.prompt)} characters)" if len(sample.prompt) > LONGEST_PROMPT else ""
        gold = "none" if sample.gold is None else brief(sample.gold)
        lines += [f"prompt {number}", printable(sample.prompt[:LONGEST_PROMPT]) + cut, f"gold: {gold}", ""]
    return lines


def _rendered(problem: Problem) -> str:
    return "\n".join(f"[{turn['role']}] {turn['content']}" for turn in problem.messages)


def _lines(found: Inspection) -> list[tuple[str, str]]:
    repeated = f" ({found.rows} rows, each prompt {found.rows // max(1, found.problems)} times)"
    share = f" ({found.gold_right / found.with_gold:.1%})" if found.with_gold else ""
    mean, largest = found.prompt_chars
    unlabelled = f" ({found.unlabelled} without one: no response to these is judged)" if found.unlabelled else ""
    lines = [
        ("source", found.source),
        ("problems", f"{found.problems}{repeated if found.rows > found.problems else ''}"),
        ("duplicates", str(found.duplicates)),
        ("domains", _listed(found.domains)),
        ("verifiers", _listed(found.verifiers)),
        ("prompt length", f"{mean:.0f} characters on average, {largest} at most"),
        ("fields", ", ".join(name if part == 1 else f"{name} ({part:.0%})" for name, part in found.fields.items())),
        ("gold answers", f"{found.with_gold} of {found.problems}{unlabelled}"),
        (
            "gold self-check",
            f"{found.gold_right} of {found.with_gold} verify against themselves{share}, mode {found.mode}",
        ),
    ]
    lines += [("answer format" if index == 0 else "", item.sentence) for index, item in enumerate(found.formats)]
    if found.against is not None:
        other = found.against
        lines.append(
            ("shared", f"{other.shared} of {found.problems} questions are among the {other.problems} of {other.source}")
        )
    if found.sources:
        lines.insert(4, ("sources", _listed(found.sources)))
    if found.noise is not None:
        noise = found.noise
        share = f"{noise.wrong / noise.known:.1%}"
        said = f"{noise.differ} of {noise.known} labels differ from the true answer, {noise.wrong} reject it ({share})"
        if noise.undecided:
            said += f", {noise.undecided} undecided"
        lines.append(("label noise", said))
    return lines


def _failures(golds: Sequence[tuple[int, Problem]], scores: Sequence[Score]) -> tuple[GoldFailure, ...]:
    return tuple(
        GoldFailure(problem.id, place, problem.gold or "", score.value, score.reason)
        for (place, problem), score in zip(golds, scores, strict=True)
        if score.value != 1.0
    )


def _noise(problems: Sequence[Problem], verifier: Verifier) -> Noise | None:
    known = [(problem, truth) for problem in problems if (truth := original_gold(problem)) is not None]
    if not known:
        return None
    differ = [(problem, truth) for problem, truth in known if truth.strip() != (problem.gold or "").strip()]
    scores = verifier.score_many([(problem, stated(accepted(truth)[0], verifier.mode)) for problem, truth in differ])
    undecided = sum(score.value is None for score in scores)
    return Noise(len(known), len(differ), sum(score.value == 0.0 for score in scores), undecided)


def _fields(problems: Sequence[Problem]) -> dict[str, float]:
    """Share of problems with a value, by field; nested mappings as `outer.inner`."""
    found: Counter[str] = Counter()
    for problem in problems:
        holds = {"messages": True, "gold": problem.gold is not None}  # a column of these names is no second one
        for name, value in problem.metadata.items():
            if name == "repeats":  # ours, not the source's
                continue
            inner = value if isinstance(value, Mapping) else {}
            for key, item in ((name, value), *((f"{name}.{key}", item) for key, item in inner.items())):
                holds[key] = holds.get(key, False) or item is not None
        found.update({name: int(held) for name, held in holds.items()})
    return {name: count / len(problems) for name, count in found.items()}


def _without_golds(problems: Sequence[Problem]) -> list[str]:
    """What to do where no problem has a gold answer that needs one: its column may have another name."""
    if not problems or any(map(is_labelled, problems)):
        return []
    fields = listed(list(dict.fromkeys(name for problem in problems for name in problem.metadata)))
    said = f"Does a field hold them ({fields})? Name it: --columns answer FIELD." if fields else "No field is left."
    return [f"No gold answer was found. {said}"]


def _counts(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
