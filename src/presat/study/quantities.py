"""What of a run a study compares, by words: `reward`, `change:main`, `D_sat:in_domain`, `G(64):main`, `verdict`.

A word is a quantity, then what it is of: a logged metric, an evaluation set (its headline score), `SET/METRIC`, the
`main` set, or the average of all sets `in_domain` or `out_of_domain`. `check:` and a word of `presat.study.checked` is
what the check before RL found.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from presat.analysis import summarise
from presat.analysis.estimates import MEANS, avg_of, by_problem, pass_of
from presat.analysis.numbers import Choices, RunSummary
from presat.analysis.summary import ends, evaluation
from presat.errors import ConfigError, DataError
from presat.metrics import is_out_of_distribution, k_of, large_small_gap
from presat.study.checked import Checked, read_checked, refuse_unknown
from presat.tasks.benchmarks import EVALUATED
from presat.text import brief
from presat.tracking import Run, open_run
from presat.tracking.follow import planned_steps
from presat.tracking.run import EVAL_PREFIX

Kind = Literal["end", "change", "D_sat", "D_post", "G", "t_sat", "verdict", "check"]
MAIN, IN_DOMAIN, OUT_OF_DOMAIN = "main", "in_domain", "out_of_domain"
GROUPS = (MAIN, IN_DOMAIN, OUT_OF_DOMAIN)
_OF = ("end", "change", "D_sat", "D_post")
_ALONE = ("t_sat", "verdict")
CHECK = "check"
_GAP = re.compile(r"G\((?P<large>[^()]+)\):(?P<what>.+)")
KINDS = "`t_sat`, `verdict`, `check:NAME`, or `WHAT`, `change:WHAT`, `D_sat:WHAT`, `D_post:WHAT` and `G(VALUE):WHAT`"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that is compared.

    Attributes:
        name: the word for it.
        kind: at the end, the change since the first evaluation, one of section 4.1, or of the check before RL.
        what: a metric, a set, `SET/METRIC`, `main`, `in_domain` or `out_of_domain`; a word of `checked.NAMES`.
        large: for G(n', n), the axis value of the run on more prompts.
    """

    name: str
    kind: Kind
    what: str = ""
    large: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantity of one run.

    Attributes:
        value: a number, or a verdict; None where there is none.
        why: why there is none.
        by_problem: where the responses were saved, what each problem adds: the value is the mean of these.
    """

    value: float | str | None = None
    why: str = ""
    by_problem: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Opened:
    """A finished run of a study, read once.

    Attributes:
        path: its run directory.
        choices: how t_sat and the scores are read.
        shifted: evaluation sets that the study calls out of domain.
    """

    path: Path
    choices: Choices
    shifted: Sequence[str] = ()

    @functools.cached_property
    def run(self) -> Run:
        """The run."""
        return open_run(self.path)

    @functools.cached_property
    def cut(self) -> str:
        """Why its log is not to be trusted; empty where it is whole."""
        planned, logged = planned_steps(self.run) or 0, len(self.run.train_rewards())
        if "reward" not in self.run.config or self.run.status != "finished" or logged >= planned:
            return ""
        return f"its log ends at step {logged} of {planned}, and it says that it finished"

    @functools.cached_property
    def summary(self) -> RunSummary:
        """The run in numbers."""
        return summarise(self.run, self.choices)

    @functools.cached_property
    def checked(self) -> Checked:
        """What the check that made it found."""
        return read_checked(self.path)

    def sets(self, what: str) -> list[str]:
        """The evaluation sets a word stands for; empty where it stands for none."""
        held_out = self.run.held_out_sets()
        if what == MAIN:
            found = self.run.held_out()
            return [found[0]] if found else []
        if what in (IN_DOMAIN, OUT_OF_DOMAIN):
            outside = self._outside(held_out)
            return [name for name in held_out if (name in outside) == (what == OUT_OF_DOMAIN)]
        return [what] if what in held_out else []

    def _outside(self, held_out: Sequence[str]) -> set[str]:
        """Sets out of domain: by the study, by their names, or by the paper's table for the domain trained on."""
        found = {name for name in held_out if name in self.shifted or is_out_of_distribution(name)}
        data = self.run.config.get("data")
        domain = str(data.get("domain") or "") if isinstance(data, Mapping) else ""
        if domain not in EVALUATED and held_out:  # what is trained on is what the first set is of
            domain = next((name for name, parts in EVALUATED.items() if held_out[0] in parts[IN_DOMAIN]), "")
        return found | set(EVALUATED.get(domain, {}).get(OUT_OF_DOMAIN, ()))


def parse_quantity(word: str) -> Quantity:
    """Return what a word stands for; whether a run has it is seen when it is read.

    Raises:
        ConfigError: a quantity of nothing.
    """
    if word in _ALONE:
        return Quantity(word, word)  # pyright: ignore[reportArgumentType]
    if gap := _GAP.fullmatch(word):
        return Quantity(word, "G", gap["what"], gap["large"])
    kind, colon, what = word.partition(":")
    if colon and kind == CHECK:
        refuse_unknown(what)
        return Quantity(word, CHECK, what)
    if colon and kind in _OF and what:
        return Quantity(word, kind, what)  # pyright: ignore[reportArgumentType]
    if not word or (colon and kind in (*_OF, *_ALONE)) or word.startswith("G("):
        raise ConfigError(f"There is no metric {brief(word)}: metrics are {KINDS}.")
    return Quantity(word, "end", word)


