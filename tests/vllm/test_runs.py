"""Whole verbs with `engine: vllm` beside the same with our own engines: other draws of the same numbers."""

from __future__ import annotations

import json
import re
import shutil

import polars as pl
import pytest
from tests.toy import toy
from tests.training.runs import lines

from presat.config.schema import (
    EvalConfig,
    FilterConfig,
    ModelConfig,
    OptimConfig,
    RewardConfig,
    TaskConfig,
    TrainConfig,
)
from presat.evaluation import run_eval, run_filter
from presat.training import run_train

pytest.importorskip("vllm")

CHAINS = TaskConfig(source="lab/chains", count=12)


def small_answer(group, scores):
    """1 for an answer below 10: half of the untrained model's."""
    found = [re.search(r"\\boxed\{ (\d+) \}", completion.text) for completion in group.completions]
    return [float(match is not None and int(match[1]) < 10) for match in found]


@pytest.fixture(scope="module")
def curves(toy_model, tmp_path_factory):
    """The run directory and the rewards of ten steps, by engine; 128 responses a step."""
    found = {}
    for engine in ("vllm", "small"):
        config = toy(toy_model, tmp_path_factory.mktemp("runs") / engine)
        config.engine, config.steps = engine, 10
        config.prompts_per_step, config.group_size, config.micro_batch = 16, 8, 128
        config.reward = RewardConfig(source=f"{__name__}:small_answer")
        config.optim.lr, config.eval.every = 2e-3, 10
        run_train(config, quiet=True)
        found[engine] = config.run, [row["reward"] for row in lines(config.run) if "reward" in row]
    return found


def test_rewards_of_a_run_are_the_small_engines_within_noise(curves):
    ours, theirs = curves["small"][1], curves["vllm"][1]
    assert len(ours) == len(theirs) == 10
    assert abs(ours[0] - theirs[0]) < 0.2  # one policy: 3.2 standard errors of a difference of two shares of 128
    for rewards in (ours, theirs):
        assert (
            sum(rewards[-3:]) / 3 - sum(rewards[:2]) / 2 > 0.2
        )  # it learns, so the weights it samples are the live ones
    assert abs(sum(ours) - sum(theirs)) / 10 < 0.1


def digits(group, scores):
    """Digits of a response, as a share of the twelve it has room for.

    Not as a share of its characters: of those a short answer is all digits too, and which of the two goals a run finds
    depends on what its first steps happen to draw.
    """
    return [sum(map(str.isdigit, c.text)) / 12 for c in group.completions]


@pytest.mark.slow  # a quarter of an hour, and in a process of its own: `make test-vllm` runs it last
@pytest.mark.timeout(3600)
def test_rewards_of_smollm_climb_as_the_small_engines(tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(json.dumps({"question": f"What is {i} + {i}?", "answer": "0"}) for i in (21, 34)))
    curves = {"vllm": [], "small": []}
    for seed in range(3):
        for engine, found in curves.items():
            config = TrainConfig(
                run=tmp_path / f"{engine}-{seed}", model=ModelConfig(name="smollm2-135m"),
                data=TaskConfig(source=str(questions)), reward=RewardConfig(source=f"{__name__}:digits"),
                optim=OptimConfig(lr=5e-5), beta=0.0, engine=engine, steps=6, prompts_per_step=2, group_size=8,
                micro_batch=16, max_new_tokens=12, max_prompt_tokens=120, save_every=0, threads=1, onednn=True,
                seed=seed,
            )  # fmt: skip
            run_train(config, quiet=True)
            shutil.rmtree(config.run / "checkpoints")
            found.append([row["reward"] for row in lines(config.run) if "reward" in row])
            print(engine, seed, [round(reward, 2) for reward in found[-1]])
    for curve in (*curves["vllm"], *curves["small"]):
        assert sum(curve[-2:]) / 2 - sum(curve[:2]) / 2 > 0.1  # it learns, so what is sampled are the live weights
    areas = {engine: [sum(curve) / len(curve) for curve in found] for engine, found in curves.items()}
    spread = max(max(found) - min(found) for found in areas.values())  # of one engine's seeds
    gap = abs(sum(areas["vllm"]) - sum(areas["small"])) / 3
    print(f"mean rewards {areas}, spread over seeds {spread:.3f}, gap between the engines {gap:.3f}")
    assert gap < 0.1


def test_a_checkpoint_evaluates_to_what_its_run_logged(curves, tmp_path):
    run, _ = curves["vllm"]
    config = EvalConfig(
        run=tmp_path / "eval",
        model=ModelConfig(name=str(run)),
        sets=[TaskConfig(source="lab/chains", name="held_out", count=5, options={"split": "held_out"})],
        samples=4,
        max_new_tokens=16,
        max_prompt_tokens=64,
        engine="vllm",
        threads=1,
    )
    run_eval(config, quiet=True)
    logged = next(row for row in reversed(lines(run)) if "eval/held_out/avg@4" in row)
    found = next(row for row in lines(config.run) if "eval/held_out/avg@4" in row)
    names = [name for name in logged if name.startswith("eval/held_out/")]
    assert len(names) > 5
    assert {name: found[name] for name in names} == {name: logged[name] for name in names}


def test_greedy_evaluation_equals_the_small_engines(toy_model, tmp_path):
    rows = {}
    for engine in ("vllm", "small"):
        config = EvalConfig(
            run=tmp_path / engine, model=ModelConfig(name=str(toy_model)), sets=[CHAINS], samples=16, engine=engine,
            max_new_tokens=16, max_prompt_tokens=64, threads=1,
        )  # fmt: skip
        run_eval(config, quiet=True)
        row = lines(config.run)[-1]
        rows[engine] = {name.rpartition("/")[2]: value for name, value in row.items() if name.startswith("eval/")}
    assert rows["vllm"].keys() == rows["small"].keys()
    assert rows["vllm"]["greedy"] == rows["small"]["greedy"]
    assert abs(rows["vllm"]["length"] - rows["small"]["length"]) < 1.5


def test_data_filter_samples_through_vllm(toy_model, tmp_path):
    config = FilterConfig(
        run=tmp_path / "filter", out=tmp_path / "kept.parquet", data=CHAINS, model=ModelConfig(name=str(toy_model)),
        samples=24, engine="vllm", max_new_tokens=16, max_prompt_tokens=64, chunk=5, threads=1,
    )  # fmt: skip
    found = run_filter(config, quiet=True)
    assert found.problems == sum(found.histogram) == 12
    assert found.kept == len(pl.read_parquet(config.out)) > 0
    again = config.model_copy(update={"run": tmp_path / "again", "chunk": 12})
    assert run_filter(again, quiet=True).histogram == found.histogram
    assert json.loads((config.run / "samples.json").read_text())["samples"] == 24
