"""Summary numbers against the same numbers worked out another way."""

import json
import math
from io import StringIO

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from presat.analysis import summarise
from presat.analysis.numbers import Choices
from presat.analysis.peak import find_peak
from presat.diagnosis import alarms
from presat.errors import DataError
from presat.evaluation.evaluate import _Record
from presat.evaluation.evaluate import summarise as evaluated
from presat.metrics import headline_metric, is_out_of_distribution, large_small_gap
from presat.report import build_report
from presat.report.live import watch_run
from presat.report.tables import rows
from presat.report.terminal import summary_table
from presat.tracking import RolloutStore, RunWriter, open_run
from presat.types import Completion, Problem, RolloutGroup, Score


def responses(folder, name, step):
    return pl.read_parquet(folder / "rollouts" / "eval" / f"{name}-step_{step:06d}.parquet")


def test_numbers_of_a_run_of_ours(make_run):
    folder = make_run(rewards=(0.3, 0.95), held_out=(0.3, 0.8), ood=(0.2, 0.25))
    summary = summarise(open_run(folder))
    curve = [0.3 + 0.65 * min(1, step / 24) for step in range(1, 41)]
    top = next(step for step, value in enumerate(curve, start=1) if value >= 0.99 * max(curve))
    assert (summary.t_sat, summary.tail, summary.steps) == (top, 4, 40)
    means = [np.mean(curve[max(0, t - 4) : t + 1]) for t in range(40)]
    assert summary.t_sat_smoothed == next(t + 1 for t in range(40) if means[t] >= 0.99 * max(means))
    assert summary.rapid is False
    assert summary.reward.before == pytest.approx(np.mean(curve[:5]))
    assert summary.reward.after == pytest.approx(np.mean(curve[-5:]))
    assert [item.name for item in summary.sets] == ["held_out", "ood"]
    assert summary.main_set.name == "held_out"
    assert [is_out_of_distribution(item.name) for item in summary.sets] == [False, True]

    item = summary.main_set
    by_step = {step: responses(folder, "held_out", step)["score"].mean() for step in (0, 10, 20, 30, 40)}
    assert dict(zip(item.steps, item.scores, strict=True)) == pytest.approx(by_step)
    at = by_step[20] + (top - 20) / 10 * (by_step[30] - by_step[20])
    assert item.gains.pre_saturation_gain == pytest.approx(at - by_step[0])
    assert item.gains.post_saturation_residual == pytest.approx(max(at, by_step[30], by_step[40]) - at)
    assert item.headline.difference == pytest.approx(by_step[40] - by_step[0])


def test_a_reward_without_a_scale_rises_by_more_than_its_steps_scatter(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.2, 40)
    file = tmp_path / "run.csv"
    for rise, verdict in ((0.0, "did not train"), (1.0, "trained, not evaluated")):
        rewards = 19 + rise * np.arange(40) / 39 + noise  # 1 is 5% of the reward and five times its noise
        file.write_text("step,reward\n" + "".join(f"{t + 1},{r}\n" for t, r in enumerate(rewards)))
        summary = summarise(open_run(file))
        errors = [np.var(steps, ddof=1) / 5 for steps in (rewards[:5], rewards[-5:])]
        freedom = math.floor(sum(errors) ** 2 / sum(error**2 / 4 for error in errors))  # Welch: five steps are few
        margin = {4: 2.776445, 5: 2.570582, 6: 2.446912, 7: 2.364624, 8: 2.306004}[freedom] * math.sqrt(sum(errors))
        gap = rewards[-5:].mean() - rewards[:5].mean()
        assert summary.reward.interval[1:] == pytest.approx((gap - margin, gap + margin), abs=1e-4)
        assert summary.verdict.label == verdict
    file.write_text("step,reward\n" + "".join(f"{t},{t / 50}\n" for t in range(1, 41)))
    assert summarise(open_run(file)).reward.interval is None  # a share has one: 0.05 is a rise


def test_the_choices_are_used_and_named(make_run):
    run = open_run(make_run())
    summary = summarise(run, Choices(tail=20, window=1, reading="previous", grid="evaluations"), "mine")
    assert (summary.name, summary.tail, summary.choices.reading) == ("mine", 20, "previous")
    assert summary.t_sat is None
    assert "not reached before the last 20 steps" in summary.t_sat_reason
    assert summary.main_set.gains.pre_saturation_gain is None
    late = summarise(run, Choices(reading="previous", grid="evaluations")).main_set
    assert late.gains.saturation_score == late.scores[2]  # t_sat is 24: the last evaluation before it is step 20's
    assert late.gains.best_score_after == max(late.scores[3:])
    with pytest.raises(DataError, match="window"):
        summarise(run, Choices(window=0))


