"""`presat train` on two processes with `engine: vllm`, each with a vLLM of its own, against one process."""

from __future__ import annotations

import polars as pl
import pytest
from tests.toy import toy
from tests.training.runs import largest_gap, lines, on_two_processes
from tests.training.test_sharded import run_split

from presat.config.schema import RewardConfig
from presat.training import run_train

pytest.importorskip("vllm")


def config(model, run):
    """Three steps under a reward that reads every token's distribution, so that equal rewards mean equal rollouts."""
    settings = toy(model, run)
    settings.engine, settings.steps, settings.save_every = "vllm", 3, 0
    settings.reward = RewardConfig(source="self_certainty")
    return settings


@pytest.fixture(scope="module")
def one(toy_model, tmp_path_factory):
    settings = config(toy_model, tmp_path_factory.mktemp("one") / "run")
    run_train(settings, quiet=True)
    return settings.run


def responses(run):
    files = sorted((run / "rollouts").rglob("*.parquet"))
    rows = pl.concat([pl.read_parquet(file) for file in files], how="diagonal")
    return rows.sort("set", "step", "problem_id", "sample", "text")["text"].to_list()


def assert_same(two, one):
    """Responses, rewards and evaluations are one process's; weights up to rounding."""
    assert responses(two) == responses(one)
    assert len(lines(two)) == len(lines(one)) == 4
    for ours, theirs in zip(lines(two), lines(one), strict=True):
        for name in ("reward", "grad_norm", "eval/held_out/avg@4", "eval/held_out/length"):
            assert ours.get(name) == pytest.approx(theirs.get(name), abs=1e-4) if name in theirs else name not in ours
    assert largest_gap(two, one) < 1e-4


def test_each_process_samples_its_share_as_one_process_samples_all(one, toy_model, tmp_path):
    settings = config(toy_model, tmp_path / "two")
    on_two_processes({"train": settings}, tmp_path)
    assert_same(settings.run, one)


@pytest.mark.slow  # `make test-vllm` has it
def test_weights_split_by_fsdp_are_gathered_for_vllm(one, toy_model, tmp_path):
    settings = config(toy_model, tmp_path / "two")
    run_split("train", settings, tmp_path)
    assert_same(settings.run, one)
