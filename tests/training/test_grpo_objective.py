"""The update against METHOD section 3, computed here by hand: advantages, ratio, k3 KL, 1/|o|, clipping, AdamW."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from presat.config.schema import ModelConfig, OptimConfig, TrainConfig
from presat.models.lab import make_lab_model
from presat.rollouts import make_engine
from presat.tasks.lab import lab_problems
from presat.training.groups import GroupRollouts
from presat.training.grpo import load_model_and_tokenizer, make_trainer
from presat.training.libraries import quiet_libraries
from presat.training.schedule import make_schedule, plan_batches
from presat.types import Sampling
from presat.verify import Verifier

P, G, STEPS = 4, 4, 3


class Parity:
    """A reward with every kind of group: mixed, all equal, one missing, all missing."""

    name = "parity"

    def __call__(self, group, scores):
        rewards = [float(sum(c.token_ids) % 2) for c in group.completions]
        kind = int(group.problem.id.rpartition("-")[2]) % 4
        if kind == 1:
            return [1.0] * len(rewards)
        if kind == 2:
            return [None, *rewards[1:]]
        return [None] * len(rewards) if kind == 3 else rewards


def hand_advantages(rewards_G):
    """(r - mean) / (std + 1e-4) with the unbiased std, over the responses that have a reward; 0 for the others."""
    known = np.array([r for r in rewards_G if r is not None])
    if len(known) < 2:
        return [0.0] * len(rewards_G)
    std = math.sqrt(((known - known.mean()) ** 2).sum() / (len(known) - 1))
    return [0.0 if r is None else (r - known.mean()) / (std + 1e-4) for r in rewards_G]


def logprobs(model, prompt, response):
    ids = torch.tensor([[*prompt, *response]])
    out = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return out.gather(1, ids[0, len(prompt) :, None])[:, 0]


def hand_loss(model, reference, drawn, config):
    """METHOD section 3, one response after the other, without padding. Returns the loss and the mean k3 per token."""
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


def hand_adamw(weights, gradients, moments, step, config):
    """Clip to the global norm, then one AdamW update with decoupled decay (not on norms)."""
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients.values()))
    scale = min(1.0, config.optim.max_grad_norm / (norm + 1e-6))
    for name, w in weights.items():
        g = gradients[name] * scale
        m, v = moments.setdefault(name, (torch.zeros_like(w), torch.zeros_like(w)))
        m.mul_(0.9).add_(0.1 * g)
        v.mul_(0.999).add_(0.001 * g * g)
        decay = 0.0 if "norm" in name else config.optim.weight_decay
        update = (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        w.mul_(1 - config.optim.lr * decay).sub_(config.optim.lr * update)
    return norm


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three steps through TRL; per step what was drawn, the weights before, and the log line."""
    folder = tmp_path_factory.mktemp("objective")
    config = TrainConfig(
        run=folder / "run",
        model=ModelConfig(name=str(make_lab_model(folder / "model", 0))),
        optim=OptimConfig(lr=1e-3, weight_decay=0.1, max_grad_norm=0.05),
        beta=0.5,
        steps=STEPS,
        prompts_per_step=P,
        group_size=G,
        micro_batch=8,
        max_new_tokens=24,
    )
    torch.set_num_threads(1)
    with quiet_libraries():
        model, tokenizer = load_model_and_tokenizer(config.model.name, "float32")
        with torch.no_grad():  # a peaked start, so that responses end at different lengths
            model.lm_head.weight.mul_(8)
        model.save_pretrained(folder / "model")
        model, tokenizer = load_model_and_tokenizer(config.model.name, "float32")
        drawn, before = [], []
        rollouts = GroupRollouts(
            lab_problems("chains", P, seed=1),
            make_schedule(P, STEPS, P, 0),
            make_engine(model, tokenizer),
            Verifier("boxed"),
            Parity(),
            Sampling(1.0, config.max_new_tokens, 64),
            G,
            G,
            seed=0,
            sink=lambda d: (drawn.append(d), before.append(copy.deepcopy(model.state_dict()))),
        )
        trainer = make_trainer(config, plan_batches(config, 1), model, tokenizer, rollouts, folder / "checkpoints")
        trainer.train()
        reference, _ = load_model_and_tokenizer(config.model.name, "float32")
    logs = [line for line in trainer.state.log_history if "loss" in line]
    return config, drawn, [*before, copy.deepcopy(model.state_dict())], logs, reference


def test_loss_and_kl_are_the_papers_at_every_step(trained):
    config, drawn, weights, logs, reference = trained
    model = copy.deepcopy(reference)
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        loss, kl = hand_loss(model, reference, drawn[step], config)
        assert logs[step]["loss"] == pytest.approx(loss.item(), abs=2e-6)
        # TRL logs the mean over micro-batches of their token means; here it is the mean over all tokens
        assert logs[step]["kl"] == pytest.approx(kl.item(), rel=0.05, abs=1e-6)
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
        assert gap < 1e-2 * config.optim.lr


def test_the_policy_that_trains_is_the_one_that_sampled(trained):
    _, drawn, weights, logs, reference = trained
    model = copy.deepcopy(reference)
    for step in range(STEPS):
        model.load_state_dict(weights[step])
        for group in drawn[step].groups:
            for c in group.completions:
                with torch.no_grad():
                    gap = logprobs(model, group.prompt_ids, c.token_ids) - torch.tensor(c.logprobs)
                assert gap.abs().max() < 1e-5
        assert all(logs[step][name] == 0.0 for name in ("clip_ratio/low_mean", "clip_ratio/high_mean"))


def test_missing_rewards_are_left_out_of_the_logged_mean(trained):
    _, drawn, _, logs, _ = trained
    for step in range(STEPS):
        known = [r for row in drawn[step].rewards_PN for r in row if r is not None]
        assert len(known) == 3 * G - 1
        assert logs[step]["rewards/parity/mean"] == pytest.approx(np.mean(known))
        assert logs[step]["reward"] == pytest.approx(np.mean(known))
