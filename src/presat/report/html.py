"""`report.html`: one page that needs nothing else. No network, light and dark, readable on paper.

The page is a jinja2 template (`page.html.j2`) with autoescape on: every text that comes from a run is escaped, figures
are JSON read by a short script, and the page's own policy forbids any request.
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

import yaml

from presat import __version__
from presat.report import figures
from presat.report.naming import run_names
from presat.report.repeats import repeats
from presat.report.samples import Sample, pick_sample
from presat.report.summary import Choices, RunSummary, summarise
from presat.report.tables import choices_note, rows, shown, to_csv, used_columns, write_tables, write_text

if TYPE_CHECKING:
    from presat.tracking import Run

TITLE = "Did it learn to reason, or memorise?"
MARKS = {True: "▲", False: "▼", None: "●"}


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
        ConfigError: no runs, or lists that do not fit them.
        RunError: a run's responses cannot be read, or a file cannot be written.
    """
    out = Path(out)
    if summaries is None:
        read = choices or Choices()
        names = run_names(runs, labels)
        summaries = [
            summarise(run, read.tail, read.window, read.reading, read.grid, name)
            for run, name in zip(runs, names, strict=True)
        ]
    if "html" in formats:
        write_text(out, render(runs, summaries, title or TITLE, intro, groups))
    write_tables(summaries, out, [kind for kind in formats if kind != "html"])
    return out


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
    from plotly.offline import get_plotlyjs

    folder = resources.files("presat.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["num"] = lambda value, digits=2: shown(value, digits)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    table = rows(summaries)
    panels = {
        "track": figures.track_panels(summaries),
        "change": figures.change_panels(summaries),
        "sharpening": figures.sharpening_panels(summaries),
        "faithfulness": figures.faithfulness_panels(summaries),
    }
    drawn = [panel for group in panels.values() for panel in group]
    samples = [pick_sample(run, summary) for run, summary in zip(runs, summaries, strict=True)]
    return template.render(
        title=title,
        intro=[part.strip() for part in intro.split("\n\n") if part.strip()],
        summaries=summaries,
        answer=answer(summaries),
        marks=MARKS,
        panels=panels,
        has_intervals=any(i is not None for s in summaries for item in s.sets for i in item.intervals),
        specs=Markup("{" + ",".join(f'"{panel.key}":{panel.spec}' for panel in drawn) + "}"),  # noqa: S704 (no `<` in it)
        plotlyjs=Markup(get_plotlyjs()) if drawn else "",  # noqa: S704 (plotly's own file)
        styles=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        table=table,
        columns=used_columns(table),
        repeats=repeats(summaries, groups),
        samples=[sample for sample in samples if isinstance(sample, Sample)],
        origins=[_origin(run, summary) for run, summary in zip(runs, summaries, strict=True)],
        choices=choices_note(summaries),
        csv=base64.b64encode(to_csv(table).encode()).decode(),
        version=__version__,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
    )


def answer(summaries: Sequence[RunSummary]) -> list[tuple[str, list[str]]]:
    """Which run did what: verdict labels with the names of their runs, good news first."""
    ranks = {True: 0, None: 1, False: 2}
    ordered = sorted(summaries, key=lambda summary: ranks[summary.verdict.good])
    found: dict[str, list[str]] = {}
    for summary in ordered:
        found.setdefault(summary.verdict.label, []).append(summary.name)
    return list(found.items())


def _origin(run: Run, summary: RunSummary) -> Origin:
    known = run.provenance
    git, machine = (value if isinstance(value, Mapping) else {} for value in (known.get("git"), known.get("machine")))
    versions, seeds = (known.get(name) or {} for name in ("versions", "seeds"))
    facts = {
        "started": known.get("started"),
        "seeds": ", ".join(f"{name} {value}" for name, value in seeds.items()),
        "answers read": known.get("extraction"),
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
        "code": f"{git['commit'][:12]}{', modified' if git.get('modified') else ''}" if git.get("commit") else None,
        "machine": ", ".join(str(machine[name]) for name in ("platform", "processor") if machine.get(name)),
        "processors": machine.get("cpus"),
        "GPUs": ", ".join(machine.get("gpus") or []),
        "resumed": f"{len(known['resumed'])} times" if known.get("resumed") else None,
    }
    words = known.get("command_line")
    command = shlex.join(str(word) for word in words) if isinstance(words, list) else ""
    config = yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True) if run.config else ""
    status = f"{run.status}: {run.status_reason}" if run.status_reason else run.status
    shown_facts = [(name, _text(value)) for name, value in facts.items() if value not in (None, "")]
    return Origin(summary.name, str(run.path), run.kind, status, command, shown_facts, config, summary.notes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
