"""The constant baselines of appendix E against losses computed by hand: advantage r - b, no std, no 1/|o|."""

from __future__ import annotations

import copy

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

from .test_grpo_objective import Parity, hand_adamw, logprobs

P, G, STEPS, LIMIT = 4, 4, 2, 24


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


def train(folder, advantage):
    """Two steps through TRL; per step what was drawn, the weights before, and the log line."""
    config = TrainConfig(
        run=folder / "run",
        model=ModelConfig(name=str(make_lab_model(folder / "model", 0))),
        optim=OptimConfig(lr=1e-3, weight_decay=0.1, max_grad_norm=0.05),
        advantage=advantage,
        beta=0.5,
        steps=STEPS,
        prompts_per_step=P,
        group_size=G,
        micro_batch=8,
        max_new_tokens=LIMIT,
    )
    torch.set_num_threads(1)
    with quiet_libraries():
        model, _ = load_model_and_tokenizer(config.model.name, "float32")
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
            Sampling(1.0, LIMIT, 64),
            G,
            None,
            seed=0,
            sink=lambda d: (drawn.append(d), before.append(copy.deepcopy(model.state_dict()))),
        )
        trainer = make_trainer(config, plan_batches(config, 1), model, tokenizer, rollouts, folder / "checkpoints")
        trainer.train()
        reference, _ = load_model_and_tokenizer(config.model.name, "float32")
    logs = [line for line in trainer.state.log_history if "loss" in line]
    return config, drawn, [*before, copy.deepcopy(model.state_dict())], logs, reference


@pytest.mark.parametrize(("advantage", "b"), [("grpo_pos", 0.0), ("grpo_neg", 1.0)])
def test_losses_and_updates_are_those_of_a_constant_baseline(tmp_path, advantage, b):
    config, drawn, weights, logs, reference = train(tmp_path, advantage)
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
