"""Whole GRPO runs on a tiny model: what is written, and that a killed run resumes to the very same weights."""

from __future__ import annotations

import functools
import gc
import io
import itertools
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.toy import toy
from tests.training.runs import kill_at, largest_gap, lines, on_two_processes, status, weights, without_clock

from presat.config.batches import plan_batches
from presat.config.schema import EvalConfig, ModelConfig, OptimConfig, StopConfig, TaskConfig
from presat.errors import ConfigError, DataError, RunError
from presat.evaluation import run_eval
from presat.metrics import OnlineSaturation
from presat.report.live import live_view
from presat.tracking import RunWriter, open_run
from presat.tracking.responses import saved_groups
from presat.training import run_train
from presat.training.grpo import callbacks
from presat.training.grpo.callbacks import Evaluator
from presat.training.runtime.session import open_session
from presat.verify import score


@pytest.fixture(scope="module")
def unbroken(toy_model, tmp_path_factory):
    """One run from start to end, shared by the tests that only read."""
    config = toy(toy_model, tmp_path_factory.mktemp("unbroken") / "run")
    run_train(config, quiet=True)
    return config


@pytest.mark.device
def test_a_run_leaves_a_whole_directory(unbroken):
    run = unbroken.run
    rows = lines(run)
    assert [row["step"] for row in rows] == list(range(8))
    assert status(run)["status"] == "finished"
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step_3", "step_6", "step_7"]
    assert [(run / "checkpoints" / f"step_{s}" / "optimizer.pt").exists() for s in (3, 6, 7)] == [False, True, True]
    evaluated = [row["step"] for row in rows if "eval/held_out/avg@4" in row]
    assert evaluated == [0, 4, 7]
    assert {"eval/held_out/pass@4", "eval/held_out/maj@4", "eval/held_out/greedy", "eval/held_out/valid_trace"} <= set(
        rows[0]
    )
    assert {"reward", "rewards/random/mean", "kl", "entropy", "loss", "labels/gold_accuracy", "labels/mixed"} <= set(
        rows[1]
    )
    assert all(row["learning_rate"] == 1e-3 for row in rows[1:])


def test_checkpoints_do_not_grow_with_the_log(unbroken):
    for file in (unbroken.run / "checkpoints").glob("*/trainer_state.json"):
        assert json.loads(file.read_text())["log_history"] == []


def test_responses_are_kept_with_their_rewards(unbroken):
    files = sorted((unbroken.run / "rollouts" / "train").iterdir())
    assert [f.name for f in files] == [f"step_{s:06d}.parquet" for s in range(1, 8)]
    rows = pl.concat([pl.read_parquet(f) for f in files])
    logged = {row["step"]: row["reward"] for row in lines(unbroken.run)[1:]}
    for (step,), part in rows.group_by("step"):
        assert len(part) == 8
        assert part["reward"].mean() == pytest.approx(logged[step])
        assert set(part["problem_id"].unique()) == set(rows["problem_id"].unique())  # three prompts, each at least once
    held_out = pl.read_parquet(unbroken.run / "rollouts" / "eval" / "held_out-step_000004.parquet")
    assert len(held_out) == 5 * 4
    assert "valid_trace" in held_out.columns


def test_responses_say_how_they_were_drawn_and_can_be_judged_again(unbroken):
    run = open_run(unbroken.run)
    facts = run.drawn_with("train", 3)
    assert (facts["engine"], facts["extraction"], facts["seed"]) == ("small", "auto", unbroken.seed)
    assert facts["model"] == run.provenance["model"]["sha256"]
    assert facts["max_new_tokens"] == unbroken.max_new_tokens
    evaluated = run.drawn_with("eval", 4, "held_out")
    assert (evaluated["samples"], evaluated["model"]) == (4, facts["model"])
    rows = run.rollouts("eval", [4])
    (group, *_) = saved_groups(rows)
    scores = [score(group.problem, completion.text).value for completion in group.completions]
    assert scores == rows["score"].to_list()[: len(scores)]


