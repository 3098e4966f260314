"""A Llama-type model's weights as the small engine multiplies by them: query, key and value fused, gate and up fused.

Rotary embeddings turn pairs of dimensions; the query and key rows are reordered so that a pair lies side by side and
the turn is one complex multiplication. Attention does not change: both sides of each dot product are reordered alike.

On a CPU, large float32 matrices are laid out once a batch as oneDNN multiplies by them: on an AMD processor 1.1 to 1.8
times as fast as what MKL lays out anew at every step, and more with few rows. Size and type alone decide, no trial: the
same run draws the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)

_PACKED = 2**18
"""Elements from which on a matrix is worth another layout; the lab's are all smaller, and stay the same everywhere."""


class Product:
    """A linear layer as a function of rows [B, E].

    Args:
        weight: its matrix.
        bias: added to the product, if any.
    """

    __slots__ = ("_bias", "_packed", "_weight")

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self._weight, self._bias, self._packed = weight, bias, _worth_packing(weight)
        if self._packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product, [B, F]."""
        if self._packed:
            return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return F.linear(x, self._weight, self._bias)


def _worth_packing(weight: torch.Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.numel() >= _PACKED
        and torch.backends.mkldnn.is_available()
    )


@dataclass(slots=True)
class Layer:
    """One block's weights."""

    norm_in: torch.Tensor
    qkv: Product
    out: Product
    norm_mlp: torch.Tensor
    gate_up: Product
    down: Product


@dataclass(slots=True)
class Weights:
    """A model read for decoding. H query heads, K key-value heads, D dimensions a head."""

    embed: torch.Tensor
    layers: list[Layer]
    norm: torch.Tensor
    head: Product
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
                Product(qkv, _cat([_paired(q.bias, dim), _paired(k.bias, dim), v.bias])),
                Product(_weight(attention.o_proj), attention.o_proj.bias),
                block.post_attention_layernorm.weight,
                Product(
                    torch.cat([_weight(mlp.gate_proj), _weight(mlp.up_proj)]),
                    _cat([mlp.gate_proj.bias, mlp.up_proj.bias]),
                ),
                Product(_weight(mlp.down_proj), mlp.down_proj.bias),
            )
        )
    return Weights(
        _weight(core.embed_tokens),
        layers,
        core.norm.weight,
        Product(_weight(model.lm_head)),
        config.rms_norm_eps,
        config.num_attention_heads,
        config.num_key_value_heads,
        dim,
        core.rotary_emb.inv_freq.float(),
        float(core.rotary_emb.attention_scaling),
    )
