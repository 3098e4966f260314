"""A decoder for small Llama-type models: raw torch operations, static key-value caches, no per-layer overhead.

The weights are read anew for every batch (see `fused`), so the live model of a trainer is always the one sampled.
Logits equal the Hugging Face model's up to float noise (a test holds it to 1e-5 in float32).

A prompt's keys and values are held once: the rows of its responses attend to them as one matrix, and one softmax goes
over these scores and those of a row's own tokens. Padding is on the left and positions count from the padded start,
which relative embeddings do not see.

On a CPU a step reads as much of the caches as is filled. Off it, every step is the same work on the same memory, so
that it can be recorded: the place of the next token is a tensor, and places not yet filled are masked.

Shapes: P prompts of S places, B rows, T places for a row's own tokens, E the width; see `fused` for heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)

from presat.rollouts import graphs
from presat.rollouts.batching import BatchEngine
from presat.rollouts.fused import Layer, Weights, read_weights
from presat.rollouts.loop import Decoder
from presat.rollouts.seats import Seats

_GROWTH = 64  # cache places added at a time, at least
_EMPTY_SHARE = 0.25  # prompts without rows leave the caches once they are this share
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
        weights = read_weights(self.model)
        return _SmallDecoder(weights, graphs.off_cpu(weights.embed.device))


class _SmallDecoder:
    """A batch with its caches of keys and values, a pair a layer: the prompts' [P, K, S, D], the rows' [B, K, T, D]."""

    def __init__(self, weights: Weights, repeatable: bool) -> None:
        self._w = weights
        self._device = weights.embed.device
        self.repeatable = repeatable
        self._prompts: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._own: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._pads: torch.Tensor | None = None  # additive [P * K, 1, S], -inf at left padding; None without padding
        self._unscaled = weights.embed.new_zeros(1, 1, 1)
        self._width = 0  # S
        self._filled = 0  # places of the rows' own caches, counting the next token's once `advance` was called
        self._room = 0
        self._at = torch.empty(0)  # the place of the next token, where steps are repeated

    def start(self, prompts: Sequence[Sequence[int]], owner_B: torch.Tensor, room: int) -> torch.Tensor:
        """Prefill the prompts; returns logits [B, V]."""
        self._width = width = max(len(ids) for ids in prompts)
        ids_PS = torch.tensor([[0] * (width - len(ids)) + list(ids) for ids in prompts], device=self._device)
        pads = [width - len(ids) for ids in prompts]
        pads_P = torch.tensor(pads, device=self._device)
        angles = torch.arange(width + room, device=self._device, dtype=torch.float32)[:, None] * self._w.inv_freq
        self._turns = torch.polar(torch.full_like(angles, self._w.rope_scale), angles)  # [S + T, D / 2]
        if max(pads):
            mask_PS = torch.zeros(len(prompts), width, device=self._device, dtype=self._w.embed.dtype)
            mask_PS.masked_fill_(torch.arange(width, device=self._device) < pads_P[:, None], float("-inf"))
            self._pads = mask_PS.repeat_interleave(self._w.K, 0)[:, None]
        hidden_PE = self._prefill(ids_PS, pads_P)
        self._owner_B = owner_B
        self._seats = Seats(owner_B, len(prompts), self._device)
        self._room = room
        self._at = torch.zeros(1, dtype=torch.long, device=self._device)
        self._grow()
        return F.linear(hidden_PE, self._w.head)[owner_B.to(self._device)]

    def advance(self) -> bool:
        """Make room for one token in the caches; whether they moved."""
        self._filled += 1
        grows = self._filled > self._own[0][0].shape[2]
        if grows:
            self._grow()
        return grows

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """One token further; returns logits [B, V]."""
        w, rows = self._w, len(tokens_B)
        at = self._width + self._filled - 1
        turn = self._turns.index_select(0, self._at + self._width) if self.repeatable else self._turns[at]
        mask = self._unfilled()
        x = F.embedding(tokens_B, w.embed)
        for layer, prompt, own in zip(w.layers, self._prompts, self._own, strict=True):
            qkv = F.linear(F.rms_norm(x, (x.shape[-1],), layer.norm_in, w.eps), layer.qkv, layer.qkv_bias)
            qkv = qkv.view(rows, w.H + 2 * w.K, w.D)
            turned = _turn(qkv[:, : w.H + w.K], turn)
            keys = self._written(own[0], turned[:, w.H :])
            values = self._written(own[1], qkv[:, w.H + w.K :])
            attended = self._attend(turned[:, : w.H], prompt, keys, values, mask)
            x = x + F.linear(attended, layer.out, layer.out_bias)
            x = x + _mlp(x, layer, w.eps)
        if self.repeatable:
            self._at.add_(1)
        return F.linear(F.rms_norm(x, (x.shape[-1],), w.norm, w.eps), w.head)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows, in this order; what few of them must move is copied in place."""
        places = torch.arange(len(rows))
        moved = rows != places
        to, source = places[moved].to(self._device), rows[moved].to(self._device)
        if len(to):
            for cache in (cache for pair in self._own for cache in pair):
                cache[to, :, : self._filled] = cache[source, :, : self._filled]
        owner_B = self._owner_B[rows]
        present, renumbered = owner_B.unique(return_inverse=True)
        prompts = len(self._prompts[0][0])
        if len(present) <= (1 - _EMPTY_SHARE) * prompts:
            kept = present.to(self._device)
            self._prompts = [(keys[kept], values[kept]) for keys, values in self._prompts]
            if self._pads is not None:
                self._pads = self._pads.unflatten(0, (-1, self._w.K))[kept].flatten(0, 1)
            owner_B, prompts = renumbered, len(present)
        self._owner_B = owner_B
        self._seats = Seats(owner_B, prompts, self._device)

    def _attend(
        self,
        query: torch.Tensor,
        prompt: tuple[torch.Tensor, torch.Tensor],
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Attention of each row [B, H, D] to its prompt and to its own tokens; returns [B, H * D]."""
        w, seats, width = self._w, self._seats, self._width
        count, heads, groups, dim = len(query), w.K, w.H // w.K, w.D
        prompts, own = seats.prompts * heads, count * heads
        prompt_keys, prompt_values = (cache.view(prompts, width, dim) for cache in prompt)
        read = seats.seated(query, heads)
        to_prompt = seats.risen(self._scores(read, prompt_keys, self._pads), heads)
        to_own = self._scores(query.reshape(own, groups, dim), keys, mask)
        shares = torch.cat([to_prompt, to_own.view(count, w.H, -1)], -1).softmax(-1)
        from_prompt = torch.bmm(seats.seated(shares[..., :width], heads), prompt_values)
        from_own = torch.bmm(shares.view(own, groups, -1)[..., width:], values)
        return (from_own.view(count, w.H, dim) + seats.risen(from_prompt, heads)).view(count, w.H * dim)

    def _scores(self, query: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        scale = self._w.D**-0.5
        if mask is None:
            return torch.baddbmm(self._unscaled, query, keys.transpose(1, 2), beta=0, alpha=scale)
        return torch.baddbmm(mask, query, keys.transpose(1, 2), alpha=scale)

    def _written(self, cache: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Put the next token's keys or values [B, K, D] into a cache; returns what is read of it, [B * K, T, D]."""
        rows, heads, dim = new.shape
        cache = cache[:rows]
        if self.repeatable:
            cache.index_copy_(2, self._at, new[:, :, None])
            return cache.view(rows * heads, -1, dim)
        cache[:, :, self._filled - 1] = new
        return cache.view(rows * heads, -1, dim)[:, : self._filled]

    def _unfilled(self) -> torch.Tensor | None:
        """Additive mask [1, 1, T] of the places beyond the next token's, where a step reads them all."""
        if not self.repeatable:
            return None
        places = torch.arange(self._own[0][0].shape[2], device=self._device)
        mask = torch.zeros(len(places), device=self._device, dtype=self._w.embed.dtype)
        return mask.masked_fill_(places > self._at, float("-inf"))[None, None]

    def _prefill(self, ids_PS: torch.Tensor, pads_P: torch.Tensor) -> torch.Tensor:
        """Run whole prompts, fill their caches; returns the last position's normed state [P, E]."""
        w = self._w
        count, width = ids_PS.shape
        at = torch.arange(width, device=self._device)
        seen_PSS = (at[None, :] <= at[:, None])[None] & (at >= pads_P[:, None])[:, None, :]
        seen_PSS = seen_PSS | torch.eye(width, dtype=torch.bool, device=self._device)  # padding sees itself: no NaN
        x = F.embedding(ids_PS, w.embed)
        for layer in w.layers:
            qkv = F.linear(F.rms_norm(x, (x.shape[-1],), layer.norm_in, w.eps), layer.qkv, layer.qkv_bias)
            qkv = qkv.view(count, width, w.H + 2 * w.K, w.D)
            turned = _turn(qkv[:, :, : w.H + w.K], self._turns[:width, None]).transpose(1, 2)
            query, key = turned[:, : w.H], turned[:, w.H :]
            value = qkv[:, :, w.H + w.K :].transpose(1, 2)
            self._prompts.append((key.contiguous(), value.contiguous()))
            attended = F.scaled_dot_product_attention(
                query, key, value, attn_mask=seen_PSS[:, None], enable_gqa=w.H != w.K
            )
            attended = attended.transpose(1, 2).reshape(count, width, w.H * w.D)
            x = x + F.linear(attended, layer.out, layer.out_bias)
            x = x + _mlp(x, layer, w.eps)
        return F.rms_norm(x[:, -1], (x.shape[-1],), w.norm, w.eps)

    def _grow(self) -> None:
        """Give the rows' own caches more places, of which those that are filled are copied."""
        w, rows = self._w, len(self._owner_B)
        had = self._own[0][0].shape[2] if self._own else 0
        places = min(self._room, max(2 * had, had + _GROWTH))
        for index in range(len(w.layers)):
            # zeros: places that are masked are read all the same, and must not be NaN
            keys, values = (w.embed.new_zeros(rows, w.K, places, w.D) for _ in range(2))
            if had:
                for new, old in zip((keys, values), self._own[index], strict=True):
                    new[:, :, :had] = old[:rows]
            self._own[index : index + 1] = [(keys, values)]


def _mlp(x: torch.Tensor, layer: Layer, eps: float) -> torch.Tensor:
    normed = F.rms_norm(x, (x.shape[-1],), layer.norm_mlp, eps)
    gate, up = F.linear(normed, layer.gate_up, layer.gate_up_bias).chunk(2, dim=-1)
    return F.linear(F.silu(gate, inplace=True).mul_(up), layer.down, layer.down_bias)


def _turn(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of paired dimensions: one complex multiplication in float32. x: [..., heads, D]."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)
