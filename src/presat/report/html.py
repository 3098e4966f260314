"""`report.html`: one page that needs nothing else. No network, light and dark, readable on paper.

The page is a jinja2 template (`page.html.j2`) with autoescape on: every text that comes from a run is escaped. Figures
are inline SVG; there is no script, and the page's own policy forbids scripts and any request.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat import __version__
from presat.analysis.naming import run_names
from presat.analysis.numbers import Choices, RunSummary, Tone, Verdict
from presat.analysis.repeats import repeats
from presat.analysis.summary import summarise
from presat.config.yamls import dump_yaml
from presat.errors import ConfigError
from presat.report import figures
from presat.report.breadth import breadth_panels
from presat.report.reasoning import reasoning_panels
from presat.report.samples import Sample, pick_sample
from presat.report.tables import ENDINGS, REPORT, SIGN, choices_note, rows, shown, to_csv, to_latex, used_columns
from presat.text import masked, masked_words, printable
from presat.tracking.state import PLAIN

if TYPE_CHECKING:
    from presat.tracking import Run

TITLE = "Did it learn to reason, or memorise?"
MARKS: dict[Tone, str] = {"good": "▲", "partly": "◆", "open": "●", "bad": "▼"}
"""A mark for each tone, good news first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a run was made, as far as it says."""

    name: str
    path: str
    kind: str
    status: str
    command: str
    facts: list[tuple[str, str]]
    config: str
    notes: list[str]


def build_report(
    runs: Sequence[Run],
    out: Path | str,
    title: str | None = None,
    intro: str = "",
    groups: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    choices: Choices | None = None,
    summaries: Sequence[RunSummary] | None = None,
    formats: Sequence[str] = ("html", "csv", "latex"),
) -> Path:
    """Write the page, and beside it (same name, `.csv` and `.tex`) the tables.

    Args:
        runs: opened runs of any kind; what one does not hold is left out of its sections.
        out: the page.
        title: the question the page answers.
        intro: a few paragraphs under it, separated by blank lines; plain text.
        groups: a name for each run; runs of one name (seeds of one setting) are averaged in a section of their own.
        labels: what the runs are called; the shortest paths that tell them apart when None.
        choices: how t_sat and scores are read.
        summaries: the runs' summaries, if made already; `labels` and `choices` are then not looked at.
        formats: of `html`, `csv`, `latex`, those to write.

    Returns:
        `out`.

    Raises:
        ConfigError: no runs, lists that do not fit them, or a file is there that no report made.
        RunError: a run's responses cannot be read, or a file cannot be written.
    """
    files = report_files(runs, out, formats)
    if summaries is None:
        read = choices or Choices()
        names = run_names(runs, labels)
        summaries = [summarise(run, read, name) for run, name in zip(runs, names, strict=True)]
    table = rows(summaries)
    tables = {"csv": to_csv(table), "latex": to_latex(table, choices_note(summaries))}
    page = render(runs, summaries, title or TITLE, intro, groups) if "html" in files else ""
    for name, path in files.items():
        REPORT.write_text(path, tables.get(name, page))
    return Path(out)


def report_files(runs: Sequence[Run], out: Path | str, formats: Sequence[str]) -> dict[str, Path]:
    """The files that a report on `runs` at `out` consists of, by format, each checked: see `presat.outputs`.

    Raises:
        ConfigError: one is the log of a run, or is there and no report made it; `out` has no ending.
        RunError: its folder cannot be made or written to.
    """
    page = Path(out)
    files = {name: page.parent / f"{page.stem}{ENDINGS[name]}" if name in ENDINGS else page for name in formats}
    logs = [run.path for run in runs if run.path.is_file()]
    REPORT.check([page] if page.is_dir() else list(files.values()), logs)
    if not page.suffix:
        raise ConfigError(
            f"{printable(str(page))} says no kind of file: `--out` should name the page, "
            f"{printable(str(page / 'report.html'))} for instance."
        )
    return files


def render(
    runs: Sequence[Run],
    summaries: Sequence[RunSummary],
    title: str,
    intro: str = "",
    groups: Sequence[str] | None = None,
) -> str:
    """The page's text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = resources.files("presat.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["num"] = lambda value: shown(value, 2)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    table = rows(summaries)
    spans = figures.spans(summaries)
    panels = {
        "change": figures.change_panels(summaries),
        "sharpening": figures.sharpening_panels(summaries),
        "breadth": breadth_panels(summaries),
        "faithfulness": figures.faithfulness_panels(summaries),
        "reasoning": reasoning_panels(runs, summaries),
    }
    samples = [pick_sample(run, summary) for run, summary in zip(runs, summaries, strict=True)]
    return template.render(
        title=title,
        intro=[part.strip() for part in intro.split("\n\n") if part.strip()],
        summaries=summaries,
        answer=answer(summaries),
        tracks=[figures.track(summary, last) for summary, last in zip(summaries, spans, strict=True)],
        same_steps=len(set(spans)) == 1,
        marks=MARKS,
        panels=panels,
        from_start=all(item.first_step == 0 for s in summaries for item in s.sets),
        has_intervals=any(i is not None for s in summaries for item in s.sets for i in item.intervals),
        styles=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        table=table,
        columns=used_columns(table),
        repeats=repeats(summaries, groups),
        samples=[sample for sample in samples if isinstance(sample, Sample)],
        origins=[_origin(run, summary) for run, summary in zip(runs, summaries, strict=True)],
        choices=choices_note(summaries),
        plain=PLAIN,
        csv=base64.b64encode(to_csv(table).encode()).decode(),
        sign=SIGN,
        version=__version__,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
    )


def answer(summaries: Sequence[RunSummary]) -> list[tuple[Verdict, list[str]]]:
    """Which run did what: a verdict of each label with the names of its runs, good news first."""
    ordered = sorted(summaries, key=lambda summary: list(MARKS).index(summary.verdict.tone))
    found: dict[str, tuple[Verdict, list[str]]] = {}
    for summary in ordered:
        found.setdefault(summary.verdict.label, (summary.verdict, []))[1].append(summary.name)
    return list(found.values())


def _origin(run: Run, summary: RunSummary) -> Origin:
    known = run.provenance
    git, machine = (value if isinstance(value, Mapping) else {} for value in (known.get("git"), known.get("machine")))
    versions, seeds = (known.get(name) or {} for name in ("versions", "seeds"))
    other = [f"{name} {value}" for name, value in (known.get("other_extractions") or {}).items()]
    facts = {
        "no t_sat": summary.t_sat_reason if summary.reward else None,
        "started": known.get("started"),
        "seeds": ", ".join(f"{name} {value}" for name, value in seeds.items()),
        "answers read": ", ".join(filter(None, [known.get("extraction"), *other])),
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
        "code": f"{git['commit'][:12]}{', modified' if git.get('modified') else ''}" if git.get("commit") else None,
        "machine": ", ".join(str(machine[name]) for name in ("platform", "processor") if machine.get(name)),
        "processors": machine.get("cpus"),
        "GPUs": ", ".join(machine.get("gpus") or []),
        "resumed": f"{len(known['resumed'])} times" if known.get("resumed") else None,
    }
    words = known.get("command_line")
    command = shlex.join(masked_words(map(str, words))) if isinstance(words, list) else ""
    config = masked(dump_yaml(dict(run.config))) if run.config else ""
    status = f"{run.status}: {run.status_reason}" if run.status_reason else run.status
    shown_facts = [(name, _text(value)) for name, value in facts.items() if value not in (None, "")]
    return Origin(summary.name, summary.path, run.kind, status, command, shown_facts, config, summary.notes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