@pytest.mark.device
def test_the_last_checkpoint_is_an_ordinary_model_folder(unbroken):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = unbroken.run / "checkpoints" / "step_7"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template
    before = load_file(Path(unbroken.model.name) / "model.safetensors")
    moved = max(float((model.state_dict()[name] - w).abs().max()) for name, w in before.items())
    assert moved > 1e-3


@pytest.mark.device
def test_evaluating_the_checkpoint_repeats_the_runs_numbers(unbroken, tmp_path):
    config = EvalConfig(
        run=tmp_path / "eval",
        model=ModelConfig(name=str(unbroken.run / "checkpoints" / "step_7")),
        sets=unbroken.eval.sets,
        samples=4,
        max_new_tokens=16,
    )
    run_eval(config, quiet=True)
    logged = {k: v for k, v in lines(unbroken.run)[-1].items() if k.startswith("eval/")}
    (row,) = without_clock(lines(tmp_path / "eval"))
    assert row["step"] == 7
    assert {name: value for name, value in row.items() if name.startswith("eval/")} == logged


def test_evaluating_a_checkpoint_on_a_benchmark_repeats_the_number_of_a_run_with_the_same_seed(toy_config, tmp_path):
    row = {"Correct Answer": "0", **{f"Incorrect Answer {i}": str(i) for i in (1, 2, 3)}}
    rows = [json.dumps(row | {"Question": f"{i} a +3"}) + "\n" for i in range(9)]
    (tmp_path / "gpqa_diamond.jsonl").write_text("".join(rows))
    task = TaskConfig(source="benchmark/gpqa_diamond", options={"folder": str(tmp_path)})
    toy_config.eval.sets, toy_config.steps, toy_config.seed, toy_config.max_prompt_tokens = [task], 1, 3, 512
    run_train(toy_config, quiet=True)
    config = EvalConfig(run=tmp_path / "eval", model=ModelConfig(name=str(toy_config.run)), folder=tmp_path, seed=3,
                        benchmarks=["gpqa_diamond"], samples=4, max_new_tokens=16)  # fmt: skip
    run_eval(config, quiet=True)
    found = [
        {name: value for name, value in lines(run)[-1].items() if name.startswith("eval/")}
        for run in (toy_config.run, config.run)
    ]
    assert found[0] == found[1]
    provenance = [open_run(run).provenance["problems"]["eval"] for run in (toy_config.run, config.run)]
    assert provenance[0] == provenance[1]


def test_every_saved_step_can_be_evaluated_and_repeats_what_was_logged_there(unbroken, toy_model, tmp_path):
    config = unbroken.model_copy(update={"run": tmp_path / "run", "save_every": 4, "keep_checkpoints": 1})
    run_train(config, quiet=True)
    checked = EvalConfig(run=tmp_path / "eval", model=ModelConfig(name=str(config.run)), sets=config.eval.sets,
                         every_checkpoint=True, samples=4, max_new_tokens=16)  # fmt: skip
    run_eval(checked, quiet=True)
    score = "eval/held_out/avg@4"
    logged = {row["step"]: row[score] for row in lines(config.run) if score in row}
    assert {row["step"]: row[score] for row in lines(checked.run)} == {step: logged[step] for step in (4, 7)}


def test_a_killed_run_resumes_to_the_same_weights(unbroken, toy_model, tmp_path):
    config = toy(toy_model, tmp_path / "run")
    kill_at(config, "train", tmp_path, after=4)
    half_written = config.run / "checkpoints" / "checkpoint-6"
    half_written.mkdir(parents=True, exist_ok=True)  # as a kill in the middle of a save leaves it
    run_train(config.model_copy(update={"resume": True}), quiet=True)
    assert not half_written.exists()
    assert largest_gap(config.run, unbroken.run) == 0.0
    assert without_clock(lines(config.run)) == without_clock(lines(unbroken.run))
    assert status(config.run)["status"] == "finished"


