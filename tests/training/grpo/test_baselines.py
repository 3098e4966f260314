"""The constant baselines of appendix E against losses computed by hand: advantage r - b, no std, no 1/|o|."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.training.updates import LIMIT, hand_adamw, logprobs, train

STEPS = 2


def hand_loss(model, reference, drawn, b, beta):
    """Mean over responses of the sum over tokens, for each token (r - b) rho - beta k3, as multiples of 1/LIMIT."""
    losses = []
    for group, rewards in zip(drawn.groups, drawn.rewards_PN, strict=True):
        for completion, reward in zip(group.completions, rewards, strict=True):
            advantage = 0.0 if reward is None else reward - b
            new = logprobs(model, group.prompt_ids, completion.token_ids)
            with torch.no_grad():
                d = logprobs(reference, group.prompt_ids, completion.token_ids)
            rho = torch.exp(new - new.detach())
            k3 = torch.exp(d - new) - (d - new) - 1
            losses.append((-rho * advantage + beta * k3).sum())
    return torch.stack(losses).mean() / LIMIT


@pytest.mark.parametrize(("advantage", "b"), [("grpo_pos", 0.0), ("grpo_neg", 1.0)])
def test_losses_and_updates_are_those_of_a_constant_baseline(tmp_path, advantage, b):
    config, drawn, weights, logs, reference = train(tmp_path, STEPS, advantage=advantage)
    model = copy.deepcopy(reference)
    mine = {name: w.clone() for name, w in weights[0].items()}
    moments: dict = {}
    lengths = {len(c.token_ids) for step in drawn for group in step.groups for c in group.completions}
    assert len(lengths) > 3  # else a length term would not show
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        model.zero_grad()
        loss = hand_loss(model, reference, drawn[step], b, config.beta)
        loss.backward()
        assert logs[step]["loss"] == pytest.approx(loss.item(), abs=2e-6)
        gradients = {name: p.grad for name, p in model.named_parameters()}
        norm = hand_adamw(mine, gradients, moments, step + 1, config)
        assert logs[step]["grad_norm"] == pytest.approx(norm, rel=1e-3)
        gap = max(float((weights[step + 1][n] - mine[n]).abs().max()) for n in mine)
        assert gap < 1e-2 * config.optim.lr
        other = hand_loss(model, reference, drawn[step], 1 - b, config.beta)
        assert abs(other.item() - loss.item()) > 1e-2  # the two baselines are told apart
