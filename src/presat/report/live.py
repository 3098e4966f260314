"""`presat watch`: a run as it goes. Progress, reward, held-out scores, saturation so far, gold beside proxy, alarms.

t_sat of a run that is still going is provisional: it is the paper's definition on the steps so far, on the trailing
mean of the reward, once `patience` steps have followed (`presat.metrics.OnlineSaturation`). It is judged by the run's
own `stop` settings, so that the view says of a run what the run says of itself.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from presat.analysis.collapse import find_falls
from presat.analysis.models import models_of
from presat.analysis.numbers import WINDOW
from presat.analysis.peak import find_peak
from presat.analysis.summary import ends, evaluation, summarise
from presat.analysis.verdict import NOT_RISEN, did_not_train
from presat.config.load import build
from presat.config.schema import StopConfig
from presat.diagnosis.alarms import SEVERITIES, alarms
from presat.errors import ConfigError, RunError
from presat.metrics import (
    GOLD_ACCURACY,
    OnlineSaturation,
    coverage_of,
    default_tail,
    find_drop,
    find_saturation,
    metric_of,
    smooth,
)
from presat.report.terminal import short, sparkline
from presat.tracking import Run
from presat.tracking.evaluated import scores_like_the_last
from presat.tracking.follow import Follower, follow, planned_steps
from presat.tracking.pace import duration
from presat.tracking.state import ENDED, UNKNOWN

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDTH = 48
LABEL = 14
BAR = 12
MOST_SETS, MOST_NOTES, MOST_FALLS, MOST_ALARMS = 12, 6, 4, 4
"""What a screen holds of evaluation sets, of notes, of what fell, and of alarms."""
TITLES = {
    "finished": "finished", "stopped": "stopped early", "failed": "failed", "interrupted": "interrupted",
    "running": "running", UNKNOWN: "no status (its trainer leaves none)",
}  # fmt: skip
PACE = 150.0
"""What took s seconds of a core is done again after this many times s at the earliest: drawing, and judging."""
Settings = Mapping[str, Any]
"""`window`, `patience` and `min_reward` of `OnlineSaturation`, as far as they are given."""


def watch_run(
    path: Path | str,
    once: bool = False,
    *,
    refresh_s: float = 1.0,
    window: int | None = None,
    patience: int | None = None,
    min_reward: float | None = None,
    console: Console | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Run | None:
    """Show a run live until its status is final or Ctrl-C; return it as last seen (None if it never appeared).

    Args:
        path: whatever `open_run` reads; it may not be there yet, unless `once`.
        once: show the present state and return.
        refresh_s: seconds between two looks.
        window: steps of the trailing mean that saturation is judged on; None takes the run's `stop.window`, else 5.
        patience: steps that must follow t_sat; None takes the run's `stop.patience`, else its default tail.
        min_reward: not saturated while the smoothed reward is below this; None takes the run's `stop.min_reward`.
        console: where to draw.
        reading: how another trainer's log is read, as further arguments of `open_run`.

    Raises:
        RunError: the run cannot be read, or with `once` is not there.
    """
    from rich.live import Live

    from presat.console import make_console

    path, console = Path(path), console or make_console()
    given = {"window": window, "patience": patience, "min_reward": min_reward}
    if once:
        follower = follow(path, reading)
        run = follower.refresh()
        console.print(live_view(run, follower.seconds_per_step, given))
        return run
    run: Run | None = None
    follower: Follower | None = None
    look, said = _Look(given), ""
    with Live(_waiting(path, ""), console=console, auto_refresh=False) as live:
        try:
            while True:
                try:
                    follower = follower or follow(path, reading)
                except RunError as error:
                    why = str(error) if path.exists() else ""
                    live.update(_waiting(path, why), refresh=True)
                    if not console.is_terminal and said != (said := why or "not there"):  # where nothing is drawn live
                        console.print(_waiting(path, why), soft_wrap=True)
                else:
                    run = follower.refresh()
                    view = look.view(run, follower.seen, follower.seconds_per_step)
                    if view is not None:
                        live.update(view, refresh=True)
                    if run.status in ENDED:
                        return run
                time.sleep(refresh_s)
        except KeyboardInterrupt:  # the way to leave; the run itself goes on
            return run


class Judged(NamedTuple):
    """The lines that take long to find."""

    first: list[tuple[str, str]]
    last: list[tuple[str, str]]


def judged(run: Run, given: Settings | None = None) -> Judged:
    """What is to be said of a run before and after its numbers; arguments are those of `live_view`."""
    given = {name: value for name, value in (given or {}).items() if value is not None}
    warned = [("alarm" if index == 0 else "", sentence) for index, sentence in enumerate(_alarms(run))]
    first = [*_verdict_lines(run), *_fall_lines(run), *_peak_lines(run)]
    return Judged(first, _saturation_lines(run, run.train_rewards(), given) + warned)


class _Look:
    """What is shown of a run that goes on: made anew where something changed, and seldom enough to take no core.

    Args:
        given: as for `live_view`.
    """

    def __init__(self, given: Settings) -> None:
        self._given = given
        self._judged, self._judged_of, self._judge_at = Judged([], []), None, 0.0
        self._drawn_of, self._draw_at = None, 0.0

    def view(self, run: Run, seen: Hashable, pace: float | None) -> RenderableType | None:
        """The panel, or None where that which is there is to stay.

        Args:
            run: as it is now.
            seen: what is the same as long as the run is.
            pace: its seconds per step.
        """
        now, ended = time.monotonic(), run.status in ENDED
        judge = seen != self._judged_of and (ended or now >= self._judge_at)
        if not judge and (seen == self._drawn_of or now < self._draw_at):
            return None
        began = time.process_time()
        if judge:
            self._judged, self._judged_of = judged(run, self._given), seen
            self._judge_at = now + PACE * (time.process_time() - began)
            began = time.process_time()
        view = live_view(run, pace, self._given, self._judged)
        self._drawn_of, self._draw_at = seen, now + PACE * (time.process_time() - began)
        return view


def live_view(
    run: Run, seconds_per_step: float | None = None, given: Settings | None = None, known: Judged | None = None
) -> RenderableType:
    """One moment of a run as a panel; every line is a label and a value, legible without colour.

    Args:
        run: the run.
        seconds_per_step: its pace.
        given: settings to judge saturation by instead of the run's own; None among them is not given.
        known: what was found of it a moment ago; found now when None.
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    rewards_T = run.train_rewards()
    given = {name: value for name, value in (given or {}).items() if value is not None}
    window = int(given.get("window", WINDOW))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=LABEL, style="dim", overflow="fold")
    grid.add_column(overflow="fold")
    known = known or judged(run, given)
    lines = [*known.first, ("progress", _progress(run, seconds_per_step))]
    if run.status_reason and run.status != UNKNOWN:  # in the frame it would be cut
        lines.append((_state(run), run.status_reason))
    lines += _reward_lines(run, rewards_T, window)
    lines += [*_score_lines(run), *known.last]
    for label, value in lines:
        grid.add_row(Text(label), Text(value))
    parts: list[RenderableType] = [grid]
    parts += [Text(f"note: {note}", style="dim") for note in run.notes[:MOST_NOTES]]
    if len(run.notes) > MOST_NOTES:
        parts.append(Text(f"and {len(run.notes) - MOST_NOTES} more notes: `presat report` has them", style="dim"))
    title = Text(f"{'/'.join(run.path.parts[-2:])}  ({run.kind})")
    return Panel(Group(*parts), title=title, subtitle=Text(_state(run)), width=WIDTH + LABEL + 34)