def test_a_finished_run_resumes_to_nothing(toy_config, caplog):
    toy_config.steps, toy_config.eval.sets = 2, []
    run_train(toy_config, quiet=True)
    before = weights(toy_config.run, 2)
    records = [(toy_config.run / name).read_text() for name in ("config.yaml", "provenance.json")]
    # what was asked for in vain is not what the run was made with
    other = {"resume": True, "steps": 1, "optim": toy_config.optim.model_copy(update={"lr": 1e-5})}
    run_train(toy_config.model_copy(update=other), quiet=True)
    assert [(toy_config.run / name).read_text() for name in ("config.yaml", "provenance.json")] == records
    assert "has done 2 steps of 1: nothing is left to do. To train on, resume it with more steps." in caplog.text
    run_train(toy_config.model_copy(update={"resume": True}), quiet=True)
    assert status(toy_config.run)["status"] == "finished"
    assert all(torch.equal(w, before[name]) for name, w in weights(toy_config.run, 2).items())
    with pytest.raises(RunError, match="already holds a run"):
        run_train(toy_config, quiet=True)


def test_a_resumed_run_without_a_checkpoint_says_what_it_loses(toy_config, caplog):
    again = toy_config.model_copy(update={"resume": True, "steps": 2})
    with RunWriter(toy_config.run, again, "train") as writer:
        for step in (1, 2, 3):
            writer.append(step, {"reward": 0.5})
    with open_session(again, "train", quiet=True):
        pass
    assert "There is no checkpoint in" in caplog.text
    assert "what it logged (3 lines) and its responses are removed" in caplog.text
    elsewhere = again.model_copy(update={"run": toy_config.run.with_name("elsewhere")})
    with open_session(elsewhere, "train", quiet=True):
        pass
    assert f"There is nothing to go on with in {elsewhere.run}" in caplog.text


STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
SAVED = (*STATE, "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "training_args.bin")


@pytest.fixture
def goes_on(unbroken, tmp_path):
    """The finished run in a folder of the test's own, to be gone on with for a step."""
    shutil.copytree(unbroken.run, tmp_path / "run")
    return unbroken.model_copy(update={"run": tmp_path / "run", "steps": 8, "resume": True})


def everything(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and not path.name.startswith(".")}


@pytest.mark.parametrize("name", SAVED)
def test_a_damaged_checkpoint_is_refused_in_one_sentence_and_the_run_left_as_it_is(goes_on, name):
    """Cut short it has another size; of the same size it cannot be read; without it there is no checkpoint."""
    file = goes_on.run / "checkpoints" / "step_7" / name
    whole = file.read_bytes()
    for content, fault in (
        (whole[: len(whole) // 2], "has .* bytes and was saved with"),
        (bytes(len(whole)), "is damaged"),
        (None, "is missing"),
    ):
        if name == "training_args.bin" and fault == "is damaged":
            continue  # nobody opens it
        file.unlink() if content is None else file.write_bytes(content)
        before = everything(goes_on.run)
        with pytest.raises(
            RunError, match=rf"cannot go on from \S*step_7: {name} {fault}.*goes on from step_6\.$"
        ) as refusal:
            run_train(goes_on, quiet=True)
        assert "weights_only" not in str(refusal.value)
        assert everything(goes_on.run) == before


def test_another_number_of_processes_is_said(goes_on, monkeypatch, caplog):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with open_session(goes_on, "train", quiet=True) as run:
        assert run.done == 7
    assert "step_7 is of 1 processes and gone on with by 2: random numbers (dropout) begin anew" in caplog.text


class Payload:
    """What unpickles to the writing of a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_runs_no_code(goes_on, name, tmp_path):
    folder = goes_on.run / "checkpoints" / "step_7"
    torch.save({"state": Payload(tmp_path / "ran")}, folder / name)
    (folder / "resume_files.json").unlink()
    with pytest.raises(RunError, match=f"{name} is damaged"):
        run_train(goes_on, quiet=True)
    assert not (tmp_path / "ran").exists()


def test_a_saturated_run_stops_and_says_why(unbroken, toy_config):
    rewards = [row["reward"] for row in lines(unbroken.run)[1:]]
    first_best = [next(i for i, r in enumerate(rewards[:s], 1) if r >= 0.99 * max(rewards[:s])) for s in range(1, 8)]
    stop_at = next(step for step, best in enumerate(first_best, 1) if step - best >= 2)
    assert stop_at < 7  # else this seed shows nothing
    toy_config.stop = StopConfig(when="saturated", patience=2, window=1)
    toy_config.save_every = 0
    run_train(toy_config, quiet=True)
    last = lines(toy_config.run)[-1]
    assert last["step"] == stop_at
    assert last["saturation/t_sat"] == first_best[stop_at - 1]
    assert "eval/held_out/avg@4" in last
    assert [p.name for p in (toy_config.run / "checkpoints").iterdir()] == [f"step_{stop_at}"]
    assert status(toy_config.run)["status"] == "stopped"
    assert f"saturated at step {first_best[stop_at - 1]}" in status(toy_config.run)["reason"]


SCORE = "eval/held_out/avg@4"


@pytest.fixture
def rising(toy_config, monkeypatch):
    """A run that stops early but whose held-out score rises until step 4; evaluated more rarely than its patience."""
    evaluate = Evaluator.__call__

    def evaluated(self, step, trainer):
        return {**evaluate(self, step, trainer), SCORE: min(step, 4) / 10}

    monkeypatch.setattr(Evaluator, "__call__", evaluated)
    toy_config.stop = StopConfig(when="saturated", patience=2, window=1)
    toy_config.steps, toy_config.eval.every, toy_config.save_every = 12, 100, 1
    return toy_config


def reasons(config):
    """By the log alone: whether the run had reason to stop after each step."""
    rows = lines(config.run)
    scores = {row["step"]: row[SCORE] for row in rows if SCORE in row}
    found = []
    for step in range(1, len(rows)):
        known = [(at, score) for at, score in scores.items() if at <= step]
        rewards = [row["reward"] for row in rows[1 : step + 1]]
        found.append(OnlineSaturation.replay(rewards, known, **config.stop.deciding).stop_reason() is not None)
    return found


def test_a_step_is_evaluated_before_the_stop_is_decided(rising):
    run_train(rising, quiet=True)
    stopped_at = lines(rising.run)[-1]["step"]
    rewards = [row["reward"] for row in lines(rising.run)[1:]]
    reward_alone = next(
        step for step in range(1, 13) if OnlineSaturation.replay(rewards[:step], **rising.stop.deciding).t_sat
    )
    assert reward_alone < 4  # else this seed shows nothing
    assert stopped_at >= 6  # the score rose until step 4
    assert reasons(rising) == [False] * (stopped_at - 1) + [True]
    evaluated = [row["step"] for row in lines(rising.run) if SCORE in row]
    assert evaluated[0] == 0
    assert evaluated[-1] == stopped_at
    assert reward_alone in evaluated
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(evaluated))  # one a patience at most


def test_a_stopped_run_stays_stopped_until_the_settings_that_stopped_it_are_changed(rising, caplog):
    run_train(rising, quiet=True)
    before, end = lines(rising.run), status(rising.run)
    for change in ({}, {"steps": 20}, {"steps": len(before) - 1}, {"stop": rising.stop.model_copy(update={})}):
        caplog.clear()
        run_train(rising.model_copy(update={"resume": True, **change}), quiet=True)
        now = status(rising.run)
        assert (lines(rising.run), now["status"], now["reason"]) == (before, "stopped", end["reason"])
        assert f"is stopped at step {len(before) - 1} and nothing is trained" in caplog.text
    caplog.clear()
    never = rising.stop.model_copy(update={"when": "never"})
    run_train(rising.model_copy(update={"resume": True, "stop": never}), quiet=True)
    assert (lines(rising.run)[-1]["step"], status(rising.run)["status"]) == (12, "finished")
    assert "stop" not in status(rising.run)
    assert [record.getMessage() for record in caplog.records] == [
        f"{rising.run} goes on with other settings than it had: stop.when 'saturated' -> 'never'."
    ]


def test_a_stopped_run_goes_on_under_a_longer_patience(rising):
    run_train(rising, quiet=True)
    stopped_at = lines(rising.run)[-1]["step"]
    longer = rising.model_copy(update={"resume": True, "stop": rising.stop.model_copy(update={"patience": 5})})
    run_train(longer, quiet=True)
    assert lines(rising.run)[-1]["step"] > stopped_at


def test_a_run_killed_after_the_decision_comes_to_the_same_end(rising, monkeypatch):
    run_train(rising, quiet=True)
    unbroken, end = lines(rising.run), status(rising.run)
    other = rising.model_copy(update={"run": rising.run.with_name("killed")})

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # decided and logged, but not saved
        complete = callbacks.complete_checkpoint
        patch.setattr(
            callbacks,
            "complete_checkpoint",
            lambda folder, step, *rest: interrupt() if step == len(unbroken) - 1 else complete(folder, step, *rest),
        )
        with pytest.raises(KeyboardInterrupt):
            run_train(other, quiet=True)
    assert status(other.run)["stop"] == end["stop"]
    with monkeypatch.context() as patch:  # decided once more and saved, but killed before the status was written
        patch.setattr(RunWriter, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_train(other.model_copy(update={"resume": True}), quiet=True)
    (other.run / "status.json").write_text(json.dumps({**status(other.run), "status": "running"}))
    gc.collect()  # lets go of the lock, as the end of a process does
    assert open_run(other.run).status == "interrupted"
    run_train(other.model_copy(update={"resume": True}), quiet=True)
    assert without_clock(lines(other.run)) == without_clock(unbroken)
    assert [status(other.run)[key] for key in ("status", "reason", "stop")] == [
        end[key] for key in ("status", "reason", "stop")
    ]


def view_at(config, step, **given):
    """What `presat watch` showed of a run after a step."""
    run = open_run(config.run)
    run.status = "running"
    run.values = {name: {s: v for s, v in series.items() if s <= step} for name, series in run.values.items()}
    out = io.StringIO()
    Console(file=out, width=200).print(live_view(run, given=given))
    return " ".join(out.getvalue().replace("│", " ").split())


def test_watching_and_the_run_agree_on_when_it_stops(rising):
    """Step by step, by the run's own settings; where others are asked for, the view says so."""
    run_train(rising, quiet=True)

    view = functools.partial(view_at, rising)
    last = lines(rising.run)[-1]["step"]
    for step in range(1, last + 1):
        assert ("Going on is unlikely to gain much" in view(step)) == (step == last)
        assert "other settings" not in view(step, patience=2)
    asked = view(last, patience=9, min_reward=5.0)
    assert "Going on is unlikely" not in asked
    assert "judged by other settings than the run's own `stop`: patience 9, not 2, min_reward 5, not 0" in asked


@pytest.fixture
def measured(toy_config, monkeypatch):
    """A run of 4 steps whose held-out score is 0.9 at once; resumed, the score rises from 0.1 until step 8."""
    evaluate = Evaluator.__call__

    def evaluated(self, step, trainer):
        score = 0.9 if self.config.steps == 4 else min(step, 8) / 10
        return {**evaluate(self, step, trainer), self.main_metric: score}

    toy_config.stop = StopConfig(when="never")
    toy_config.steps, toy_config.eval.every, toy_config.save_every = 4, 2, 1
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "__call__", evaluated)
        run_train(toy_config, quiet=True)
        stop = StopConfig(when="saturated", patience=2, window=1)
        yield toy_config.model_copy(update={"resume": True, "steps": 12, "stop": stop}, deep=True)


OTHER = TaskConfig(source="lab/chains", name="other", count=5, seed=1, options={"split": "held_out"})


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"samples": 2}, r"samples 4, now 2"),
        ({"samples": 8}, r"samples 4, now 8"),
        ({"temperature": 0.5}, r"temperature 1.0, now 0.5"),
        ({"sets": [OTHER.model_copy(update={"name": "held_out"})]}, r"set \w{24}, now \w{24}"),
        ({"sets": [OTHER]}, "without eval/other/avg@4"),
    ],
)
def test_the_early_stop_compares_scores_measured_alike(measured, changes, how, caplog):
    measured.eval = measured.eval.model_copy(update=changes)
    run_train(measured, quiet=True)
    assert re.search(rf"was evaluated otherwise up to step 4 \({how}\)", caplog.text)
    assert lines(measured.run)[-1]["step"] >= 10  # the new score rose until step 8, far below the old one
    if status(measured.run)["status"] == "stopped":
        assert "those up to step 4 that were measured with other settings left out" in status(measured.run)["reason"]
    last = lines(measured.run)[-1]["step"]
    for step in range(6, last):  # from the first new score on the view, too, compares with its like
        assert "Going on is unlikely to gain much" not in view_at(measured, step)
    if "without" not in how:
        assert re.search(
            rf"From step 6 on held_out was evaluated otherwise.*{how}", " ".join(open_run(measured.run).notes)
        )
    again = [*lines(measured.run)], status(measured.run)["status"]
    run_train(measured, quiet=True)  # a second look at the log decides the same
    assert ([*lines(measured.run)], status(measured.run)["status"]) == again


