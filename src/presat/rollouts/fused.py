"""A Llama-type model's weights as the small engine multiplies by them: query, key and value fused, gate and up fused.

Rotary embeddings turn pairs of dimensions; the query and key rows are reordered so that a pair lies side by side and
the turn is one complex multiplication. Attention does not change: both sides of each dot product are reordered alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(slots=True)
class Layer:
    """One block's weights; biases are None where the model has none."""

    norm_in: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    out: torch.Tensor
    out_bias: torch.Tensor | None
    norm_mlp: torch.Tensor
    gate_up: torch.Tensor
    gate_up_bias: torch.Tensor | None
    down: torch.Tensor
    down_bias: torch.Tensor | None


@dataclass(slots=True)
class Weights:
    """A model read for decoding. H query heads, K key-value heads, D dimensions a head."""

    embed: torch.Tensor
    layers: list[Layer]
    norm: torch.Tensor
    head: torch.Tensor
    eps: float
    H: int
    K: int
    D: int
    inv_freq: torch.Tensor
    rope_scale: float


def _cat(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    present = [t for t in tensors if t is not None]
    return torch.cat(present) if present else None


def _paired(t: torch.Tensor | None, dim: int) -> torch.Tensor | None:
    """Reorder the rows of a query or key projection so that rotary pairs (i, i + D/2) become neighbours."""
    if t is None:
        return None
    return t.view(-1, 2, dim // 2, *t.shape[1:]).transpose(1, 2).reshape(t.shape)


def _weight(layer: Any) -> torch.Tensor:
    """The weight a layer applies: its own, with what active LoRA adapters add, rounded to its type."""
    weight = layer.weight
    if hasattr(layer, "get_delta_weight") and not (layer.merged or layer.disable_adapters):
        for name in layer.active_adapters:
            if name in layer.lora_A or name in layer.lora_embedding_A:
                weight = weight + layer.get_delta_weight(name)  # PEFT keeps adapters beside it, in float32
    return weight.to(layer.weight.dtype)


def read_weights(model: Any) -> Weights:
    """Return what decoding needs of a Llama or Qwen2 model as it is now; what is fused with nothing is its own."""
    config, core = model.config, model.model
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = []
    for block in core.layers:
        attention, mlp = block.self_attn, block.mlp
        q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
        qkv = torch.cat([_paired(_weight(q), dim), _paired(_weight(k), dim), _weight(v)])  # type: ignore[list-item]
        layers.append(
            Layer(
                block.input_layernorm.weight,
                qkv,
                _cat([_paired(q.bias, dim), _paired(k.bias, dim), v.bias]),
                _weight(attention.o_proj),
                attention.o_proj.bias,
                block.post_attention_layernorm.weight,
                torch.cat([_weight(mlp.gate_proj), _weight(mlp.up_proj)]),
                _cat([mlp.gate_proj.bias, mlp.up_proj.bias]),
                _weight(mlp.down_proj),
                mlp.down_proj.bias,
            )
        )
    return Weights(
        _weight(core.embed_tokens),
        layers,
        core.norm.weight,
        _weight(model.lm_head),
        config.rms_norm_eps,
        config.num_attention_heads,
        config.num_key_value_heads,
        dim,
        core.rotary_emb.inv_freq.float(),
        float(core.rotary_emb.attention_scaling),
    )