def _state(run: Run) -> str:
    return TITLES.get(run.status, run.status)


def _fall_lines(run: Run) -> list[tuple[str, str]]:
    """What the run has clearly lost, before everything else, and what to do about it."""
    try:
        falls = find_falls(run)
    except RunError:  # as for alarms
        return []
    if not falls:
        return []
    label = "collapsed" if any(fall.halved and fall.kind not in ("other", "breadth") for fall in falls) else "fell"
    lines = [(label if index == 0 else "", fall.sentence) for index, fall in enumerate(falls[:MOST_FALLS])]
    return [*lines, ("", min(falls, key=lambda fall: fall.step).advice)]


def _verdict_lines(run: Run) -> list[tuple[str, str]]:
    """What a run that has ended did, in a few words: the report has the sentences."""
    if run.status not in ENDED:
        return []
    verdict = summarise(run).verdict
    return [("verdict", f"{verdict.label}: {verdict.meaning}" if verdict.meaning else verdict.label)]


def _peak_lines(run: Run) -> list[tuple[str, str]]:
    """The best evaluation of the main set, where the score has clearly fallen since."""
    found = run.held_out()
    try:
        if found is None or models_of(run, found[0], found[2].tolist()):
            return []
        name, metric, steps, scores = found
        peak = find_peak(metric, steps.tolist(), scores.tolist(), lambda step: evaluation(run, name, step))
    except RunError:  # as for alarms
        return []
    return [] if peak is None else [("peak", peak.sentence(f"{metric} on {name}"))]