@pytest.mark.parametrize("changes", [{}, {"every": 3}, {"sets": "more"}])
def test_scores_measured_alike_count_over_a_resume(measured, changes, caplog):
    if changes.get("sets"):  # one more beside the main set
        changes = {"sets": [*measured.eval.sets, OTHER]}
    measured.eval = measured.eval.model_copy(update=changes)
    run_train(measured, quiet=True)
    assert "evaluated otherwise" not in caplog.text
    assert lines(measured.run)[-1]["step"] < 8  # 0.9 at step 0 was not reached again


def test_a_run_resumed_without_evaluation_sets_goes_on_by_its_reward(measured, caplog):
    measured.eval = measured.eval.model_copy(update={"sets": []})
    run_train(measured, quiet=True)
    assert "was evaluated otherwise up to step 4 (now no set at all)" in caplog.text
    assert lines(measured.run)[-1]["step"] > 4


@pytest.mark.device
def test_a_loss_that_is_not_a_number_ends_the_run_with_its_step(toy_config):
    toy_config.optim = OptimConfig(lr=1e30)
    toy_config.save_every = 1
    with pytest.raises(RunError, match="became nan at step 2"):
        run_train(toy_config, quiet=True)
    assert status(toy_config.run)["status"] == "failed"
    assert "step 2" in status(toy_config.run)["reason"]
    assert [row["step"] for row in lines(toy_config.run)] == [0, 1]
    assert [p.name for p in (toy_config.run / "checkpoints").iterdir()] == ["step_1"]


