"""`presat check` on a terminal and as a page: the verdicts first, then what they are from, then what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from presat import __version__
from presat.analysis.numbers import Tone
from presat.config.schema import CheckConfig
from presat.forecast import Evidence, Forecast, Measure, Verdict, run_check
from presat.forecast.evidence import MEANINGS
from presat.forecast.run import TRAIN_FILE
from presat.outputs import Maker
from presat.report.svg import Drawing, Scale
from presat.report.terminal import COLOURS, say, sparkline
from presat.tracking.pace import duration

if TYPE_CHECKING:
    from markupsafe import Markup
    from rich.console import Console, RenderableType

PAGE = "report.html"
TONES: Mapping[str, Tone] = {
    "generalise": "good", "uncertain": "open", "memorise": "bad", "cannot learn": "bad", "not known": "open",
}  # fmt: skip
SHOWN = (
    ("what RL would draw on", ("usable", "dead_right", "dead_wrong", "avg", "pass", "cover", "length", "entropy")),
    ("answers", ("read", "boxed", "cut_off")),
    (
        "reasoning",
        ("aligned_right", "aligned", "cot_pass", "judged", "diversity", "right_diversity", "faithful_diversity"),
    ),
    ("weak supervision", ("maj", "live_vote", "dead_vote", "noise_limit", "certainty_auroc", "length_auroc")),
)
"""The quantities as they are shown, by what they are about."""
MOST_REASONS = 3
FAR = (
    "Those runs are of models of 0.1M parameters, of five kinds of start, on one made-up task: of this model the "
    "verdicts say what such models would have done. On eight runs of SmolLM2-135M, the one real model they were tried "
    "on, they foretold nothing: the numbers below are measured on your model, the chances are not (docs/forecast.md)."
)


def check(config: CheckConfig, out: Console) -> dict[str, Any]:
    """Run a check, show it, write the page beside the draws, and return the numbers.

    Raises:
        ConfigError, DataError, ModelError, RunError: as `presat.forecast.run_check`.
    """
    forecast = run_check(config)
    page = config.run / PAGE
    CHECK.write_text(page, render_page(forecast))
    out.print(render(forecast))
    for command in forecast.plan.commands:  # whole, to be copied, whatever the width
        say(out, f"  {command}")
    say(out, f"wrote {page}; the configuration is {config.run / TRAIN_FILE}")
    return {**forecast.to_json(), "written": str(page)}


CHECK = Maker("presat check", re.compile(rb'<!doctype html>.*?<meta name="generator" content="presat check', re.DOTALL))
"""Writes the page into the run directory."""


def render(forecast: Forecast) -> RenderableType:
    """Lay a forecast out for a terminal; the commands of its plan follow, which no line break may cut."""
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = []
    for verdict in forecast.verdicts:
        lines.append(_verdict_line(verdict))
        lines += [Text(f"    + {reason.sentence}") for reason in verdict.reasons_for[:MOST_REASONS]]
        lines += [Text(f"    - {reason.sentence}") for reason in verdict.reasons_against[:MOST_REASONS]]
        if verdict.unknown:
            named = "; ".join(meaning(name) for name in verdict.unknown)
            lines.append(Text(f"    ? not known here: {named}", style="dim"))
    lines += [Text(skill_sentence(forecast), style="dim"), ""]
    lines += [_solved_line(forecast.evidence), "", _table(forecast.evidence), ""]
    lines += [*(Text(f"note: {note}") for note in forecast.notes), ""] if forecast.notes else []
    lines += [Text(line) for line in _to_do(forecast)]
    return Group(*lines)


def skill_sentence(forecast: Forecast) -> str:
    """How good such forecasts are, as far as it was measured."""
    skills = {verdict.skill for verdict in forecast.verdicts}
    known = "; ".join(f"{verdict.words}: {verdict.skill}" for verdict in forecast.verdicts)
    said = f"How good these forecasts are: {known if len(skills) > 1 else skills.pop()}."
    far = "" if forecast.lab else f" {FAR}"
    return f"{said} {forecast.weights}{far} Intervals: 95% over prompts."


def meaning(name: str) -> str:
    """A quantity that a verdict weighs, in words."""
    return MEANINGS["noise_limit"] if name == "noise_room" else MEANINGS[name]


def _verdict_line(verdict: Verdict) -> RenderableType:
    from rich.text import Text

    chance = ""
    if verdict.probability is not None and verdict.low is not None and verdict.high is not None:
        bounds = f" ({verdict.low:.0%} to {verdict.high:.0%})" if verdict.low < verdict.high else ""
        chance = f"  chance to generalise {verdict.probability:.0%}{bounds}"
    line = Text(f"{verdict.words}: ")
    line.append(verdict.label, style=COLOURS[TONES[verdict.label]])
    return line.append(chance)


def _solved_line(evidence: Evidence) -> RenderableType:
    from rich.text import Text

    most = max(evidence.histogram, default=0)
    bars = sparkline([count / most if most else 0.0 for count in evidence.histogram], len(evidence.histogram), 0.0, 1.0)
    return Text(f"prompts solved 0 to {evidence.samples} times of {evidence.samples}: {bars}  {_counts(evidence)}")


def _counts(evidence: Evidence) -> str:
    return " ".join(map(str, evidence.histogram))


def _table(evidence: Evidence) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for name in ("value", "95% interval", "prompts"):
        table.add_column(name, justify="right", no_wrap=True)
    for heading, names in SHOWN:
        table.add_row(heading, style="bold")
        for name in names:
            table.add_row(f"  {MEANINGS[name]}", *cells(evidence.measures[name]))
    return table


def cells(measure: Measure) -> tuple[str, str, str]:
    """A quantity as a table shows it: value, interval, and how many prompts it is over."""
    if measure.value is None:
        return "-", "", ""
    interval = "" if measure.low is None or measure.high is None else f"{measure.low:.2f} to {measure.high:.2f}"
    return f"{measure.value:.2f}", interval, str(measure.prompts)


def _to_do(forecast: Forecast) -> list[str]:
    plan = forecast.plan
    first = [f"{number}. {sentence}" for number, sentence in enumerate(plan.first, 1)]
    cost = ""
    if forecast.step_tokens is not None:
        cost = f"A step samples about {forecast.step_tokens:,.0f} tokens"
        cost += f", {duration(forecast.step_seconds)} here." if forecast.step_seconds is not None else "."
    some = ""
    if plan.usable is not None:
        some = f"About {plan.usable} of the {forecast.problems} problems are solved sometimes: N, as the paper counts."
    last = "Then:" if plan.trains else "RL has nothing to go on here: then check again."
    last += " (The configuration stands ready all the same.)" if not plan.trains else ""
    return [f"To do first:{'' if first else ' nothing.'}", *first, *filter(None, (some, cost)), last]


def render_page(forecast: Forecast) -> str:
    """The page's text: self-contained, without a script."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = resources.files("presat.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "check.html.j2").read_text(encoding="utf-8"))
    return template.render(
        forecast=forecast,
        evidence=forecast.evidence,
        tones=TONES,
        chances=[chance_bar(verdict) for verdict in forecast.verdicts],
        solved=solved_bars(forecast.evidence.histogram),
        shown=SHOWN,
        meanings=MEANINGS,
        meaning=meaning,
        cells=cells,
        to_do=_to_do(forecast),
        commands=forecast.plan.commands,
        skill=skill_sentence(forecast),
        most=MOST_REASONS,
        styles=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        version=__version__,
    )


