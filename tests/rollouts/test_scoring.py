"""Log-probabilities of given texts against the model's own forward pass, one text at a time."""

from __future__ import annotations

import random

import pytest
import torch
from tests.device import DEVICE, SLACK
from tests.rollouts.conftest import build

from presat.errors import ModelError, RunError
from presat.rollouts import make_engine, scoring
from presat.rollouts.scoring import Branch, Tree

pytestmark = pytest.mark.device


def some_trees(tokenizer, count=7):
    rng = random.Random(1)

    def some(least, most):
        return tuple(rng.randrange(5, len(tokenizer)) for _ in range(rng.randint(least, most)))

    trees = []
    for index in range(count):
        trunk = some(4, 60)
        ways = [Branch(rng.randint(1, len(trunk)), some(2, 20), rng.randint(0, 1)) for _ in range(index)]
        trees.append(Tree(trunk, tuple(ways), rng.choice([None, 1, 3])))
    return trees


def alone(model, ids, start):
    """The model's own log-probabilities of one text, by a plain forward pass."""
    row = torch.tensor([ids], device=model.device)
    with torch.no_grad():
        logprobs = model(input_ids=row).logits.float().log_softmax(-1)
    return logprobs[0, start - 1 : -1].gather(1, row[0, start:, None])[:, 0].tolist()


def gap(model, trees, found):
    """The largest difference from plain forward passes over all trees."""
    gaps = [0.0]
    for tree, item in zip(trees, found, strict=True):
        for (ids, start), values in zip(tree.rows(), (item.trunk, *item.branches), strict=True):
            assert len(values) == len(ids) - start
            gaps += [abs(a - b) for a, b in zip(values, alone(model, ids, start), strict=True)]
    return max(gaps)


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_scores_are_those_of_a_plain_forward_pass(kind, model, tokenizer):
    trees = some_trees(tokenizer)
    assert scoring.fits(model)
    assert gap(model, trees, make_engine(model, tokenizer, kind).score(trees)) < 2e-5 * SLACK


def test_a_shared_trunk_changes_nothing_and_is_read_once(llama, tokenizer, monkeypatch):
    trees, places = some_trees(tokenizer), []
    forward = llama.forward

    def counting(*args, **kwargs):
        places.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    with torch.no_grad():
        monkeypatch.setattr(llama, "forward", counting)
        shared = scoring.score_trees(llama, trees, 1)
        together = sum(places)
        places.clear()
        apart = scoring.score_trees(llama, trees, 1, shared=False)
    for one, other in zip(shared, apart, strict=True):
        assert one.trunk == pytest.approx(other.trunk, abs=2e-5 * SLACK)
        for a, b in zip(one.branches, other.branches, strict=True):
            assert a == pytest.approx(b, abs=2e-5 * SLACK)
    assert together == sum(tree.places for tree in trees) < 0.7 * sum(places)


@pytest.mark.parametrize("limit", [None, 2000])
def test_batches_and_their_order_change_nothing(limit, llama, tokenizer, monkeypatch):
    trees = some_trees(tokenizer, 9)
    whole = make_engine(llama, tokenizer).score(trees)
    if limit:
        monkeypatch.setattr(scoring, "MAX_LOGITS", limit)
    pieces = make_engine(llama, tokenizer, rows=2).score(trees[::-1])[::-1]
    for one, other in zip(whole, pieces, strict=True):
        assert one.trunk == pytest.approx(other.trunk, abs=2e-5 * SLACK)
        assert sum(one.branches, ()) == pytest.approx(sum(other.branches, ()), abs=2e-5 * SLACK)


def test_models_that_a_mask_does_not_fit_are_scored_all_the_same(tokenizer):
    from transformers import BloomConfig, BloomForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 32}
    windowed = MistralForCausalLM(
        MistralConfig(**size, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                      sliding_window=8)
    )  # fmt: skip
    linear = BloomForCausalLM(BloomConfig(**size, n_layer=2, n_head=2))
    trees = some_trees(tokenizer)
    for model in (windowed, linear):
        model = model.to(DEVICE).eval()
        assert not scoring.fits(model)
        assert gap(model, trees, make_engine(model, tokenizer, "transformers").score(trees)) < 2e-5 * SLACK


def test_other_architectures_share_too(tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=96)
    model = GPT2LMHeadModel(config).to(DEVICE).eval()
    assert scoring.fits(model)
    trees = some_trees(tokenizer)
    assert gap(model, trees, make_engine(model, tokenizer).score(trees)) < 2e-5 * SLACK
    with pytest.raises(ModelError, match="the texts to score take 97"):
        make_engine(model, tokenizer).score([Tree((5,) * 97, (), 1)])


def test_broken_weights_are_said_and_training_mode_is_kept(tokenizer):
    model = build("llama", tokenizer).train()
    engine = make_engine(model, tokenizer)
    assert engine.score([]) == []
    engine.score(some_trees(tokenizer, 2))
    assert model.training
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(RunError, match="no numbers"):
        engine.score(some_trees(tokenizer, 2))