def test_a_run_interrupted_before_its_first_checkpoint_starts_over(unbroken, toy_config, monkeypatch):
    from presat.training.grpo.callbacks import Monitor

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "on_save", interrupt)  # ctrl-c when TRL has written its checkpoint but it has no name
        with pytest.raises(KeyboardInterrupt):
            run_train(toy_config, quiet=True)
    assert status(toy_config.run)["status"] == "interrupted"
    assert [p.name for p in (toy_config.run / "checkpoints").iterdir()] == ["checkpoint-3"]
    run_train(toy_config.model_copy(update={"resume": True}), quiet=True)
    assert without_clock(lines(toy_config.run)) == without_clock(lines(unbroken.run))
    assert all(torch.equal(w, weights(toy_config.run, 7)[name]) for name, w in weights(unbroken.run, 7).items())


def test_long_prompts_are_dropped_and_counted(toy_config):
    toy_config.data = TaskConfig(source="lab/chains", count=12)
    toy_config.steps, toy_config.eval.sets, toy_config.max_prompt_tokens = 1, [], 18
    run_train(toy_config, quiet=True)
    found = json.loads((toy_config.run / "provenance.json").read_text())["problems"]["train"]
    assert found["count"] + found["dropped_too_long"] == 12
    assert found["dropped_too_long"] > 0