def test_intervals_pair_the_problems(make_run):
    folder = make_run(held_out=(0.3, 0.6))
    change = summarise(open_run(folder)).main_set.headline
    before, after = (
        dict(responses(folder, "held_out", step).group_by("problem_id").agg(pl.col("score").mean()).iter_rows())
        for step in (0, 40)
    )
    moves = np.array([after[problem] - before[problem] for problem in before])
    spread = 1.96 * moves.std() / math.sqrt(moves.size)  # the normal interval, which t is near over 40 problems
    assert change.problems == moves.size
    assert change.interval.estimate == pytest.approx(change.difference)
    assert change.interval.low == pytest.approx(moves.mean() - spread, abs=0.02)
    assert change.interval.high == pytest.approx(moves.mean() + spread, abs=0.02)
    unpaired = 1.96 * math.sqrt((np.var(list(before.values())) + np.var(list(after.values()))) / moves.size)
    assert change.interval.high - change.interval.low < 2 * unpaired


def test_one_missing_score_of_eight_thousand_leaves_the_verdict(tmp_path):
    """The problem it belongs to is left out of pass@16, which is known of all the others: sharpened, not improved."""
    rng = np.random.default_rng(0)
    chances = np.where(rng.random(500) < 0.5, 0.0, 0.3)  # what is solved at all is solved more often afterwards

    def records(gain, missing):
        scores_PG = [[Score(float(s), "1") for s in rng.random(16) < chance * gain] for chance in chances]
        if missing:
            scores_PG[7][3] = Score(None, None, reason="timeout")
        problems = [Problem(f"p{p}", ({"role": "user", "content": str(p)},), "1", "math", "math") for p in range(500)]
        response = Completion("1", (1,), None, True)
        return [
            _Record(p, RolloutGroup(problem, (1,), (response,) * 16), scores_G, [0] * 16, Score(float(p % 2), "1"))
            for p, (problem, scores_G) in enumerate(zip(problems, scores_PG, strict=True))
        ]

    for missing in (False, True):
        folder = tmp_path / str(missing)
        with RunWriter(folder, {"steps": 10, "eval": {"sets": [{"name": "math"}]}}, "train") as writer:
            for step in range(11):
                if step:
                    writer.append(step, {"reward": 0.2 + 0.03 * step})
                if step in (0, 10):
                    found = evaluated(records(2.0 if step else 1.0, missing and step == 10))
                    writer.append(step, {f"eval/math/{name}": value for name, value in found.metrics.items()})
                    RolloutStore(folder / "rollouts").write(
                        "eval", step, found.groups, found.scores_PG, set_name="math"
                    )
        summary = summarise(open_run(folder))
        assert summary.verdict.label == "sharpened", summary.verdict.sentence
        assert summary.main_set.changes["unjudged_problems"].after == missing
        assert summary.main_set.changes["pass@16"].problems == 500 - missing
        said = "math: problems with too few judged responses, left out of pass@16: 1 at step 10."
        assert summary.notes == [said] * missing
        shown = Console(width=300, file=StringIO(), record=True)
        shown.print(summary_table([summary]))
        assert (said in shown.export_text()) == missing
        (row,) = rows([summary])
        assert (row["unjudged_problems_first"], row["unjudged_problems_last"]) == ((0, 1) if missing else (None, None))
        page = build_report([open_run(folder)], folder / "report.html")
        assert (said in page.read_text()) == missing


def test_every_metric_has_its_interval(make_run):
    item = summarise(open_run(make_run())).main_set
    assert {name for name, change in item.changes.items() if change.interval} == {
        "avg@8", "pass@8", "greedy", "valid_trace"
    }  # fmt: skip
    assert item.change("pass")[0] == "pass@8"
    assert item.change("best") is None
    assert all(
        interval.low <= score <= interval.high for interval, score in zip(item.intervals, item.scores, strict=True)
    )


