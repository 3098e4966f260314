"""Optimisers and learning-rate schedules of continual pre-training and supervised fine-tuning."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from presat.config.schema import SupervisedOptimConfig
from presat.errors import ConfigError

_BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.\d+\.")
"""In the name of a weight that belongs to a transformer block."""


_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's iteration (Keller Jordan et al., 2024), as torch's own has them."""
_ITERATIONS = 5


def orthogonalised(matrices_NRC: torch.Tensor) -> torch.Tensor:
    """Return N matrices of R rows and C columns with all singular values moved near 1, by Muon's iteration.

    In float32 and N at a time. torch's own takes them one by one in bfloat16, which is slower where the processor has
    no units for it, and which every kind of processor rounds in its own way.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x_NRC = matrices_NRC.mT if tall else matrices_NRC
    x_NRC = x_NRC / x_NRC.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram_NRR = x_NRC @ x_NRC.mT
        update_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, update_NRR, x_NRC, beta=a)
    return x_NRC.mT if tall else x_NRC


class Muon(torch.optim.Optimizer):
    """Muon over matrices, those of one shape side by side; the update is torch's (Nesterov momentum 0.95).

    Args:
        matrices: the weights.
        lr: learning rate; a matrix of R rows and C columns takes it times sqrt(max(1, R / C)).
        weight_decay: decoupled.
    """

    momentum = 0.95

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for (rows, columns), weights in by_shape.items():
                moved_NRC = orthogonalised(torch.stack([self._direction(weight) for weight in weights]))
                rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
                for weight, moved in zip(weights, moved_NRC, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(moved, alpha=-rate)
        return loss

    def _direction(self, weight: nn.Parameter) -> torch.Tensor:
        """Return the gradient looked at from where the momentum will have moved to, float32."""
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None  # noqa: S101  (the caller has looked)
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - self.momentum)
        return gradient.lerp(buffer, self.momentum).float()


class MuonAdamW(torch.optim.Optimizer):
    """Muon on the matrices of the transformer blocks and AdamW on everything else, as one optimizer.

    Muon orthogonalises each matrix's momentum, which is what lets the lab's small models find recall in a few hundred
    steps; embeddings, the output head and norms are not such matrices and take AdamW.

    Args:
        matrices: the weights that take Muon, with `weight_decay`.
        others: AdamW's parameter groups, as torch takes them.
        lr: learning rate of both.
        weight_decay: of the matrices.
    """

    def __init__(
        self, matrices: list[nn.Parameter], others: list[dict[str, Any]], lr: float, weight_decay: float
    ) -> None:
        self.muon = Muon(matrices, lr, weight_decay)
        self.adamw = torch.optim.AdamW(others, lr=lr, fused=True)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter; both halves read the learning rates of the shared parameter groups."""
        loss = closure() if closure is not None else None
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both halves."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both halves and share their parameter groups again."""
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]


def make_optimizer(model: nn.Module, config: SupervisedOptimConfig) -> torch.optim.Optimizer:
    """Return the optimizer `config` names over the trainable parameters of `model`.

    As is usual, vectors (norms and biases) take no weight decay.

    Raises:
        ConfigError: Muon for a model whose transformer blocks have no matrices to train.
    """
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    matrices = {name: weight for name, weight in trainable.items() if weight.ndim == 2 and _BLOCK.search(name)}
    muon = config.optimizer == "muon"
    if muon and not matrices:
        raise ConfigError("This model has no trainable matrices in transformer blocks: use `optim.optimizer: adamw`.")
    others = [weight for name, weight in trainable.items() if not (muon and name in matrices)]
    groups = [
        {"params": [weight for weight in others if weight.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [weight for weight in others if weight.ndim < 2], "weight_decay": 0.0},
    ]
    if muon:
        return MuonAdamW(list(matrices.values()), groups, config.lr, config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def lr_factor(step: int, steps: int, config: SupervisedOptimConfig) -> float:
    """Return the share of the peak learning rate used in update `step` (0-based) of `steps`."""
    warm = round(config.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warm) / max(1, steps - warm))
    shape = 1.0 - done if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return config.final_lr + (1.0 - config.final_lr) * shape


def make_schedule(optimizer: torch.optim.Optimizer, steps: int, config: SupervisedOptimConfig) -> LambdaLR:
    """Return the learning-rate schedule for a run of `steps` updates."""
    return LambdaLR(optimizer, lambda step: lr_factor(step, steps, config))
