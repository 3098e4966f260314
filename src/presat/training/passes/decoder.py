"""A Llama-type model over packed tokens, with the model's own weights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)
from torch import nn

from presat.rollouts import small
from presat.training.passes.attention import Spread, attend, turn
from presat.training.passes.head import token_logprobs
from presat.training.passes.layout import Layout
from presat.training.passes.weights import embed, linears, norm


class Fit:
    """Whether a trainer may send a batch through these passes instead of through a model.

    Models are looked at once, when training has begun: what they are made of does not change then.

    Args:
        trainer: whose models and batches they are.
    """

    def __init__(self, trainer: Any) -> None:
        accelerator = trainer.accelerator
        alone = accelerator.num_processes == 1 and accelerator.mixed_precision == "no"
        self._may = alone and not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)
        self._known: dict[int, tuple[Any, bool]] = {}

    def __call__(self, model: Any, rows: int, queries: int, keys: int) -> bool:
        """Whether a batch may.

        Args:
            model: the model.
            rows: rows at once.
            queries: most tokens of a row that ask.
            keys: most tokens that one of them sees.
        """
        if id(model) not in self._known:
            self._known[id(model)] = (model, self._may and not unsupported(model))
        fitting = self._known[id(model)][1]
        return fitting and rows * queries * keys * model.config.num_attention_heads <= _SHARES


def unsupported(model: Any) -> str:
    """Return why these passes cannot take `model`, or an empty string when they can."""
    if not type(model).__module__.startswith("transformers."):
        return f"{type(model).__name__} is no class of transformers"
    if why := small.unsupported(model):
        return why
    if getattr(model.config, "attention_dropout", 0.0):
        return "its attention has dropout"
    if model.is_gradient_checkpointing:
        return "it computes activations again in the backward pass"
    if any(weight.dtype != torch.float32 or weight.device.type != "cpu" for weight in model.parameters()):
        return "its weights are not all float32 on the CPU"
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if model.lm_head.bias is not None or any(type(layer) is not nn.Linear for layer in linear):
        return "some of its layers are not plain matrices"
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    return "hooks wait for its layers" if hooked else ""


_SHARES = 2**23
"""Most numbers that attention keeps of a layer: 32 MiB."""


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_TI: torch.Tensor, up_TI: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate_TI, up_TI)
        return F.silu(gate_TI).mul_(up_TI)

    @staticmethod
    def backward(ctx: Any, gradient_TI: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        gate_TI, up_TI = ctx.saved_tensors
        dgate_TI = torch.ops.aten.silu_backward(gradient_TI * up_TI, gate_TI)
        return dgate_TI, F.silu(gate_TI).mul_(gradient_TI)


def hidden_states(model: Any, layout: Layout) -> torch.Tensor:
    """Return what the head reads, [T, E]."""
    core, config = model.model, model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    angles_TF = layout.positions_T[:, None].float() * core.rotary_emb.inv_freq.float()
    factor = core.rotary_emb.attention_scaling
    cos_T1F, sin_T1F = (angles_TF.cos() * factor)[:, None], (angles_TF.sin() * factor)[:, None]
    spreads = tuple(Spread.of(read, config.num_attention_heads, config.num_key_value_heads) for read in layout.reads)
    x_TE = embed(layout.ids_T, core.embed_tokens)
    for block in core.layers:
        own, mlp = block.self_attn, block.mlp
        q, k, v = linears(norm(x_TE, block.input_layernorm), own.q_proj, own.k_proj, own.v_proj)
        q_THD, k_TKD, v_TKD = (part.view(len(part), -1, size) for part in (q, k, v))
        found = attend(turn(q_THD, cos_T1F, sin_T1F), turn(k_TKD, cos_T1F, sin_T1F), v_TKD, spreads)
        x_TE = x_TE + linears(found, own.o_proj)[0]
        gate, up = linears(norm(x_TE, block.post_attention_layernorm), mlp.gate_proj, mlp.up_proj)
        x_TE = x_TE + linears(_Gated.apply(gate, up), mlp.down_proj)[0]
    return norm(x_TE, core.norm)


def layout_logprobs(
    model: Any, layout: Layout, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return of each of the layout's predicted tokens what `head.token_logprobs` does, [N]."""
    hidden_NE = hidden_states(model, layout)[layout.asked_N]
    found = token_logprobs(hidden_NE, model.lm_head.weight, layout.wanted_N, temperature)
    logprobs_N, entropies_N, first_N = (part[: len(layout.rows)] for part in found)
    return logprobs_N, entropies_N, first_N
