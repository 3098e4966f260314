"""A decoder for small Llama-type models: raw torch operations, a static key-value cache, no per-layer overhead.

The weights are read anew for every batch (query, key and value fused; gate and up fused), so the live model of a
trainer is always the one sampled. Logits equal the Hugging Face model's up to float noise (a test holds it to 1e-5 in
float32).

Rotary embeddings turn pairs of dimensions; the query and key rows are reordered so that a pair lies side by side and
the turn is one complex multiplication. Attention does not change: both sides of each dot product are reordered alike.
Padding is on the left and positions count from the padded start, which relative embeddings do not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)

from presat.rollouts.batching import BatchEngine, Decoder

_GROWTH = 64  # cache positions added at a time, at least
_ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM")


def unsupported(model: Any) -> str:
    """Return why the small engine cannot run `model`, or an empty string when it can."""
    config = model.config
    if type(model).__name__ not in _ARCHITECTURES:
        return f"it is a {type(model).__name__}, not one of {', '.join(_ARCHITECTURES)}"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}, not silu"
    if getattr(config, "use_sliding_window", False):
        return "it uses sliding-window attention"
    if getattr(model, "quantization_method", None) or getattr(model, "is_quantized", False):
        return "it is quantised"
    rope = getattr(config, "rope_parameters", None) or {}
    kind = rope.get("rope_type", "default")
    return "" if kind in ("default", "linear", "llama3") else f"its rotary embedding is of type {kind}"


class SmallEngine(BatchEngine):
    """The fast path for small models: measured up to 1.5B parameters, on a CPU."""

    kind = "small"
    default_rows = 256

    def _decoder(self) -> Decoder:
        return _SmallDecoder(_read_weights(self.model))


@dataclass(slots=True)
class _Layer:
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
class _Weights:
    """A model read for decoding. H query heads, K key-value heads, D dimensions a head."""

    embed: torch.Tensor
    layers: list[_Layer]
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


def _read_weights(model: Any) -> _Weights:
    config, core = model.config, model.model
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = []
    for block in core.layers:
        attention, mlp = block.self_attn, block.mlp
        q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
        qkv = torch.cat([_paired(_weight(q), dim), _paired(_weight(k), dim), _weight(v)])  # type: ignore[list-item]
        layers.append(
            _Layer(
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
    return _Weights(
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


class _SmallDecoder:
    """A batch with its key and value caches, each [B, K, S, D] of which the first `_length` positions are filled."""

    def __init__(self, weights: _Weights) -> None:
        self._w = weights
        self._device = weights.embed.device
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._mask_BS: torch.Tensor | None = None  # additive, -inf at left padding; None without padding
        self._length = 0
        self._turns_SD = torch.empty(0)

    def start(self, prompts: Sequence[Sequence[int]], owner_B: torch.Tensor) -> torch.Tensor:
        """Prefill the prompts and share the caches out to the rows; returns logits [B, V]."""
        width = max(len(ids) for ids in prompts)
        ids_PS = torch.tensor([[0] * (width - len(ids)) + list(ids) for ids in prompts], device=self._device)
        pads_P = torch.tensor([width - len(ids) for ids in prompts], device=self._device)
        owner_B = owner_B.to(self._device)
        self._grow_turns(width + _GROWTH)
        hidden_PE = self._prefill(ids_PS, pads_P)
        self._length = width
        if int(pads_P.max()):
            mask_PS = torch.zeros(len(prompts), width, device=self._device, dtype=hidden_PE.dtype)
            mask_PS.masked_fill_(torch.arange(width, device=self._device) < pads_P[:, None], float("-inf"))
            self._mask_BS = mask_PS[owner_B]
        self._keys = [k[owner_B] for k in self._keys]
        self._values = [v[owner_B] for v in self._values]
        self._grow(_GROWTH)
        return F.linear(hidden_PE, self._w.head)[owner_B]

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """One token further; returns logits [B, V]."""
        if self._length == self._keys[0].shape[2]:
            self._grow(max(_GROWTH, self._length // 2))
        w, end = self._w, self._length + 1
        rows, heads, groups = len(tokens_B), w.K, w.H // w.K
        turn = self._turns_SD[self._length]
        mask = None
        if self._mask_BS is not None:
            mask = (
                self._mask_BS[:, None, None, :end].expand(rows, heads, groups, end).reshape(rows * heads, groups, end)
            )
        x = F.embedding(tokens_B, w.embed)
        for layer, keys, values in zip(w.layers, self._keys, self._values, strict=True):
            qkv = F.linear(F.rms_norm(x, (x.shape[-1],), layer.norm_in, w.eps), layer.qkv, layer.qkv_bias)
            qkv = qkv.view(rows, w.H + 2 * w.K, w.D)
            turned = _turn(qkv[:, : w.H + w.K], turn)
            keys[:, :, self._length] = turned[:, w.H :]
            values[:, :, self._length] = qkv[:, w.H + w.K :]
            query = turned[:, : w.H].reshape(rows * heads, groups, w.D)
            past_keys = keys.view(rows * heads, -1, w.D)[:, :end]
            past_values = values.view(rows * heads, -1, w.D)[:, :end]
            scores = _scores(query, past_keys, mask, w.D**-0.5)
            attended = torch.bmm(scores.softmax(-1), past_values).view(rows, w.H * w.D)
            x = x + F.linear(attended, layer.out, layer.out_bias)
            x = x + self._mlp(x, layer)
        self._length = end
        return F.linear(F.rms_norm(x, (x.shape[-1],), w.norm, w.eps), w.head)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all other rows."""
        self._keys = [k[rows] for k in self._keys]
        self._values = [v[rows] for v in self._values]
        if self._mask_BS is not None:
            self._mask_BS = self._mask_BS[rows]

    def _prefill(self, ids_PS: torch.Tensor, pads_P: torch.Tensor) -> torch.Tensor:
        """Run whole prompts, fill the caches [P, K, S, D]; returns the last position's normed state [P, E]."""
        w = self._w
        count, width = ids_PS.shape
        at = torch.arange(width, device=self._device)
        seen_PSS = (at[None, :] <= at[:, None])[None] & (at >= pads_P[:, None])[:, None, :]
        seen_PSS = seen_PSS | torch.eye(width, dtype=torch.bool, device=self._device)  # padding sees itself: no NaN
        x = F.embedding(ids_PS, w.embed)
        for layer in w.layers:
            qkv = F.linear(F.rms_norm(x, (x.shape[-1],), layer.norm_in, w.eps), layer.qkv, layer.qkv_bias)
            qkv = qkv.view(count, width, w.H + 2 * w.K, w.D)
            turned = _turn(qkv[:, :, : w.H + w.K], self._turns_SD[:width, None]).transpose(1, 2)
            query, key = turned[:, : w.H], turned[:, w.H :]
            value = qkv[:, :, w.H + w.K :].transpose(1, 2)
            self._keys.append(key.contiguous())
            self._values.append(value.contiguous())
            attended = F.scaled_dot_product_attention(
                query, key, value, attn_mask=seen_PSS[:, None], enable_gqa=w.H != w.K
            )
            attended = attended.transpose(1, 2).reshape(count, width, w.H * w.D)
            x = x + F.linear(attended, layer.out, layer.out_bias)
            x = x + self._mlp(x, layer)
        return F.rms_norm(x[:, -1], (x.shape[-1],), w.norm, w.eps)

    def _mlp(self, x: torch.Tensor, layer: _Layer) -> torch.Tensor:
        normed = F.rms_norm(x, (x.shape[-1],), layer.norm_mlp, self._w.eps)
        gate, up = F.linear(normed, layer.gate_up, layer.gate_up_bias).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, layer.down, layer.down_bias)

    def _grow(self, more: int) -> None:
        """Make room for `more` positions in the caches, the mask and the rotary table."""
        self._keys = [F.pad(k, (0, 0, 0, more)) for k in self._keys]
        self._values = [F.pad(v, (0, 0, 0, more)) for v in self._values]
        if self._mask_BS is not None:
            self._mask_BS = F.pad(self._mask_BS, (0, more))
        self._grow_turns(self._length + more)

    def _grow_turns(self, length: int) -> None:
        """Rotary factors of positions 0 to `length - 1` as complex numbers, [S, D/2]."""
        if self._turns_SD.shape[0] < length:
            angles = torch.arange(length, device=self._device, dtype=torch.float32)[:, None] * self._w.inv_freq
            self._turns_SD = torch.polar(torch.full_like(angles, self._w.rope_scale), angles)


def _turn(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of paired dimensions: one complex multiplication in float32. x: [..., heads, D]."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


def _scores(query: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, scale: float) -> torch.Tensor:
    """Attention scores [B * K, H / K, S], masked."""
    if mask is None:
        return torch.bmm(query, keys.transpose(1, 2)) * scale
    return torch.baddbmm(mask, query, keys.transpose(1, 2), alpha=scale)