def test_without_responses_there_are_no_intervals(tmp_path):
    (tmp_path / "run.csv").write_text("step,reward,math/avg@4,math/pass@4\n0,,0.2,0.5\n1,0.2,,\n2,0.9,0.4,0.6\n")
    item = summarise(open_run(tmp_path / "run.csv")).main_set
    assert item.headline.interval is None
    assert item.intervals == [None, None]
    assert item.headline.difference == pytest.approx(0.2)


def test_what_is_missing_is_left_out(tmp_path):
    (tmp_path / "run.csv").write_text("step,reward\n1,0.2\n3,0.4\n")
    summary = summarise(open_run(tmp_path / "run.csv"))
    assert (summary.sets, summary.main_set, summary.gold, summary.gold_T) == ([], None, None, [])
    assert math.isnan(summary.rewards_T[1])
    assert json.loads(json.dumps(summary.to_json(), allow_nan=False))["rewards_T"][1] is None
    (tmp_path / "empty.csv").write_text("step,kl\n1,0.2\n")
    empty = summarise(open_run(tmp_path / "empty.csv"))
    assert (empty.reward, empty.t_sat, empty.steps) == (None, None, 1)
    assert empty.t_sat_reason == "no step has a recorded reward"


def test_the_verdict_looks_at_a_set_in_distribution_with_shares(tmp_path):
    header, start, end = "step,reward,ood_math,avg_tokens,wood\n", "0,,0.1,310,0.2\n", "1,0.2,,,\n2,0.9,0.4,500,0.6\n"
    (tmp_path / "run.csv").write_text(header + start + end)
    columns = {name: name for name in ("ood_math", "avg_tokens", "wood")}
    summary = summarise(open_run(tmp_path / "run.csv", columns=columns))
    assert [item.name for item in summary.sets] == [
        "avg_tokens",
        "wood",
        "ood_math",
    ]  # as logged, out of distribution last
    assert summary.main_set.name == "wood"
    assert summary.verdict.label == "improved"


def test_the_large_small_gap_of_opened_runs(make_run):
    large, small = (
        open_run(make_run(name, rewards=(0.3, 0.9), held_out=ends, ood=ends))
        for name, ends in (("large", (0.3, 0.9)), ("small", (0.3, 0.5)))
    )
    t_sat = summarise(small).t_sat
    expected = []
    for run, sign in ((large, 1), (small, -1)):
        steps, scores = run.eval_series("held_out", "avg@8")
        expected.append(sign * np.interp(t_sat, steps, scores))
    gap = large_small_gap(large.curves(), small.curves(), ["held_out/avg@8"])
    assert gap == pytest.approx(sum(expected))
    assert gap > 0.1
    ood = large_small_gap(large.curves(), small.curves(), ["ood/avg@8"])
    both = large_small_gap(large.curves(), small.curves(), ["held_out/avg@8", "ood/avg@8"])
    assert both == pytest.approx((gap + ood) / 2)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["avg@4", "avg@16", "pass@16"], "avg@16"),
        (["greedy", "accuracy", "length"], "accuracy"),
        (["pass@4", "maj@8"], "maj@8"),
        (["length", "missing", "kendall"], None),  # nobody said that it is a score
        (["reward", "gold_accuracy"], "gold_accuracy"),
        (["length", "missing", "valid_trace", "entropy", "loss"], None),
    ],
)
def test_the_headline_score(names, expected):
    assert headline_metric(names) == expected


def test_a_reward_that_did_not_rise_has_no_t_sat(make_run):
    flat = summarise(open_run(make_run("flat", rewards=(0.52, 0.5), held_out=(0.5, 0.5))))
    assert flat.verdict.label == "did not train"
    assert (flat.t_sat, flat.t_sat_smoothed, flat.rapid) == (None, None, None)
    assert flat.t_sat_reason == "the train reward ended about where it began, or below"
    for gains in (flat.main_set.gains, flat.main_set.smoothed_gains):
        assert (gains.t_sat, *gains, gains.saturation_score, gains.best_score_after) == (None,) * 5
        assert gains.reason == "the train reward ended about where it began, or below"
    said = ["never_rose"]  # `rapid_saturation` and `held_out_flat` speak of a saturation that was none
    assert [alarm.name for alarm in flat.alarms] == said
    raised = {alarm.name for alarm in alarms(open_run(flat.path))}
    assert raised == {*said, "rapid_saturation", "held_out_flat"}
    full = summarise(open_run(make_run("full", rewards=(0.96, 0.97))))
    assert (full.verdict.label, full.t_sat) == ("nothing to learn", 1)


