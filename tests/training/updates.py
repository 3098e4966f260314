"""What the tests of single updates share: a short run of which every step is kept, and AdamW by hand."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from presat.config.batches import plan_batches
from presat.config.schema import ModelConfig, OptimConfig, TrainConfig
from presat.models import load_model_and_tokenizer
from presat.models.lab import make_lab_model
from presat.models.libraries import quiet_libraries
from presat.rollouts import make_engine
from presat.tasks.lab import lab_problems
from presat.training.grpo.groups import GroupRollouts, StepRollouts
from presat.training.grpo.schedule import make_schedule
from presat.training.grpo.train import make_trainer
from presat.types import Sampling
from presat.verify import Verifier

P, G, LIMIT = 4, 4, 24


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


class Trained(NamedTuple):
    """A run: its configuration, what each step drew, the weights before each and at the end, its log, its reference."""

    config: TrainConfig
    drawn: list[StepRollouts]
    weights: list[dict[str, torch.Tensor]]
    logs: list[dict[str, float]]
    reference: Any


def train(folder, steps: int, **changes: Any) -> Trained:
    """Train a new lab model through TRL for some steps on the parity reward."""
    config = TrainConfig(
        run=folder / "run",
        model=ModelConfig(name=str(make_lab_model(folder / "model", 0))),
        optim=OptimConfig(lr=1e-3, weight_decay=0.1, max_grad_norm=0.05),
        beta=0.5,
        steps=steps,
        prompts_per_step=P,
        group_size=G,
        micro_batch=8,
        max_new_tokens=LIMIT,
        **changes,
    )
    torch.set_num_threads(1)
    with quiet_libraries():
        model, _ = load_model_and_tokenizer(config.model.name, "float32")
        with torch.no_grad():  # a peaked start, so that responses end at different lengths
            model.lm_head.weight.mul_(8)
        model.save_pretrained(folder / "model")
        model, tokenizer = load_model_and_tokenizer(config.model.name, "float32")
        drawn: list[StepRollouts] = []
        before: list[dict[str, torch.Tensor]] = []
        rollouts = GroupRollouts(
            lab_problems("chains", P, seed=1),
            make_schedule(P, steps, P, 0),
            make_engine(model, tokenizer),
            Verifier("boxed"),
            Parity(),
            Sampling(1.0, LIMIT, 64),
            G,
            None,
            seed=0,
            sink=lambda d: (drawn.append(d), before.append(state(model))),
        )
        trainer = make_trainer(config, plan_batches(config, 1), model, tokenizer, rollouts, folder / "checkpoints")
        trainer.train()
        reference, _ = load_model_and_tokenizer(config.model.name, "float32")
    logs = [line for line in trainer.state.log_history if "loss" in line]
    return Trained(config, drawn, [*before, state(model)], logs, reference)


def state(model) -> dict[str, torch.Tensor]:
    """The weights as they are now, on the CPU, where everything is computed by hand."""
    return {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}


def logprobs(model, prompt, response):
    """Log-probability of each token of a response, without padding."""
    ids = torch.tensor([[*prompt, *response]])
    out = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return out.gather(1, ids[0, len(prompt) :, None])[:, 0]


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
