"""presat in stock TRL trainers: the example script, whole groups under two processes, every reward, early stop."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, TrainerControl, TrainerState
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from presat.config.schema import RewardConfig
from presat.errors import ConfigError, DataError, RunError
from presat.rewards.policy import token_values
from presat.tasks.lab import lab_problems
from presat.tracking import open_run
from presat.training import SaturationCallback, TRLReward

SCRIPT = Path(__file__).parents[2] / "examples" / "trl_script" / "train.py"
G = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Lab problems as anybody's JSONL."""
    file = tmp_path_factory.mktemp("data") / "problems.jsonl"
    rows = [{"question": p.messages[0]["content"], "answer": p.gold} for p in lab_problems("chains", 12, seed=1)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def example(model: Path, data: Path, out: Path, *more: str) -> list[str]:
    sizes = ["--steps", "3", "--group-size", str(G), "--tokens", "16"]
    return ["--model", str(model), "--data", str(data), "--out", str(out), *sizes, *more]


def train_lines(out: Path) -> list[dict]:
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    return [line for line in history if "loss" in line]


def trainer_for(model, out, reward, rows, eval_dataset=None, **settings):
    arguments = {
        "output_dir": str(out), "max_steps": 2, "num_generations": G, "per_device_train_batch_size": G,
        "max_completion_length": 12, "temperature": 1.0, "logging_steps": 1, "report_to": "none", "bf16": False,
        "use_cpu": True, "disable_tqdm": True, "save_strategy": "no",
    }  # fmt: skip
    return GRPOTrainer(
        model=str(model),
        reward_funcs=reward,
        args=GRPOConfig(**(arguments | settings)),
        train_dataset=rows,
        eval_dataset=eval_dataset,
    )


def rows_of(data: Path, **columns) -> Dataset:
    problems = [json.loads(line) for line in data.read_text().splitlines()]
    prompts = [[{"role": "user", "content": p["question"]}] for p in problems]
    return Dataset.from_dict({"prompt": prompts, "answer": [p["answer"] for p in problems], **columns})


def test_the_example_trains_and_its_folder_reads_as_a_run(toy_model, data, tmp_path):
    spec = importlib.util.spec_from_file_location("trl_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(example(toy_model, data, tmp_path / "out", "--batch", "8"))
    lines = train_lines(tmp_path / "out")
    assert len(lines) == 3
    for line in lines:
        assert {"labels/gold_accuracy", "labels/label_accuracy", "labels/ties", "labels/mixed"} <= set(line)
        assert line["saturation/saturated"] == 0.0
        assert line["reward"] == line["rewards/majority_vote/mean"]
    run = open_run(tmp_path / "out")
    assert len(run.train_rewards()) == 3
    assert "labels/gold_accuracy" in run.names()


def test_votes_are_whole_where_two_processes_share_a_group(toy_model, data, tmp_path):
    """Each process holds half of the one group a step. Whoever agrees with the label is rewarded, so the mean reward is
    the label's share of the four votes. Votes on halves that have an answer would make it 1/2 at least."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(SCRIPT)]
    command += example(toy_model, data, tmp_path / "out", "--batch", str(G // 2), "--steps", "8")
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = train_lines(tmp_path / "out")
    assert len(lines) == 8
    shares = [line["labels/majority_share"] for line in lines]
    assert [line["reward"] for line in lines] == pytest.approx(shares)
    assert any(line["labels/majority_share"] == 0.25 and line["labels/no_answer"] == 0 for line in lines)


def test_policy_rewards_and_sums_work_in_a_stock_trainer(toy_model, data, tmp_path):
    config = RewardConfig.model_validate(
        {
            "source": "weighted_sum",
            "parts": [
                {"source": "self_certainty"},
                {"source": "soft_majority_vote", "weight": 2.0},
                {"source": "verifiable", "weight": 0.0},
            ],
        }
    )
    seen: list[dict] = []

    class Spy(TRLReward):
        def __call__(self, prompts, completions, completion_ids, **columns):
            rewards = super().__call__(prompts, completions, completion_ids, **columns)
            seen.append({"prompts": prompts, "ids": completion_ids, "rewards": rewards})
            return rewards

    trainer = trainer_for(toy_model, tmp_path, Spy(config), rows_of(data), max_steps=1)
    trainer.train()
    (line,) = [line for line in trainer.state.log_history if "loss" in line]
    model = AutoModelForCausalLM.from_pretrained(toy_model).double()  # step 1 is drawn from the model as it came
    certainties = []
    for prompt, ids in zip(seen[0]["prompts"], seen[0]["ids"], strict=True):
        head = trainer.processing_class.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)
        with torch.no_grad():
            logits = model(torch.tensor([[*head["input_ids"], *ids]])).logits[0, len(head["input_ids"]) - 1 : -1]
        certainties.append(float(token_values(logits, ["self_certainty"])["self_certainty"].mean()))
    assert line["rewards/self_certainty/mean"] == pytest.approx(sum(certainties) / G, rel=1e-4)
    rest = [(r - c) / 2 for r, c in zip(seen[0]["rewards"], certainties, strict=True)]
    assert all(round(4 * share) == pytest.approx(4 * share, abs=1e-3) for share in rest)  # quarters: shares of a vote
    assert sum(rest) / G == pytest.approx(line["rewards/soft_majority_vote/mean"], abs=1e-3)
    assert line["rewards/verifiable/mean"] == line["labels/gold_accuracy"]
    assert line["rewards/weighted_sum/mean"] == pytest.approx(sum(seen[0]["rewards"]) / G, rel=1e-5)


def test_evaluation_with_its_own_group_size_is_judged_too(toy_model, data, tmp_path):
    settings = {"num_generations_eval": 2, "per_device_eval_batch_size": 6, "eval_strategy": "no"}
    trainer = trainer_for(toy_model, tmp_path, TRLReward("majority_vote"), rows_of(data), **settings)
    found = trainer.evaluate(rows_of(data).select(range(6)))
    assert found["eval_labels/majority_share"] >= 0.5 - 1e-9  # of two votes
    assert "eval_labels/gold_accuracy" in found


def test_true_accuracy_is_the_held_out_score_of_what_it_leaves_and_its_completions_are_responses(
    toy_model, data, tmp_path
):
    settings = {
        "eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": G, "max_steps": 3,
        "save_strategy": "steps", "save_steps": 3, "log_completions": True, "num_completions_to_print": 0,
    }  # fmt: skip
    rows = rows_of(data)
    trainer = trainer_for(
        toy_model, tmp_path, TRLReward("majority_vote"), rows, eval_dataset=rows.select(range(4)), **settings
    )
    trainer.train()
    run = open_run(tmp_path)
    golds = [line["eval_labels/gold_accuracy"] for line in trainer.state.log_history if "eval_reward" in line]
    assert run.held_out()[:2] == ("eval", "gold_accuracy")
    assert run.held_out()[3].tolist() == golds
    assert run.rollout_steps("train") == [1]  # TRL evaluated after the others
    frame = run.rollouts("train")
    assert frame.height == G
    assert frame["reward"].mean() == pytest.approx(run.values["reward"][1], abs=1e-6)
    assert frame["problem_id"].n_unique() == 1
    assert frame["text"].null_count() == 0
    assert not any("does not know" in note for note in run.notes)


def test_the_answer_column_may_have_any_name_or_be_verls(toy_model, data, tmp_path):
    golds = rows_of(data)["answer"]
    named = rows_of(data, truth=golds).remove_columns("answer")
    with pytest.raises(DataError, match=r"row 1 of TRL's batch has no answer.*columns are truth, prompt"):
        trainer_for(toy_model, tmp_path, TRLReward(), named).train()
    verl = rows_of(data, reward_model=[{"ground_truth": f'["{gold}"]', "style": "rule"} for gold in golds])
    for reward, rows in ((TRLReward(answer="truth"), named), (TRLReward(), verl.remove_columns("answer"))):
        trainer = trainer_for(toy_model, tmp_path, reward, rows, max_steps=1)
        trainer.train()
        line = trainer.state.log_history[0]
        assert line["rewards/verifiable/mean"] == line["labels/gold_accuracy"]
        assert line["labels/missing"] == 0


def caller(**attributes) -> dict:
    """What TRL passes besides the rows, from a trainer that is not there."""
    state = SimpleNamespace(global_step=0)
    tokens = SimpleNamespace(eos_token_id=1)
    alone = SimpleNamespace(process_index=0, num_processes=1)

    class Caller(SimpleNamespace):
        def log_metric(self, name, value): ...

    trainer = Caller(
        num_generations=2, model=torch.nn.Linear(1, 1), state=state, processing_class=tokens, accelerator=alone,
        is_fsdp_enabled=False, is_deepspeed_enabled=False,
    )  # fmt: skip
    vars(trainer).update(attributes)
    return {"log_metric": trainer.log_metric}


@pytest.mark.parametrize("prompts", [["a", "b"], ["a", "a", "b"], ["a", "b", "b", "a"]])
def test_rows_that_are_no_whole_groups_are_refused(prompts):
    texts, ids = [r"\boxed{1}"] * len(prompts), [[1]] * len(prompts)
    with pytest.raises(RunError, match=r"not whole groups of 2 responses to one prompt; a vote over part of a group"):
        TRLReward("majority_vote")(prompts, texts, ids, **caller())
    assert TRLReward("majority_vote")(["a"] * 2, texts[:2], ids[:2], **caller()) == [1.0, 1.0]


def test_every_token_that_ends_a_response_is_one():
    model = torch.nn.Linear(1, 1)
    model.generation_config = SimpleNamespace(eos_token_id=[7, 8])

    class Finished:
        name = "finished"

        def __call__(self, group, scores):
            return [float(response.finished) for response in group.completions]

    trainer = caller(model=model, num_generations=3)
    assert TRLReward(Finished())(["a"] * 3, ["x"] * 3, [[3, 8], [3, 7], [3, 4]], **trainer) == [
        1.0, 1.0, 0.0,
    ]  # fmt: skip


@pytest.mark.parametrize(("written", "paid"), [("Solve. <think>\n", 1.0), ("Solve.", 0.0)])
def test_a_template_that_opens_the_thinking_is_noticed(written, paid, caplog):
    tokens = SimpleNamespace(eos_token_id=1, decode=lambda ids, skip_special_tokens: written)
    trainer = caller(processing_class=tokens, _tokenize_prompts=lambda prompts: [[[5]] * len(prompts)])
    reward = TRLReward("format_only", gate="think")
    texts = [r"so it is 4</think> \boxed{4}"] * 2
    assert reward(["a"] * 2, texts, [[1]] * 2, **trainer) == [paid] * 2
    assert reward(["a"] * 2, texts, [[1]] * 2, **trainer) == [paid] * 2
    assert [record.message.split(",")[0] for record in caplog.records] == (
        ["The prompts end in an opened `<think>`"] if paid else []
    )


def test_true_accuracy_on_the_evaluation_set_decides_the_stop_where_it_is_logged():
    """The proxy there rises to the end, true accuracy does not: the stop is not held back."""
    callback = SaturationCallback(stop=True, window=1, patience=3)
    callback.on_train_begin(SimpleNamespace(), TrainerState(log_history=[]), TrainerControl())
    for step, reward in enumerate(RISE[:8], 1):
        callback._observe(step, {"eval_reward": step / 10, "eval_labels/gold_accuracy": 0.3})
        callback._observe(step, {"reward": reward})
    assert callback.saturation.stop_reason()
    alone = SaturationCallback(stop=True, window=1, patience=3)
    for step, reward in enumerate(RISE[:8], 1):
        alone._observe(step, {"eval_reward": step / 10})
        alone._observe(step, {"reward": reward})
    assert not alone.saturation.stop_reason()


def test_sharded_weights_are_refused_for_rewards_that_read_the_policy():
    with pytest.raises(RunError, match="self_certainty reads the policy's distribution, which needs the whole weights"):
        TRLReward("self_certainty")(["a"] * 2, ["b"] * 2, [[1]] * 2, **caller(is_fsdp_enabled=True))


def test_it_says_where_it_works_and_what_it_takes():
    with pytest.raises(RunError, match="is called by TRL's GRPOTrainer"):
        TRLReward()(["a"], ["b"], [[1]])
    with pytest.raises(ConfigError, match=r"no reward 'majority'\. Did you mean"):
        TRLReward("majority")
    with pytest.raises(ConfigError, match="In the arguments of TRLReward: gate: Input should be 'none', 'boxed'"):
        TRLReward("verifiable", gate="thnk")
    with pytest.raises(ConfigError, match="A gate and options go with the name"):
        TRLReward(RewardConfig(), gate="think")


def play(callback, rewards, start=0, history=None, golds=None, scores=(), every=1):
    """Call a callback in the trainer's order: log, evaluate if due or asked for; returns the log and when it stopped.

    `scores` are held-out scores from their step on; `every` is the trainer's `eval_steps`, 0 for no evaluation at all.
    """
    state, control = TrainerState(log_history=list(history or [])), TrainerControl()
    args = SimpleNamespace(eval_strategy="steps" if every and scores else "no")
    callback.on_train_begin(args, state, control)
    for step, reward in enumerate(rewards, start + 1):
        state.global_step = step
        control.should_evaluate = bool(every and scores) and step % every == 0
        line = {"loss": 0.0, "reward": reward, **({"labels/gold_accuracy": golds[step - 1]} if golds else {})}
        state.log_history.append({**line, "step": step})
        callback.on_log(args, state, control, line)
        if control.should_evaluate:
            for name in ("eval_other_reward", "eval_reward"):  # two sets, the held-out one last
                value = 0.5 if "other" in name else max(((s, v) for s, v in scores if s <= step), default=(0, 0.0))[1]
                state.log_history.append({name: value, "step": step})
                callback.on_log(args, state, control, {name: value})
                callback.on_evaluate(args, state, control, metrics={name: value})
        if control.should_training_stop:
            assert control.should_save
            return state.log_history, step
        assert not control.should_save
    return state.log_history, None


RISE = [0.1, 0.3, 0.5, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_saturation_is_logged_and_gold_accuracy_stands_beside_it(caplog):
    golds = [0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    history, stopped = play(SaturationCallback(window=1, patience=3), RISE, golds=golds)
    assert stopped is None
    assert [line["saturation/t_sat"] for line in history] == [None] * 7 + [5] * 5
    assert [line["saturation/saturated"] for line in history] == [0.0] * 7 + [1.0] * 5
    said = [record.message for record in caplog.records]
    assert said == ["The train reward saturated at step 5 (now 0.90). Gold accuracy was 0.40 then and is 0.10 now."]


def test_it_stops_when_reward_and_held_out_score_are_flat():
    flat = SaturationCallback(stop=True, window=1, patience=3)
    assert play(flat, RISE)[1] == 8
    assert flat.stop_reason.startswith("The train reward saturated at step 5")
    assert play(SaturationCallback(stop=True, window=1, patience=3), RISE, scores=[(2, 0.1), (6, 0.2)])[1] == 9
    assert play(SaturationCallback(stop=True, window=1, patience=3, held_out="eval_x"), RISE, scores=[(6, 0.2)])[1] == 8
    assert play(SaturationCallback(stop=True, window=1, patience=3, min_reward=0.95), RISE)[1] is None


@pytest.mark.parametrize(("every", "end"), [(8, 11), (100, 11), (2, 11), (0, 8)])
def test_an_evaluation_comes_before_the_stop_is_decided(every, end):
    """The reward is flat from step 5 on; the held-out score rises at step 8, where the run would stop."""
    callback = SaturationCallback(stop=True, window=1, patience=3)
    history, stopped = play(callback, RISE, scores=[(1, 0.1), (8, 0.2)], every=every)
    assert stopped == end
    assert callback.stopped_at == end
    evaluated = [line["step"] for line in history if "eval_reward" in line]
    assert (8 in evaluated) == bool(every)


def test_a_resumed_run_decides_as_an_unbroken_one():
    history, _ = play(SaturationCallback(stop=True, window=2, patience=4), RISE[:6])
    _, unbroken = play(SaturationCallback(stop=True, window=2, patience=4), RISE)
    _, resumed = play(SaturationCallback(stop=True, window=2, patience=4), RISE[6:], start=6, history=history)
    assert resumed == unbroken is not None


def test_a_stop_ends_real_training_saves_and_stays(toy_model, data, tmp_path, caplog):
    def half(completions, **_):
        """A mean reward that never moves, over groups that always train, whatever is sampled."""
        return [float(i % 2) for i in range(len(completions))]

    def trained(resume=None, **settings):
        trainer = trainer_for(toy_model, tmp_path, half, rows_of(data), max_steps=20, learning_rate=1e-4)
        trainer.add_callback(SaturationCallback(stop=True, window=20, **settings))
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    trainer = trained(patience=2)
    stopped = trainer.state.global_step
    assert 3 <= stopped < 20
    assert math.isclose(stopped - 2, trainer.state.log_history[-2]["saturation/t_sat"])
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{stopped}"]
    checkpoint = tmp_path / f"checkpoint-{stopped}"
    caplog.clear()
    again = trained(str(checkpoint), patience=2)
    assert f"The run was stopped at step {stopped}, so nothing is trained." in caplog.text
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [checkpoint.name]
    assert [line for line in again.state.log_history if line["step"] > stopped and "loss" in line] == []
    longer = trained(str(checkpoint), patience=8)
    assert longer.state.global_step > stopped + 1
    assert any(not torch.equal(w, longer.model.state_dict()[n]) for n, w in trainer.model.state_dict().items())


def test_the_callback_may_be_added_to_a_run_that_is_resumed(toy_model, data, tmp_path):
    def trained(steps, *callbacks, resume=None):
        settings = {"max_steps": steps, "save_strategy": "steps", "save_steps": 1}
        trainer = trainer_for(toy_model, tmp_path, TRLReward("format_only"), rows_of(data), **settings)
        for callback in callbacks:
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=resume)

    trained(1)
    trained(2, SaturationCallback(stop=True), resume=str(tmp_path / "checkpoint-1"))
    state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["SaturationCallback"]["attributes"]["stopped_at"] is None
