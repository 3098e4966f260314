"""The live view: what is new is read, a run that is cut, torn or not there yet is followed all the same."""

import io
import json
import os
import threading
import time

import pytest
from rich.console import Console

from presat.errors import RunError
from presat.report import live, watch_run
from presat.report.live import Judged, _Look, live_view
from presat.tracking import RunWriter, open_run
from presat.tracking.follow import OtherRun, OurRun, follow, planned_steps
from presat.tracking.writer import METRICS


def shown(run, width=80, **options):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(live_view(run, **options))
    return out.getvalue()


def reward_of(run):
    return run.train_rewards().tolist()


def test_new_lines_are_read_and_old_ones_kept(tmp_path):
    with RunWriter(tmp_path / "run", {"steps": 10}, "train") as writer:
        follower = follow(tmp_path / "run")
        assert isinstance(follower, OurRun)
        assert reward_of(follower.refresh()) == []
        for step in range(1, 4):
            writer.append(step, {"reward": step / 10})
            run = follower.refresh()
        assert reward_of(run) == [0.1, 0.2, 0.3]
        assert (run.status, planned_steps(run)) == ("running", 10)
        writer.append(0, {"eval/math/avg@4": 0.5})
        assert follower.refresh().eval_sets() == ["math"]
    run = follower.refresh()
    assert run.status == "finished"
    assert run.values == open_run(tmp_path / "run").values


