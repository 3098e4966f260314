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
    """A batch with each layer's keys and values: of the prompts [2, P, K, S, D] and of the rows [2, B, K, T, D]."""

    def __init__(self, weights: Weights, repeatable: bool) -> None:
        self._w = weights
        self._device = weights.embed.device
        self.repeatable = repeatable
        self._prompts: list[torch.Tensor] = []
        self._own: list[torch.Tensor] = []
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
        self._seats = Seats(owner_B, len(prompts), self._w.K, self._device)
        self._room = room
        self._at = torch.zeros(1, dtype=torch.long, device=self._device)
        self._grow()
        return self._w.head(hidden_PE)[owner_B.to(self._device)]

    def advance(self) -> bool:
        """Make room for one token in the caches; whether they moved."""
        self._filled += 1
        grows = self._filled > self._own[0].shape[3]
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
            qkv = layer.qkv(_norm(x, layer.norm_in, w.eps))
            qkv = qkv.view(rows, w.H + 2 * w.K, w.D)
            _turn(qkv[:, : w.H + w.K], turn)
            keys, values = self._written(own, qkv[:, w.H :].unflatten(1, (2, w.K)).transpose(0, 1))
            attended = self._attend(qkv[:, : w.H], prompt, keys, values, mask)
            x = x + layer.out(attended)
            x = x + _mlp(x, layer, w.eps)
        if self.repeatable:
            self._at.add_(1)
        return w.head(_norm(x, w.norm, w.eps))

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows, in this order; what few of them must move is copied in place."""
        places = torch.arange(len(rows))
        moved = rows != places
        to, source = places[moved].to(self._device), rows[moved].to(self._device)
        if len(to):
            for cache in self._own:
                cache[:, to, :, : self._filled] = cache[:, source, :, : self._filled]
        owner_B = self._owner_B[rows]
        present, renumbered = owner_B.unique(return_inverse=True)
        prompts = self._prompts[0].shape[1]
        if len(present) <= (1 - _EMPTY_SHARE) * prompts:
            kept = present.to(self._device)
            self._prompts = [cache[:, kept] for cache in self._prompts]
            if self._pads is not None:
                self._pads = self._pads.unflatten(0, (-1, self._w.K))[kept].flatten(0, 1)
            owner_B, prompts = renumbered, len(present)
        self._owner_B = owner_B
        self._seats = Seats(owner_B, prompts, self._w.K, self._device)

    def _attend(
        self,
        query: torch.Tensor,
        prompt: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Attention of each row [B, H, D] to its prompt and to its own tokens; returns [B, H * D]."""
        w, width, groups = self._w, self._width, self._w.H // self._w.K
        query_own = query.reshape(-1, groups, w.D)  # [B * K, G, D]
        prompt_keys, prompt_values = prompt.view(2, -1, width, w.D)
        to_prompt = self._scores(self._seats.seated(query_own), prompt_keys, self._pads)
        to_own = self._scores(query_own, keys, mask)
        shares = torch.cat([self._seats.risen(to_prompt, groups), to_own], -1).softmax(-1)
        from_prompt = torch.bmm(self._seats.seated(shares[..., :width]), prompt_values)
        from_own = torch.bmm(shares[..., width:], values)
        return from_own.add_(self._seats.risen(from_prompt, groups)).view(len(query), -1)

    def _scores(self, query: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        scale = self._w.D**-0.5
        if mask is None:
            return torch.baddbmm(self._unscaled, query, keys.transpose(1, 2), beta=0, alpha=scale)
        return torch.baddbmm(mask, query, keys.transpose(1, 2), alpha=scale)

    def _written(self, cache: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Put a token's keys and values [2, B, K, D] into a cache; returns what is read of it, [2, B * K, T, D]."""
        cache = cache[:, : new.shape[1]]
        if self.repeatable:
            cache.index_copy_(3, self._at, new[:, :, :, None])
            return cache.flatten(1, 2)
        cache[:, :, :, self._filled - 1] = new
        return cache.flatten(1, 2)[:, :, : self._filled]

    def _unfilled(self) -> torch.Tensor | None:
        """Additive mask [1, 1, T] of the places beyond the next token's, where a step reads them all."""
        if not self.repeatable:
            return None
        places = torch.arange(self._own[0].shape[3], device=self._device)
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
            qkv = layer.qkv(_norm(x, layer.norm_in, w.eps))
            qkv = qkv.view(count, width, w.H + 2 * w.K, w.D)
            _turn(qkv[:, :, : w.H + w.K], self._turns[:width, None])
            query = qkv[:, :, : w.H].transpose(1, 2)
            cache = qkv[:, :, w.H :].unflatten(2, (2, w.K)).permute(2, 0, 3, 1, 4).contiguous()
            self._prompts.append(cache)
            key, value = cache
            attended = F.scaled_dot_product_attention(
                query, key, value, attn_mask=seen_PSS[:, None], enable_gqa=w.H != w.K
            )
            attended = attended.transpose(1, 2).reshape(count, width, w.H * w.D)
            x = x + layer.out(attended)
            x = x + _mlp(x, layer, w.eps)
        return _norm(x[:, -1], w.norm, w.eps)

    def _grow(self) -> None:
        """Give the rows' own caches more places, of which those that are filled are copied."""
        w, rows = self._w, len(self._owner_B)
        had = self._own[0].shape[3] if self._own else 0
        places = min(self._room, max(2 * had, had + _GROWTH))
        for index in range(len(w.layers)):
            # zeros: places that are masked are read all the same, and must not be NaN
            cache = w.embed.new_zeros(2, rows, w.K, places, w.D)
            if had:
                cache[:, :, :, :had] = self._own[index][:, :rows]
            self._own[index : index + 1] = [cache]


def _norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm of the last dimension."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.ndim != 2:
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    # few operations: on a CPU `rms_norm` is a chain of them
    mean = torch.addmm(x.new_full((1, 1), eps), x * x, x.new_full((x.shape[1], 1), 1.0 / x.shape[1]))
    return (x * mean.rsqrt_()).mul_(weight)


def _mlp(x: torch.Tensor, layer: Layer, eps: float) -> torch.Tensor:
    normed = _norm(x, layer.norm_mlp, eps)
    gate, up = layer.gate_up(normed).chunk(2, dim=-1)
    return layer.down(F.silu(gate, inplace=True).mul_(up))


def _turn(x: torch.Tensor, turns: torch.Tensor) -> None:
    """Rotary embedding of paired dimensions, in place: one complex multiplication in float32. x: [..., heads, D]."""
    exact = x.float()  # x itself, if it is in float32
    torch.view_as_complex(exact.unflatten(-1, (-1, 2))).mul_(turns)
    if x.dtype != torch.float32:
        x.copy_(exact)