def measure(quantity: Quantity, opened: Opened, large: Opened | None = None) -> Measured:
    """Return a quantity of a run.

    Args:
        quantity: which.
        opened: the run; for G(n', n) the one on fewer prompts.
        large: for G(n', n), the one on more.

    Raises:
        RunError: the run's files cannot be read.
    """
    if quantity.kind == CHECK:
        found = opened.checked.value(quantity.what)
        return Measured(found, "" if found is not None else f"a check could not say {quantity.what}",
                        opened.checked.prompts(quantity.what))  # fmt: skip
    if opened.cut:
        return Measured(why=opened.cut)
    if quantity.kind == "verdict":
        return Measured(opened.summary.verdict.label)
    if quantity.kind == "t_sat":
        found = opened.summary.t_sat
        return Measured(None if found is None else float(found), opened.summary.t_sat_reason)
    names = opened.sets(quantity.what)
    metric = ""
    if not names:
        set_name, _, metric = quantity.what.removeprefix(EVAL_PREFIX).rpartition("/")
        names = opened.sets(set_name) if metric in _metrics_of(opened.run, opened.sets(set_name)) else []
    if not names:
        return _logged(quantity, opened.run)
    each = [_of_set(quantity, opened, name, metric, large) for name in names]
    lacking = next((item for item in each if item.value is None), None)
    return lacking or _average(names, each)


def absent(what: str) -> str:
    """Why a run has no value of what it never heard of."""
    return f"it has no {what}"


def _metrics_of(run: Run, names: Sequence[str]) -> set[str]:
    metrics = run.eval_metrics()
    return {metric for name in names for metric in metrics[name]}


def _logged(quantity: Quantity, run: Run) -> Measured:
    """A metric of single steps: the mean of the last ones, or how far that is from the first ones'."""
    if quantity.kind not in ("end", "change") or quantity.what not in run.values:
        return Measured(why=absent(quantity.what))
    found = ends(run, quantity.what, Choices().window)
    if found is None:
        return Measured(why=f"no number was logged for {quantity.what}")
    return Measured(found.after if quantity.kind == "end" else found.difference)


def _of_set(quantity: Quantity, opened: Opened, name: str, metric: str, large: Opened | None) -> Measured:
    run = opened.run
    headline = run.scores(name)
    metric = metric or (headline[0] if headline else "")
    if not metric:
        return Measured(why=f"{name} has no score")
    if quantity.kind in ("D_sat", "D_post", "G"):
        return _by_saturation(quantity, opened, f"{name}/{metric}", large)
    steps, values = run.eval_series(name, metric)
    known = [(int(step), float(value)) for step, value in zip(steps, values, strict=True) if not math.isnan(value)]
    if not known:
        return Measured(why=f"{name} has no {metric}")
    (first, before), (last, after) = known[0], known[-1]
    if quantity.kind == "end":
        return Measured(after, "", _problems(run, name, metric, last))
    if first == last:
        return Measured(why=f"{name} was evaluated once")
    rows_before, rows_after = _problems(run, name, metric, first), _problems(run, name, metric, last)
    moves = {problem: rows_after[problem] - rows_before[problem] for problem in rows_after if problem in rows_before}
    return Measured(after - before, "", moves if len(moves) == len(rows_after) == len(rows_before) else {})


def _by_saturation(quantity: Quantity, opened: Opened, name: str, large: Opened | None) -> Measured:
    if opened.summary.t_sat is None:
        return Measured(why=f"no t_sat: {opened.summary.t_sat_reason}")
    choices = opened.choices
    if quantity.kind == "G":
        if large is None:
            return Measured(why=f"no run at {quantity.large}")
        try:
            return Measured(large_small_gap(large.run, opened.run, [name], tail=choices.tail, reading=choices.reading))
        except DataError as error:
            return Measured(why=str(error))
    gains = opened.run.curves().gains(name, tail=choices.tail, reading=choices.reading, grid=choices.grid)
    value = gains.pre_saturation_gain if quantity.kind == "D_sat" else gains.post_saturation_residual
    return Measured(value, gains.reason)


def _problems(run: Run, name: str, metric: str, step: int) -> dict[str, float]:
    """The metric by problem at one evaluation; empty where it is no mean over problems, or nothing was saved."""
    kind = metric.partition("@")[0]
    of_problem: Callable[[list[float]], float | None] | None = pass_of(k_of(metric)) if kind == "pass" else None
    of_problem = avg_of if kind in MEANS else of_problem
    frame = evaluation(run, name, step) if of_problem else None
    if frame is None or of_problem is None:
        return {}
    rows = {problem: of_problem(scores) for problem, scores in by_problem(frame).items()}
    return {problem: value for problem, value in rows.items() if value is not None}


def _average(names: Sequence[str], each: Sequence[Measured]) -> Measured:
    """The mean over sets. Problems weigh so that the mean of them all is the mean of the sets' means."""
    values = [float(item.value) for item in each if item.value is not None]
    total = sum(len(item.by_problem) for item in each)
    problems: dict[str, float] = {}
    if all(item.by_problem for item in each):
        for name, item in zip(names, each, strict=True):
            weight = total / (len(each) * len(item.by_problem))
            problems |= {f"{name}/{problem}": value * weight for problem, value in item.by_problem.items()}
    return Measured(math.fsum(values) / len(values), "", problems)