def _waiting(path: Path, why: str) -> RenderableType:
    from rich.text import Text

    found = why or f"There is no run at {path} yet."
    return Text(f"{found}\nWaiting for it; Ctrl-C ends.")


def _progress(run: Run, pace: float | None) -> str:
    done = max((max(series) for series in run.values.values() if series), default=0)
    planned = planned_steps(run)
    if planned is None:
        return f"step {done}"
    filled = round(BAR * min(1.0, done / planned))
    text = f"{'█' * filled}{'░' * (BAR - filled)} step {done} of {planned}"
    if pace is None or run.status in ENDED:
        return text
    return f"{text}, {pace:.2g} s a step, {duration(pace * (planned - done))} left"


def _reward_lines(run: Run, rewards_T: np.ndarray, window: int) -> list[tuple[str, str]]:
    known = rewards_T[~np.isnan(rewards_T)]
    if not known.size:
        if "loss" in run.values:
            _, losses = run.series("loss")
            return [("loss", f"{sparkline(losses, WIDTH)}  {losses[-1]:.3f}")]
        return [("train reward", "none logged yet")]
    recent, share = known[-window:], run.reward_is_share()
    lines = [("train reward", f"{sparkline(rewards_T, WIDTH)}  {short(known[0])} → {short(float(recent.mean()))}")]
    if not share:
        lines.append(("", f"on a scale of its own, {short(float(known.min()))} to {short(float(known.max()))}"))
    if GOLD_ACCURACY in run.values:
        _, gold = run.series(GOLD_ACCURACY)
        gold = gold[~np.isnan(gold)]
        if gold.size and (gold.size != known.size or not np.allclose(gold, known)):  # else the reward is the truth
            last = float(gold[-window:].mean())
            gap = float(recent.mean()) - last
            lines.append(("true accuracy", f"{sparkline(gold, WIDTH)}  {short(float(gold[0]))} → {short(last)}"))
            if not share:
                lines.append(("", "on a scale of 0 to 1: its height does not compare with the reward's"))
            elif abs(gap) >= 0.05:
                word = "above" if gap > 0 else "below"
                lines.append(("", f"reward {abs(gap):.2f} {word} the true accuracy of the same responses"))
    return lines


def _score_lines(run: Run) -> list[tuple[str, str]]:
    lines = []
    sets = run.eval_metrics()
    held_out = [(name, run.scores(name)) for name in run.held_out_sets()]
    for name, found in held_out[:MOST_SETS]:
        covered = coverage_of({metric: run.eval_series(name, metric)[1][-1] for metric in sets[name]})
        missing = [("", covered.sentence)] if covered and covered.partial else []
        if found is None:
            lines += [(name, text) for _, text in missing]
            continue
        metric, steps, scores = found
        ends = f"{short(float(scores[0]))} → {short(float(scores[-1]))} (step {steps[-1]})"
        lines.append((name, f"{sparkline(scores, WIDTH)}  {metric} {ends}"))
        lines += missing
        lines += [("", others)] if (others := _others(run, name, sets[name], metric)) else []
    if len(held_out) > MOST_SETS:
        lines.append(("", f"and {len(held_out) - MOST_SETS} more sets: `presat report` has them"))
    return lines


def _others(run: Run, name: str, metrics: list[str], headline: str) -> str:
    """Greedy, pass@k (the largest k) and valid traces beside the headline score, first to last."""
    parts = []
    for kind in ("greedy", "pass", "valid_trace"):
        metric = metric_of(metrics, kind)
        if metric is not None and metric != headline:
            _, values = run.eval_series(name, metric)
            values = values[~np.isnan(values)]
            if values.size:
                title = metric.replace("_", " ")
                parts.append(f"{title} {short(float(values[0]))} → {short(float(values[-1]))}")
    return "   ".join(parts)