def solved_bars(histogram: Sequence[int]) -> Markup:
    """How many prompts were solved 0, 1, ..., k times, as bars; those at the ends teach nothing."""
    height, top, bottom, left, right = 180.0, 14.0, 150.0, 12.0, 448.0
    drawing = Drawing(height, f"prompts solved 0 to {len(histogram) - 1} times: {' '.join(map(str, histogram))}")
    most = max([*histogram, 1])
    y = Scale(0.0, float(most), bottom, top)
    step = (right - left) / len(histogram)
    for place, count in enumerate(histogram):
        x = left + place * step
        kind = "dead" if place in (0, len(histogram) - 1) else "live"
        drawing.add("rect", f"solved {kind}", f"{count} prompts solved {place} times", x=x + 1, y=y(count),
                    width=step - 2, height=bottom - y(count))  # fmt: skip
        if count:
            drawing.text(x + step / 2, y(count) - 8, str(count), "tick", "middle")
        drawing.text(x + step / 2, bottom + 12, str(place), "tick", "middle")
    drawing.line(left, bottom, right, bottom, "axis")
    return drawing.markup()


def chance_bar(verdict: Verdict) -> Markup | None:
    """The probability of generalising with its interval, on a line from 0 to 1."""
    if verdict.probability is None or verdict.low is None or verdict.high is None:
        return None
    drawing = Drawing(34.0, f"chance to generalise {verdict.probability:.0%}")
    x = Scale(0.0, 1.0, 8.0, 452.0)
    drawing.line(x(0.0), 14.0, x(1.0), 14.0, "grid")
    for end, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        drawing.text(x(end), 28.0, f"{end:.0%}", "tick", anchor)
    drawing.line(x(verdict.low), 14.0, x(verdict.high), 14.0, "chance")
    drawing.add("circle", "chance_at", cx=x(verdict.probability), cy=14.0, r=6.0)
    return drawing.markup()