def test_a_torn_last_line_waits_until_it_is_whole(tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        writer.append(1, {"reward": 0.1})
        follower = follow(tmp_path / "run")
        with (tmp_path / "run" / METRICS).open("a") as file:
            file.write('{"step": 2, "rew')
            file.flush()
            assert reward_of(follower.refresh()) == [0.1]
            file.write('ard": 0.2}\n')
            file.flush()
            assert reward_of(follower.refresh()) == [0.1, 0.2]
            file.write('not json\n{"step": 3, "reward": 0.3}\n')
            file.flush()
        run = follower.refresh()
        assert reward_of(run) == [0.1, 0.2, 0.3]
        assert run.notes == [
            "Line 3 of metrics.jsonl was left out: not JSON (Expecting value: line 1 column 1 (char 0))."
        ]
        assert run.notes == open_run(tmp_path / "run").notes


def test_a_resumed_run_is_read_again(tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        for step in range(1, 6):
            writer.append(step, {"reward": 0.1, "kl": 0.5})
        follower = follow(tmp_path / "run")
        assert len(reward_of(follower.refresh())) == 5
    with RunWriter(tmp_path / "run", {}, "train", resume=True) as writer:
        writer.truncate_after(2)
        for step in range(3, 9):  # longer than before when it is looked at again: the size alone would not tell
            writer.append(step, {"reward": 0.9, "kl": 0.5})
        assert reward_of(follower.refresh()) == [0.1, 0.1, *[0.9] * 6]


def test_a_log_cut_in_place_is_read_again(tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        for step in range(1, 6):
            writer.append(step, {"reward": 0.1})
        follower = follow(tmp_path / "run")
        follower.refresh()
        os.truncate(tmp_path / "run" / METRICS, 0)
        assert reward_of(follower.refresh()) == []


def test_a_killed_run_is_interrupted(tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        writer.append(1, {"reward": 0.1})
    status = tmp_path / "run" / "status.json"
    status.write_text(json.dumps({"status": "running"}))
    assert follow(tmp_path / "run").refresh().status == "interrupted"


def test_pace_and_time_left(tmp_path):
    lines = [{"step": step, "time": 100.0 + 2 * step, "reward": 0.2} for step in range(1, 11)]
    with RunWriter(tmp_path / "run", {"steps": 100}, "train") as writer:
        (tmp_path / "run" / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        follower = follow(tmp_path / "run")
        run = follower.refresh()
        assert follower.seconds_per_step == pytest.approx(2.0)
        assert "step 10 of 100, 2 s a step, 3 min 00 s left" in shown(
            run, 120, seconds_per_step=follower.seconds_per_step
        )
        writer.finish()
    assert "a step" not in shown(follower.refresh(), 120, seconds_per_step=2.0)


def test_a_pause_before_a_run_was_resumed_is_no_step(tmp_path):
    lines = [{"step": step, "time": 100.0 + 2 * step, "reward": 0.2} for step in range(1, 11)]
    lines += [{"step": step, "time": 90000.0 + 40 * step, "reward": 0.2} for step in (11, 12)]
    with RunWriter(tmp_path / "run", {"steps": 100}, "train"):
        (tmp_path / "run" / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with RunWriter(tmp_path / "run", {"steps": 100}, "train", resume=True) as writer:
        writer.truncate_after(10)
        follower = follow(tmp_path / "run")
        follower.refresh()
        assert follower.seconds_per_step is None  # nothing is measured of this session yet
        with (tmp_path / "run" / METRICS).open("a") as log:
            for line in lines[10:]:
                log.write(json.dumps(line) + "\n")
        run = follower.refresh()
        assert follower.seconds_per_step == 40.0
        assert "step 12 of 100, 40 s a step, 58 min 40 s left" in shown(run, 120, seconds_per_step=40.0)


def test_what_fell_comes_first_and_the_reason_of_a_failure_whole(make_run):
    reason = "RunError: the loss is not a number " + "at all " * 20 + "end of it"
    folder = make_run(rewards=(0.5, 0.5), levels=(0.6, 0.3, 0.1, 0.05, 0.0), status="failed", reason=reason)
    text = shown(open_run(folder))
    words = " ".join(text.replace("│", " ").split())
    assert words.index("collapsed Held-out avg@8 on held_out fell from 0.") < words.index("progress")
    assert "from step 10 on" in words
    assert "lower the learning rate, raise the KL weight" in words
    assert f"failed {reason}" in words
    assert "collapsed" not in shown(open_run(make_run("fine")))


def test_a_reward_without_a_scale_is_not_compared_with_an_accuracy(make_run):
    run = open_run(make_run(rewards=(15.0, 25.0), gold=(0.5, 0.45)))
    words = " ".join(shown(run).replace("│", " ").split())
    assert "on a scale of its own, 15.4 to 25.0" in words
    assert "on a scale of 0 to 1: its height does not compare with the reward's" in words
    assert "above the true accuracy" not in words
    assert "on a scale" not in shown(open_run(make_run("share", gold=(0.3, 0.2))))


def test_another_trainers_log_is_read_when_it_grows_and_kept_when_it_cannot_be(tmp_path):
    log = tmp_path / "verl.log"
    with pytest.raises(RunError, match="There is no run"):
        follow(log)
    log.write_text("step:1 - critic/score/mean:0.1\n")
    follower = follow(log)
    assert isinstance(follower, OtherRun)
    follower._next = 0.0  # as if enough time had passed
    with log.open("a") as file:
        file.write("step:2 - critic/score/mean:0.4\n")
    assert reward_of(follower.refresh()) == [0.1, 0.4]
    assert follower.seconds_per_step is not None
    follower._next = 0.0
    log.write_text("")
    run = follower.refresh()
    assert reward_of(run) == [0.1, 0.4]
    assert run.notes[0].startswith("Shown as last read:")
    log.write_text("step:1 - critic/score/mean:0.1\nstep:2 - critic/score/mean:0.4\nstep:3 - critic/score/mean:0.5\n")
    run = follower.refresh()
    assert reward_of(run) == [0.1, 0.4, 0.5]
    assert run.notes == []


def test_watching_ends_with_the_run_even_if_it_appears_later(tmp_path):
    def train():
        time.sleep(0.2)
        with RunWriter(tmp_path / "run", {"steps": 3}, "train") as writer:
            for step in range(1, 4):
                writer.append(step, {"reward": step / 4})
                time.sleep(0.05)

    out = io.StringIO()
    thread = threading.Thread(target=train)
    thread.start()
    run = watch_run(tmp_path / "run", refresh_s=0.02, console=Console(file=out, width=80, force_terminal=True))
    thread.join()
    assert (run.status, reward_of(run)) == ("finished", [0.25, 0.5, 0.75])
    text = out.getvalue()
    assert text.index("There is no run at") < text.index("step 3 of 3")


def test_the_view_fits_80_columns_and_says_what_is_going_on(make_run):
    run = open_run(make_run(rewards=(0.3, 0.95), held_out=(0.3, 0.35), gold=(0.3, 0.2)))
    run.status = "running"
    text = shown(run)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    words = " ".join(text.replace("│", " ").split())
    assert "step 40 of 40" in words
    assert "reward 0.75 above the true accuracy of the same responses" in words
    assert "saturated at step 27 (so far), 13 steps ago" in words  # four of the five steps are at the top
    assert "alarm The reward rose from" in words
    assert "greedy" in words
    assert "pass@8" in words
    run.status = "finished"
    assert "t_sat 24 (mean of 5 steps: 27), last 4 steps left out" in " ".join(shown(run, width=120).split())


def test_a_run_without_a_t_sat_says_why(make_run):
    flat = open_run(make_run("flat", rewards=(0.5, 0.52)))
    assert "no t_sat: the train reward ended about where it began, or below" in shown(flat, width=120)
    negative = open_run(make_run("negative", rewards=(-2.0, -0.5)))
    assert "no t_sat: the highest reward is -0.5;" in shown(negative, width=120)
    negative.status = "running"
    assert "no reward above 0 yet, and t_sat is a share of the highest" in shown(negative, width=120)


def test_true_accuracy_is_shown_only_where_it_is_not_the_reward(make_run):
    assert "true accuracy" not in shown(open_run(make_run(rewards=(0.3, 0.9), gold=(0.3, 0.9))))


def test_runs_without_a_reward(tmp_path):
    (tmp_path / "sft.csv").write_text("step,loss\n1,2.0\n2,1.0\n")
    assert "█▁  1.000" in shown(open_run(tmp_path / "sft.csv"))
    (tmp_path / "eval.csv").write_text("step,math/avg@4\n0,0.5\n")
    text = shown(open_run(tmp_path / "eval.csv"))
    assert "none logged yet" in text
    assert "saturation" not in text


def logged(tmp_path, rewards, *scores):
    """A growing console log of a trainer that leaves no status."""
    lines = [f"step:{step} - critic/score/mean:{reward}" for step, reward in enumerate(rewards, start=1)]
    held_out = [f"step:{step} - val-core/math/acc/mean@1:{score}" for step, score in scores]
    path = tmp_path / "verl.log"
    path.write_text("\n".join([*held_out, *lines]) + "\n")
    return " ".join(shown(open_run(path), width=140).replace("│", " ").split())


def test_a_reward_that_fell_back_has_not_saturated(tmp_path):
    words = logged(tmp_path, [0.5, 0.6, 0.7, 0.8, *[0.9] * 50, *[0.5] * 40])
    assert "saturation none: the train reward fell from .90 at step 54 to .50, from step 55 on" in words
    assert "saturated at" not in words
    words = logged(tmp_path, [0.5, 0.6, 0.7, 0.8, *[0.9] * 50, *[0.02] * 40])
    assert words.index("collapsed The train reward fell from 0.90 at step 54") < words.index("progress")


def test_a_score_that_was_measured_once_has_no_best(tmp_path):
    words = logged(tmp_path, [0.3, 0.5, *[0.9] * 58], (0, 0.3))
    assert "the held-out score was measured once, at step 0" in words
    assert "best at step" not in words


def test_a_reward_that_is_no_number_any_more_is_said_and_not_saturated(tmp_path):
    words = logged(tmp_path, [0.3, 0.5, *[0.9] * 20, *["nan"] * 30])
    assert "saturation not judged: the reward is not a number (NaN) from step 23 on" in words
    assert "note: The reward is not a number (NaN) from step 23 on" in words
    assert "saturated at" not in words
    gap = logged(tmp_path, [0.3, 0.5, *[0.9] * 50, "nan"])
    assert "not a number" not in gap


@pytest.mark.parametrize(("lowest", "said"), [(0.0, "0"), (-1.0, "-1")])
def test_a_log_in_which_nothing_was_earned_says_where_to_look(tmp_path, lowest, said):
    words = logged(tmp_path, [lowest] * 10)
    assert f"alarm Every one of 10 logged rewards is exactly {said}: the grader or the answer format" in words
    assert "`presat data inspect`" in words
    assert "alarm" not in logged(tmp_path, [lowest] * 9 + [0.5])


def test_a_run_is_drawn_where_it_changed_and_judged_seldom(make_run, monkeypatch):
    run = open_run(make_run())
    run.status = "running"
    judged, clock = [], [0.0, 0.0]

    def judge(*_):
        judged.append(1)
        clock[1] += 1.0
        return Judged([], [])

    monkeypatch.setattr(live, "judged", judge)
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live.time, "process_time", lambda: clock[1])  # what it takes is judged by it
    look, drawn = _Look({}), []
    for second in range(400):
        clock[0] = float(second)
        drawn.append(look.view(run, seen=second // 20, pace=None) is not None)  # every 20th look there is something new
    assert sum(drawn) == 20 + 1  # second 150, when what came at 140 is judged
    assert len(judged) == 3  # a second of work in 150
    run.status = "finished"
    assert look.view(run, seen="ended", pace=None) is not None
    assert len(judged) == 4


def test_nothing_is_seen_of_a_run_that_stands_still(tmp_path):
    with RunWriter(tmp_path / "run", {}, "train") as writer:
        writer.append(1, {"reward": 0.1})
        follower = follow(tmp_path / "run")
        follower.refresh()
        before = follower.seen
        follower.refresh()
        assert follower.seen == before
        writer.append(2, {"reward": 0.2})
        follower.refresh()
        assert follower.seen != before
        before = follower.seen
    follower.refresh()
    assert follower.seen != before  # it has ended
