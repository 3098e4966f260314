"""The update against the paper's section 3, computed here by hand: advantages, ratio, k3 KL, 1/|o|, clipping, AdamW."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from tests.device import SLACK
from tests.training.updates import G, hand_adamw, logprobs, train

pytestmark = pytest.mark.device

STEPS = 3


def hand_advantages(rewards_G):
    """(r - mean) / (std + 1e-4) with the unbiased std, over the responses that have a reward; 0 for the others."""
    known = np.array([r for r in rewards_G if r is not None])
    if len(known) < 2:
        return [0.0] * len(rewards_G)
    std = math.sqrt(((known - known.mean()) ** 2).sum() / (len(known) - 1))
    return [0.0 if r is None else (r - known.mean()) / (std + 1e-4) for r in rewards_G]


def hand_loss(model, reference, drawn, config):
    """Section 3, one response after the other, without padding. Returns the loss and the mean k3 per token."""
    losses, kls = [], []
    for group, rewards in zip(drawn.groups, drawn.rewards_PN, strict=True):
        for completion, advantage in zip(group.completions, hand_advantages(rewards), strict=True):
            new = logprobs(model, group.prompt_ids, completion.token_ids)
            with torch.no_grad():
                d = logprobs(reference, group.prompt_ids, completion.token_ids)
            rho = torch.exp(new - new.detach())
            gain = torch.min(rho * advantage, rho.clamp(1 - config.epsilon, 1 + config.epsilon) * advantage)
            k3 = torch.exp(d - new) - (d - new) - 1
            losses.append((-gain + config.beta * k3).mean())
            kls.append(k3.detach())
    return torch.stack(losses).mean(), torch.cat(kls).mean()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three steps through TRL."""
    return train(tmp_path_factory.mktemp("objective"), STEPS)


def test_loss_and_kl_are_the_papers_at_every_step(trained):
    config, drawn, weights, logs, reference = trained
    model = copy.deepcopy(reference)
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        loss, kl = hand_loss(model, reference, drawn[step], config)
        assert logs[step]["loss"] == pytest.approx(loss.item(), abs=2e-6 * SLACK)
        assert logs[step]["kl"] == pytest.approx(kl.item(), rel=1e-4 * SLACK, abs=1e-6)
    assert logs[-1]["kl"] > 0.1  # the last step tests the KL term, the first only the advantage


def test_updates_are_adamw_on_the_hand_computed_gradient(trained):
    config, drawn, weights, logs, reference = trained
    model = copy.deepcopy(reference)
    mine = {name: w.clone() for name, w in weights[0].items()}
    moments: dict = {}
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        model.zero_grad()
        hand_loss(model, reference, drawn[step], config)[0].backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        norm = hand_adamw(mine, gradients, moments, step + 1, config)
        assert logs[step]["grad_norm"] == pytest.approx(norm, rel=1e-3)
        assert norm > config.optim.max_grad_norm  # clipping is at work
        change = max(float((weights[step + 1][n] - weights[step][n]).abs().max()) for n in mine)
        gap = max(float((weights[step + 1][n] - mine[n]).abs().max()) for n in mine)
        assert change > 5e-4
        assert gap < 1e-2 * SLACK * config.optim.lr


def test_the_policy_that_trains_is_the_one_that_sampled(trained):
    _, drawn, weights, logs, reference = trained
    model = copy.deepcopy(reference)
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        for group in drawn[step].groups:
            for c in group.completions:
                with torch.no_grad():
                    gap = logprobs(model, group.prompt_ids, c.token_ids) - torch.tensor(c.logprobs)
                assert gap.abs().max() < 1e-5 * SLACK
        assert all(logs[step][name] == 0.0 for name in ("clip_ratio/low_mean", "clip_ratio/high_mean"))


def test_missing_rewards_are_left_out_of_the_logged_mean(trained):
    _, drawn, _, logs, _ = trained
    for step in range(STEPS):
        known = [r for row in drawn[step].rewards_PN for r in row if r is not None]
        assert len(known) == 3 * G - 1
        assert logs[step]["rewards/parity/mean"] == pytest.approx(np.mean(known))
        assert logs[step]["reward"] == pytest.approx(np.mean(known))
