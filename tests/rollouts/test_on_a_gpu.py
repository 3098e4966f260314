"""Sampling and scoring touch no CPU tensor where the model is on a GPU, as far as a pretended one can tell."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.pretend_gpu import GPU, OnGpu, PretendGpu, move
from tests.rollouts.conftest import build

from presat.config.schema import EvalConfig, LoraConfig, ModelConfig, VerifyConfig
from presat.evaluation.solve import solve_counts
from presat.models.adapters import peft_config
from presat.models.examples import row
from presat.models.lab import recall_accuracy
from presat.rewards import Statistic
from presat.rewards.policy import PolicyScorer
from presat.rollouts import make_engine, seed_for
from presat.rollouts.opening import open_engine
from presat.rollouts.weights import fingerprint, save_weights, whole_weights
from presat.training.supervised.fit import bits_per_token
from presat.types import Sampling

SEEDS = [seed_for(1, i) for i in range(5)]


@pytest.fixture(autouse=True)
def no_inference_mode(monkeypatch):
    """Tensors that are wrapped cannot be made under it."""
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)


def tokens(groups):
    return [[c.token_ids for c in group.completions] for group in groups]


def test_the_pretended_gpu_refuses_what_a_gpu_refuses():
    there, here = OnGpu(torch.ones(3)), torch.ones(3)
    with PretendGpu():
        with pytest.raises(RuntimeError, match="same device"):
            _ = there + here
        with pytest.raises(AssertionError, match="indexed"):
            _ = here[OnGpu(torch.tensor([0, 1]))]
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        assert (there + here.to(GPU)).cpu().tolist() == [2, 2, 2]
        assert there[torch.tensor([0, 1])].device == GPU
        assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]
        assert torch.arange(3, device=GPU).device == GPU


@pytest.mark.parametrize(
    ("shape", "kind", "temperature"),
    [("qwen2", "small", 1.0), ("llama-gqa", "small", 1.0), ("llama", "small", 0.0), ("llama", "transformers", 1.0)],
)
def test_an_engine_draws_there_what_it_draws_here(shape, kind, temperature, tokenizer, problems, monkeypatch):
    monkeypatch.setattr("presat.rollouts.small._GROWTH", 4)  # so that few tokens see the cache grow
    sampling = Sampling(temperature, 10, 64)
    model = build(shape, tokenizer)
    expected = make_engine(model, tokenizer, kind).generate(problems, 4, sampling, SEEDS)
    move(model)
    with PretendGpu():
        found = make_engine(model, tokenizer, kind).generate(problems, 4, sampling, SEEDS)
    assert tokens(found) == tokens(expected)
    assert temperature == 0.0 or len({len(c.token_ids) for group in found for c in group.completions}) > 1


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_adapters_are_sampled_there(kind, tokenizer, problems):
    import peft

    model = build("llama", tokenizer)
    wrapped = peft.get_peft_model(model, peft_config(model, LoraConfig(rank=2)))
    move(wrapped)
    with PretendGpu():
        groups = make_engine(model, tokenizer, kind).generate(problems, 2, Sampling(1.0, 3, 64), SEEDS)
        assert len(fingerprint(whole_weights(model))) > 10
    assert len(groups) == len(problems)


def test_statistics_weights_and_measures_are_computed_there(llama, tokenizer, problems, tmp_path):
    groups = make_engine(llama, tokenizer).generate(problems[:2], 2, Sampling(1.0, 6, 64), SEEDS[:2])
    needs = [Statistic("self_certainty"), Statistic("entropy", 0.5)]
    expected = PolicyScorer(llama)(groups, needs)
    rows = [row(group.prompt_ids, group.completions[0].token_ids) for group in groups]
    measured = bits_per_token(llama, rows, 0, 2), recall_accuracy(llama, tokenizer, count=2)
    moved = move(copy.deepcopy(llama))
    with PretendGpu():
        for max_logits in (2**25, 100):
            found = PolicyScorer(moved, max_logits=max_logits)(groups, needs)
            for ours, theirs in zip(found, expected, strict=True):
                for one, other in zip(ours.completions, theirs.completions, strict=True):
                    assert one.stats == pytest.approx(other.stats, rel=1e-5)
        again = bits_per_token(moved, rows, 0, 2), recall_accuracy(moved, tokenizer, count=2)
        assert again == pytest.approx(measured)
        assert fingerprint(whole_weights(moved)) == fingerprint(whole_weights(llama))
        save_weights(whole_weights(moved), tmp_path)


def test_verbs_that_sample_move_the_model_to_the_gpu(toy_model, monkeypatch):
    moves = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *where: (moves.append(where), self)[1])
    open_engine(EvalConfig(model=ModelConfig(name=str(toy_model))), str(toy_model))
    assert moves == [("cuda",)]
    solve_counts(ModelConfig(name=str(toy_model)), [], 1, Sampling(1.0, 4, 64), 0, VerifyConfig())
    assert moves == [("cuda",)] * 2