def test_a_run_with_no_prompt_left_is_refused(toy_config):
    toy_config.max_prompt_tokens = 3
    with pytest.raises(DataError, match="Each of the 3 prompts"):
        run_train(toy_config, quiet=True)


def test_batches_that_split_a_group_are_refused(toy_config):
    toy_config.micro_batch = 3
    with pytest.raises(ConfigError, match="nearest that does is 2"):
        run_train(toy_config, quiet=True)
    assert not toy_config.run.exists()


def test_a_resumed_run_takes_the_learning_rate_it_is_given(toy_config, caplog):
    toy_config.steps, toy_config.eval.sets = 2, []
    run_train(toy_config, quiet=True)
    assert caplog.text == ""
    lower = toy_config.optim.model_copy(update={"lr": 1e-5})
    run_train(toy_config.model_copy(update={"resume": True, "steps": 3, "optim": lower}), quiet=True)
    assert [row["learning_rate"] for row in lines(toy_config.run)] == [1e-3, 1e-3, 1e-5]
    said = "the run had other settings: optim.lr 0.001 -> 1e-05, steps 2 -> 3."
    assert said.replace("the run had", "goes on with").replace("settings:", "settings than it had:") in caplog.text
    assert [note for note in open_run(toy_config.run).notes if "settings" in note] == [f"From step 3 on {said}"]


def test_what_is_logged_does_not_depend_on_the_micro_batch(toy_model, tmp_path):
    """A mean of the micro-batches' means differs by some percent: responses are of different lengths."""
    logged = {}
    for micro_batch in (2, 4, 8):
        config = toy(toy_model, tmp_path / str(micro_batch))
        config.micro_batch, config.steps, config.save_every, config.eval.sets = micro_batch, 3, 0, []
        run_train(config, quiet=True)
        logged[micro_batch] = lines(config.run)
    assert logged[8][-1]["kl"] > 1e-3
    assert logged[8][-1]["completions/min_length"] < logged[8][-1]["completions/max_length"]
    for micro_batch in (2, 4):
        for row, whole in zip(logged[micro_batch], logged[8], strict=True):
            for name in ("kl", "entropy", "loss", "grad_norm", "clip_ratio/region_mean", "clip_ratio/high_max"):
                assert row[name] == pytest.approx(whole[name], rel=1e-3, abs=1e-6), (micro_batch, name)


def test_two_processes_train_as_one(unbroken, toy_model, tmp_path):
    config = toy(toy_model, tmp_path / "run")
    on_two_processes({"train": config}, tmp_path)
    mine, theirs = lines(config.run), lines(unbroken.run)
    assert [row["step"] for row in mine] == [row["step"] for row in theirs]
    for a, b in zip(mine, theirs, strict=True):
        held_out = "eval/held_out/avg@4"
        for name in ("reward", "labels/gold_accuracy", held_out, "completions/mean_length", "kl", "entropy"):
            assert (name in a) == (name in b)
            assert name not in b or a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-5)
    assert largest_gap(config.run, unbroken.run) < 1e-3
    assert len(pl.read_parquet(config.run / "rollouts" / "train" / "step_000003.parquet")) == 8
    assert sorted(p.name for p in (config.run / "checkpoints").iterdir()) == ["step_3", "step_6", "step_7"]


def test_a_step_that_does_not_divide_over_processes_is_refused(toy_config):
    with pytest.raises(ConfigError, match="does not divide over 3 processes, so a group would be split"):
        plan_batches(toy_config, 3)
