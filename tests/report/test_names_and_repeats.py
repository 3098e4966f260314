"""What runs are called, and what their repeats average to."""

from pathlib import Path

import numpy as np
import pytest

from presat.analysis import run_names, summarise
from presat.analysis.repeats import repeats
from presat.errors import ConfigError
from presat.report.naming import cut, wrap
from presat.tracking import Run, open_run


def named(*paths):
    return run_names([Run(Path(path), "presat", {}) for path in paths])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a"], ["a"]),
        (["runs/a", "runs/b"], ["a", "b"]),
        (["demo/cpt/rl", "demo/base/rl"], ["cpt", "base"]),
        (["x/cpt/rl", "y/cpt/rl"], ["x", "y"]),
        (["x/a/rl", "x/b/rl", "y/a/rl"], ["x/a", "x/b", "y/a"]),
        (["runs/a", "runs/a"], ["a", "a (2)"]),
        (["x/a", "y/a", "z/b"], ["x/a", "y/a", "z/b"]),
    ],
)
def test_as_few_folders_as_tell_the_runs_apart(paths, names):
    assert named(*paths) == names


def test_labels_are_one_for_each_run():
    runs = [Run(Path(path), "csv", {}) for path in ("a.csv", "b.csv")]
    assert run_names(runs, ["same", "same"]) == ["same", "same (2)"]
    with pytest.raises(ConfigError, match="but 1 labels"):
        run_names(runs, ["one"])


def test_long_names_are_cut_and_wrapped():
    assert cut("abcdef", 4) == "abc…"
    assert wrap("short", 9) == ["short"]
    assert wrap("mostly_minus", 9) == ["mostly_", "minus"]
    assert wrap("Base + Non-Thinking", 12) == ["Base + Non-", "Thinking"]
    assert wrap("x" * 30, 10) == ["x" * 10, "x" * 9 + "…"]


def test_repeats_average_over_runs(make_run):
    ends = {"a1": 0.9, "a2": 0.8, "a3": 0.7, "b1": 0.05}
    summaries = [summarise(open_run(make_run(name, held_out=(0.3, end)))) for name, end in ends.items()]
    groups = [name[0] for name in ends]
    first, second = repeats(summaries, groups)
    assert (first.name, first.runs, second.runs) == ("a", 3, 1)
    assert sum(first.verdicts.values()) == 3
    assert second.verdicts == {"collapsed": 1}
    gains = [summary.main_set.headline.difference for summary in summaries[:3]]
    mean = first.means["held_out avg@8, first to last"]
    assert mean.estimate == pytest.approx(np.mean(gains))
    assert mean.runs == 3
    margin = 4.302653 * np.std(gains, ddof=1) / np.sqrt(3)  # Student's t: three runs know little of how they scatter
    assert mean.interval[1:] == pytest.approx((np.mean(gains) - margin, np.mean(gains) + margin))
    alone = second.means["held_out avg@8, first to last"]
    assert (alone.runs, alone.interval) == (1, None)
    assert alone.values == (summaries[3].main_set.headline.difference,)


def test_a_mean_says_how_many_runs_it_is_of(make_run):
    """A run that did not train has no t_sat, so the mean of t_sat is one of fewer runs than the group has."""
    rewards = {"a1": (0.3, 0.95), "a2": (0.3, 0.9), "a3": (0.3, 0.3), "a4": (0.3, 0.8)}
    summaries = [summarise(open_run(make_run(name, rewards=ends))) for name, ends in rewards.items()]
    assert [summary.t_sat is None for summary in summaries] == [False, False, True, False]
    (group,) = repeats(summaries, ["a"] * 4)
    assert (group.runs, group.means["t_sat"].runs) == (4, 3)
    steps = [float(summary.t_sat) for summary in summaries if summary.t_sat]
    assert group.means["t_sat"].values == tuple(steps)
    assert group.means["reward, first to last"].runs == 4
    low, high = group.means["reward, first to last"].interval[1:]
    assert -1.0 <= low < high <= 1.0


def test_groups_of_single_runs_are_no_repeats(make_run):
    summaries = [summarise(open_run(make_run(name, held_out=None))) for name in ("a", "b")]
    assert repeats(summaries, ["a", "b"]) == repeats(summaries, None) == repeats(summaries, []) == []
    with pytest.raises(ConfigError, match="2 runs but 1 groups"):
        repeats(summaries, ["a"])