def test_a_reward_below_zero_has_no_t_sat_and_says_why(make_run):
    summary = summarise(open_run(make_run("entropy", rewards=(-2.0, -0.5), held_out=(0.3, 0.8))))
    assert (summary.t_sat, summary.t_sat_smoothed, summary.main_set.gains.pre_saturation_gain) == (None, None, None)
    assert "means nothing unless it is positive" in summary.t_sat_reason
    assert summary.verdict.label.startswith("learned")  # the verdict does without


def test_a_peak_in_between_is_found_with_an_interval_that_allows_for_the_choice(make_run):
    folder = make_run(levels=(0.3, 0.6, 0.9, 0.85, 0.6))
    summary = summarise(open_run(folder))
    peak = summary.main_set.peak
    assert (peak.step, peak.among) == (20, 3)
    assert (peak.change.before, peak.change.after) == (summary.main_set.scores[2], summary.main_set.scores[-1])
    assert peak.rose
    assert summary.verdict.label.endswith(", then fell")
    assert summary.verdict.sentence.startswith(
        f"Held-out avg@8 on held_out was best at step 20 ({peak.change.before:.2f}) and has fallen to"
    )
    means = [
        dict(responses(folder, "held_out", step).group_by("problem_id").agg(pl.col("score").mean()).iter_rows())
        for step in (20, 40)
    ]
    moves = np.array([means[1][problem] - means[0][problem] for problem in means[0]])
    spread = 2.394 * moves.std() / math.sqrt(moves.size)  # the normal quantile of 1 - 0.05 / 3 / 2
    assert peak.change.interval.low == pytest.approx(moves.mean() - spread, abs=0.015)
    assert peak.change.interval.high == pytest.approx(moves.mean() + spread, abs=0.015)


@pytest.mark.parametrize(
    "levels",
    [(0.3, 0.4, 0.5, 0.6, 0.7), (0.9, 0.8, 0.7, 0.6, 0.5), (0.5, 0.5, 0.5, 0.5, 0.5), (0.3, 0.6, 0.62, 0.6, 0.6)],
    ids=["rises", "falls", "flat", "noise"],
)
def test_where_there_is_no_peak_none_is_named(make_run, levels):
    summary = summarise(open_run(make_run(levels=levels)))
    assert summary.main_set.peak is None
    assert "was best" not in summary.verdict.sentence


def test_chance_alone_makes_a_peak_in_few_runs():
    """Ten evaluations of one model: the best of them is above the last in most runs, clearly so in one of twenty."""
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.1, 0.9, 60)
    named = ahead = 0
    for _ in range(100):
        scores_EPG = (rng.random((10, 60, 8)) < chances[:, None]).astype(float)
        frames = {
            step: pl.DataFrame({"problem_id": np.repeat(np.arange(60), 8), "score": scores_EPG[step].ravel()})
            for step in range(10)
        }
        scores = scores_EPG.mean(axis=(1, 2)).tolist()
        ahead += max(scores) > scores[-1]
        named += find_peak("avg@8", range(10), scores, frames.get) is not None
    assert ahead > 80
    assert named <= 10