def _saturation_lines(run: Run, rewards_T: np.ndarray, given: Settings) -> list[tuple[str, str]]:
    if not (~np.isnan(rewards_T)).any():
        return []
    if run.status in ENDED:
        return [("saturation", _final_saturation(run, rewards_T, int(given.get("window", WINDOW))))]
    if (broken := run.not_a_number_from("reward")) is not None:
        return [("saturation", f"not judged: the reward is not a number (NaN) from step {broken} on")]
    if (drop := find_drop(rewards_T)) is not None:
        moved = f"{short(drop.before)} at step {drop.first} to {short(drop.after)}, from step {drop.step} on"
        return [("saturation", f"none: the train reward fell from {moved}")]
    own = _own_settings(run)
    tail = max(1, default_tail(planned_steps(run) or len(rewards_T)))
    settings = {"window": WINDOW, "patience": tail, **own, **given}
    alike = scores_like_the_last(run)
    state = OnlineSaturation.replay(rewards_T, _main_scores(run) if alike is None else alike.scores, **settings)
    state.note_otherwise(alike.otherwise if alike else None)
    lines = [("saturation", _provisional(state))]
    if reason := state.stop_reason():
        lines.append(("", f"{reason} Going on is unlikely to gain much."))
    if other := [
        f"{name} {given[name]:g}, not {own[name]:g}" for name in own if given.get(name, own[name]) != own[name]
    ]:
        lines.append(("", f"judged by other settings than the run's own `stop`: {', '.join(other)}"))
    return lines


def _own_settings(run: Run) -> dict[str, Any]:
    """What the run itself judges saturation by; empty where its configuration says nothing of it."""
    stop = run.config.get("stop")
    if not isinstance(stop, Mapping):
        return {}
    defaults = StopConfig().deciding
    try:
        return build(StopConfig, {name: stop[name] for name in defaults if name in stop}, str(run.path)).deciding
    except ConfigError as error:
        raise RunError(f"The configuration that {run.path} keeps cannot be used: {error}") from error


def _provisional(state: OnlineSaturation) -> str:
    """How it stands with t_sat, should the run go on as it is."""
    step, best = state.candidate, state.smoothed_reward or 0.0
    if step is None:
        if state.min_reward > 0:
            return f"not yet: mean of {state.window} steps {short(best)}, and none reached {state.min_reward:g}"
        return "no reward above 0 yet, and t_sat is a share of the highest"
    after = state.steps - step
    if state.t_sat is None:
        text = f"not yet: near its best since step {step}, {after} of {state.patience} steps ago"
    else:
        text = f"saturated at step {step} (so far), {after} steps ago"
    return f"{text}; mean of {state.window} steps {short(best)}"


def _final_saturation(run: Run, rewards_T: np.ndarray, window: int) -> str:
    """t_sat of a run that has ended, as the report gives it."""
    reward = ends(run, "reward", window)
    if reward is not None and did_not_train(reward, run.reward_is_share()):
        return f"no t_sat: {NOT_RISEN}"
    logged, smoothed = find_saturation(rewards_T, tail=None), find_saturation(smooth(rewards_T, window), tail=None)
    if logged.step is None:
        return f"no t_sat: {logged.reason}"
    on_mean = "none" if smoothed.step is None else f"{smoothed.step}"
    return f"t_sat {logged.step} (mean of {window} steps: {on_mean}), last {logged.tail} steps left out"


def _alarms(run: Run) -> list[str]:
    """Alarms that hold whenever they are raised; those that need the end of a run are left to the report."""
    try:
        raised = alarms(run, live=True)
    except RunError:  # saved responses that a resumed run deletes while they are read; the next look is another chance
        return []
    shown = [alarm.sentence for alarm in raised if alarm.severity != SEVERITIES[-1]]
    more = len(shown) - MOST_ALARMS
    return [*shown[:MOST_ALARMS], *([f"and {more} more alarms: `presat diagnose` has them"] if more > 0 else [])]


def _main_scores(run: Run) -> list[tuple[int, float]]:
    found = run.held_out()
    return [] if found is None else list(zip(found[2].tolist(), found[3].tolist(), strict=True))
