"""A Llama-type model over packed tokens, with the model's own weights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)
from torch import nn

from presat.rollouts import small
from presat.training.passes.attention import attend, turn
from presat.training.passes.head import token_logprobs
from presat.training.passes.layout import Layout
from presat.training.passes.weights import embed, linears, norm


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
    x_TE = embed(layout.ids_T, core.embed_tokens)
    for block in core.layers:
        own, mlp = block.self_attn, block.mlp
        q, k, v = linears(norm(x_TE, block.input_layernorm), own.q_proj, own.k_proj, own.v_proj)
        q_THD, k_TKD, v_TKD = (part.view(len(part), -1, size) for part in (q, k, v))
        found = attend(turn(q_THD, cos_T1F, sin_T1F), turn(k_TKD, cos_T1F, sin_T1F), v_TKD, layout.reads)
        x_TE = x_TE + linears(found, own.o_proj)[0]
        gate, up = linears(norm(x_TE, block.post_attention_layernorm), mlp.gate_proj, mlp.up_proj)
        x_TE = x_TE + linears(_Gated.apply(gate, up), mlp.down_proj)[0]
    return norm(x_TE, core.norm)


def response_logprobs(model: Any, layout: Layout, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probabilities of the layout's predicted tokens and the entropies at each, [N]."""
    hidden_NE = hidden_states(model, layout)[layout.asked_N]
    logprobs_N, entropies_N = token_logprobs(hidden_NE, model.lm_head.weight, layout.wanted_N, temperature)
    count = len(layout.rows)
    return logprobs_N[:count], entropies_N[:count]