def log_of(tmp_path, scores):
    rows = [f"{10 * place},{0.2 + 0.01 * place},{score}" for place, score in enumerate(scores)]
    (tmp_path / "run.csv").write_text("\n".join(["step,reward,math/accuracy", *rows]) + "\n")
    return summarise(open_run(tmp_path / "run.csv"))


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ((0.2, 0.9, 0.4), 10),
        ((0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.42), 30),
        ((0.3, 0.45, 0.4), None),
        ((0.2, 0.31, 0.45, 0.36, 0.44, 0.33, 0.34), None),
        ((0.2, 0.4, 0.6, 0.62), None),
    ],
    ids=["few", "many", "few, little", "scatter", "rises"],
)
def test_a_peak_in_a_log_without_responses_is_said_by_how_its_evaluations_scatter(tmp_path, scores, step):
    summary = log_of(tmp_path, scores)
    assert (summary.main_set.peak and summary.main_set.peak.step) == step
    assert ("Held-out accuracy on math was best at step" in summary.verdict.sentence) == (step is not None)


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        ([0.32, 0.39, 0.45, 0.52, 0.61, 0.69, 0.6, 0.55, 0.47, 0.42, 0.34], "learned, then lost it"),
        ([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55], "improved, then fell"),
        ([0.31, 0.4, 0.45, 0.5, 0.55, 0.6, 0.62, 0.64, 0.66, 0.67, 0.47], "improved, then fell"),
        ([0.5, 0.52, 0.5, 0.51, 0.52, 0.49, 0.46, 0.43, 0.41, 0.4, 0.39], "memorised"),
    ],
    ids=["all lost", "half lost", "lost at the end", "never learned"],
)
def test_what_was_learned_and_lost_is_the_verdict_and_no_alarm_denies_it(tmp_path, scores, label):
    rewards = np.linspace(0.3, 0.95, 201)
    rows = [f"{step},{rewards[step]},{scores[step // 20] if step % 20 == 0 else ''}" for step in range(201)]
    (tmp_path / "run.csv").write_text("\n".join(["step,reward,math/accuracy", *rows]) + "\n")
    summary = summarise(open_run(tmp_path / "run.csv"))
    assert summary.verdict.label == label
    raised = {alarm.name for alarm in alarms(open_run(tmp_path / "run.csv"))}
    if label != "memorised":
        best = scores.index(max(scores)) * 20
        assert summary.verdict.sentence.startswith(f"Held-out accuracy on math was best at step {best} ({max(scores)}")
        assert not raised & {"held_out_flat", "memorising"}
    shown = Console(width=120, file=StringIO(), record=True)
    watch_run(tmp_path / "run.csv", once=True, console=shown)
    assert label == "memorised" or "was best at step" in " ".join(shown.export_text().split())


@pytest.mark.parametrize(
    ("average", "label"), [((0.3, 0.3), "memorised, and lost breadth"), ((0.3, 0.49), "sharpened, and lost breadth")]
)
def test_a_log_whose_pass_at_k_halved_says_so_first(tmp_path, average, label):
    rows = [f"{s},{0.3 + 0.06 * s},{np.interp(s, (0, 10), average)},{0.79 - 0.037 * s}" for s in range(11)]
    (tmp_path / "run.csv").write_text("\n".join(["step,reward,math/avg@16,math/pass@16", *rows]) + "\n")
    summary = summarise(open_run(tmp_path / "run.csv"))
    assert summary.verdict.label == label
    assert summary.verdict.sentence.startswith(
        "Held-out pass@16 on math fell from 0.79 at step 0 to 0.42, from step 2 on (-0.37; no interval: a fall of 0.05"
    )
    shown = Console(width=120, file=StringIO(), record=True)
    watch_run(tmp_path / "run.csv", once=True, console=shown)
    text = " ".join(shown.export_text().split())
    assert text.index("Held-out pass@16 on math fell from 0.79") < text.index("progress")


def test_responses_that_lost_their_length_are_noted(tmp_path):
    for name, last in (("short", 3), ("long", 200)):
        lengths = np.linspace(300, last, 20)
        lines = [f"{s},{0.3 + 0.02 * s},{lengths[s - 1] if s < 16 else last}" for s in range(1, 21)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["step,reward,completions/mean_length", *lines]) + "\n")
    notes = [" ".join(summarise(open_run(tmp_path / f"{name}.csv")).notes) for name in ("short", "long")]
    assert "tokens to 3: is there reasoning left in them?" in notes[0]
    assert "The responses shrank" not in notes[1]


def test_chance_alone_makes_a_peak_without_responses_in_few_logs():
    rng = np.random.default_rng(0)
    for among in (4, 18):
        logs = rng.normal(0.4, 0.06, (400, among + 2))
        named = sum(find_peak("accuracy", range(among + 2), log, lambda _: None) is not None for log in logs.tolist())
        assert named <= 24


def test_transfer_is_the_held_out_rise_per_unit_of_reward(make_run):
    summary = summarise(open_run(make_run("moved", rewards=(0.2, 0.9), held_out=(0.3, 0.8))))
    change = summary.main_set.headline
    rise = summary.reward.after - summary.reward.before
    assert summary.transfer(summary.main_set) == pytest.approx((change.after - change.before) / rise)
    flat = summarise(open_run(make_run("flat", rewards=(0.5, 0.52))))
    assert flat.transfer(flat.main_set) is None
