"""`presat diagnose`: the alarms of runs, the worst first, each with its numbers, its onset and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from presat.analysis.naming import run_names
from presat.config.schema import DiagnoseConfig
from presat.diagnosis import kept_judge, make_judge
from presat.diagnosis.alarms import SEVERITIES, Alarm, alarms, worst
from presat.diagnosis.alarms.groups import wasted
from presat.diagnosis.alarms.series import Curves
from presat.errors import ConfigError
from presat.report.reasoning import LEAST_MOMENTS, reasoning_of
from presat.report.terminal import say
from presat.text import printable
from presat.tracking import Run, open_runs
from presat.tracking.judgements import judgement_folder
from presat.tracking.state import ENDED

if TYPE_CHECKING:
    from rich.console import Console

    from presat.diagnosis.judges import Judge
    from presat.diagnosis.moments import Moment

COLOURS = {"critical": "bold red", "warning": "bold yellow", "info": "bold"}


def diagnose(config: DiagnoseConfig, out: Console) -> dict[str, Any]:
    """Print the alarms of every run, and return them.

    Raises:
        ConfigError: no run was named.
        RunError: one cannot be read, or judgements cannot be kept.
        JudgeError: the judge that was asked for failed; what it said before is kept.
    """
    if not config.runs:
        raise ConfigError("Which run? `presat diagnose RUN...` takes run directories, logs and saved responses.")
    judge = None if config.judge == "symbolic" else make_judge(config.judge, **config.judge_options)
    read_as = {"columns": config.columns, "reward_values": config.reward_values}
    runs = [run for path in config.runs for run in open_runs(path, **read_as)]
    found: list[dict[str, Any]] = []
    for name, run in zip(run_names(runs, []), runs, strict=True):
        raised = alarms(run, live=run.status == "running")
        shown = [alarm for alarm in raised if _rank(alarm.severity) <= _rank(config.show)]
        lost = wasted(Curves(run), None)
        of, reasoning = _reasoning(run, judge) if config.reasoning else ("", [])
        _print(out, name, run, shown, lost)
        _print_reasoning(out, of, reasoning, config.judge)
        found.append(
            {
                "name": name,
                "path": str(run.path),
                "kind": run.kind,
                "steps": len(run.train_rewards()),
                "status": run.status,
                "ended": run.status in ENDED,
                "worst": worst(raised),
                "wasted": lost,
                "alarms": [alarm.to_json() for alarm in shown],
                "reasoning": {"of": of, "steps": [moment.to_json() for moment in reasoning]} if reasoning else None,
                "notes": run.notes,
            }
        )
    bad = [item["name"] for item in found if _as_bad(item["worst"], config.fail_on)]
    if bad:
        say(out, f"Alarms of severity {config.fail_on} or worse: {', '.join(bad)}. Exit code 1, as --fail-on asks.")
    return {"failed": bool(bad), "runs": found}


def _reasoning(run: Run, judge: Judge | None) -> tuple[str, list[Moment]]:
    """What a judge that was asked for says is kept; what the symbolic one says is calculated sooner than read."""
    if judge is None:
        found = reasoning_of(run, _main_set(run))
        few = not found[1] and len(run.rollout_steps()) < LEAST_MOMENTS  # no curve for a figure, but a line of a table
        return reasoning_of(run, None, make_judge("symbolic")) if few else found
    with kept_judge(judge, judgement_folder(run.path, run.kind == "presat"), quiet=False) as remembering:
        return reasoning_of(run, _main_set(run), remembering)


def _main_set(run: Run) -> str | None:
    held_out = run.held_out()
    return held_out[0] if held_out else None


def _print_reasoning(out: Console, of: str, found: list[Moment], judge: str) -> None:
    """A line a step: how much of the reasoning is aligned, and how diverse it is."""
    from rich.table import Table

    if not found:
        return
    first = found[0]
    many = f"{first.prompts} prompts, {first.responses} responses a step"
    say(out, f"  reasoning on {of}, by the judge {judge} ({many})")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("    step", justify="right")
    for title in ("aligned: right", "wrong", "all", "diversity: faithful", "right", "all"):
        table.add_column(title, justify="right", no_wrap=True)
    for moment in found:
        rates = moment.faithfulness
        cells = [rates.right.aligned, rates.wrong.aligned, rates.all.aligned,
                 moment.faithful_diversity, moment.right_diversity, moment.diversity]  # fmt: skip
        table.add_row(str(moment.step), *("-" if value is None else f"{value:.2f}" for value in cells))
    out.print(table)


def _as_bad(found: str | None, bound: str) -> bool:
    return bound != "never" and found is not None and _rank(found) <= _rank(bound)


def _rank(severity: str) -> int:
    return [*map(str, SEVERITIES)].index(severity)


def _print(out: Console, name: str, run: Run, raised: list[Alarm], lost: float | None) -> None:
    from rich.text import Text

    counts = ", ".join(
        f"{sum(alarm.severity == severity for alarm in raised)} {severity}"
        for severity in SEVERITIES
        if any(alarm.severity == severity for alarm in raised)
    )
    bought = "" if lost is None else f" Of the sampling {lost:.0%} bought no gradient."
    say(out, f"{name} ({run.kind}, {len(run.train_rewards())} steps): {counts or 'no alarm'}.{bought}")
    for alarm in raised:
        onset = "" if alarm.onset is None else f" since step {alarm.onset}"
        out.print(Text(f"  {alarm.severity} {alarm.name}{onset}", style=COLOURS[alarm.severity]))
        say(out, f"    {printable(alarm.sentence)}")
        if alarm.wasted is not None and alarm.wasted >= 0.1:
            say(out, f"    {alarm.wasted:.0%} of what was sampled from there on bought no gradient.")
        say(out, f"    {alarm.remedy.text}")
        settings = [("presat", alarm.remedy.presat), ("TRL", alarm.remedy.trl), ("verl", alarm.remedy.verl)]
        for trainer, names in settings:
            if names:
                say(out, f"      {trainer:<7}{names}")
    for note in run.notes:
        say(out, f"  note: {note}")
