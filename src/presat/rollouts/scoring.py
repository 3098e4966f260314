"""Log-probabilities of given texts: what a model thinks of continuations that it did not draw itself.

Continuations of one text are the branches of a `Tree`: its trunk (the question and a trace) is read once, and each
branch goes on from any place of it. A tree is one row of a forward pass, the branches one after the other behind the
trunk; a mask shows every token the tokens before it on its own way, and no other's, and positions count along that way.
So the numbers are those of every branch alone, up to float noise.

Models that such a mask does not fit (windows, recurrent states, positions that attention makes by itself) read every
branch as a row of its own. Whether it fits is tried once a model, against such rows.

Shapes: B rows side by side, S places in a row, K of them scored, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

MAX_LOGITS = 2**25
"""Most logits, and most places of a mask, held at once: 128 MiB in float32."""
_CLOSE = 1e-2
"""Most that a tree may differ from rows of their own, in nats, where the mask fits; bfloat16 has 1/256."""
_MASKED = ("sdpa", "eager")
"""Attention that takes a mask of any shape."""


class Branch(NamedTuple):
    """A way on from a place of the trunk.

    Attributes:
        at: how many tokens of the trunk come before it, at least one.
        tokens: what comes then.
        given: how many of these are no more than read; the others are scored.
    """

    at: int
    tokens: tuple[int, ...]
    given: int = 0


class Tree(NamedTuple):
    """A text and ways on from it.

    Attributes:
        trunk: its tokens.
        branches: the ways on.
        scored: the trunk's own tokens from this one on are scored too, 1 or more; none when None.
    """

    trunk: tuple[int, ...]
    branches: tuple[Branch, ...] = ()
    scored: int | None = None

    def rows(self) -> list[tuple[tuple[int, ...], int]]:
        """The trunk and every branch as texts of their own, each with the place from which it is scored."""
        start = len(self.trunk) if self.scored is None else self.scored
        ways = [((*self.trunk[: way.at], *way.tokens), way.at + way.given) for way in self.branches]
        return [(self.trunk, start), *ways]

    @property
    def places(self) -> int:
        """Tokens that are read, where the trunk is read once."""
        return len(self.trunk) + sum(len(way.tokens) for way in self.branches)


class Scored(NamedTuple):
    """Log-probabilities of a tree's scored tokens, in nats, at temperature 1."""

    trunk: tuple[float, ...]
    branches: tuple[tuple[float, ...], ...]


def score_trees(model: Any, trees: Sequence[Tree], rows: int, shared: bool = True) -> list[Scored]:
    """Score trees with a model that is loaded here.

    Args:
        model: a Hugging Face causal language model, in evaluation mode.
        trees: what to score.
        rows: most rows side by side.
        shared: whether a trunk is read once for all its branches.
    """
    if not shared:
        return from_rows(trees, score_rows(model, [row for tree in trees for row in tree.rows()], rows))
    found: list[Scored | None] = [None] * len(trees)
    order = sorted(range(len(trees)), key=lambda place: trees[place].places)
    packed = [_Packed.of(trees[place]) for place in order]
    for part in _parts(model, packed, rows):
        for place, values in zip(order[part], _forward(model, packed[part]), strict=True):
            found[place] = _unpacked(trees[place], values)
    return [item for item in found if item is not None]


def score_rows(model: Any, texts: Sequence[tuple[tuple[int, ...], int]], rows: int) -> list[tuple[float, ...]]:
    """Score texts that share nothing.

    Args:
        model: as for `score_trees`.
        texts: tokens of each, and from which one on they are scored.
        rows: most rows side by side.
    """
    found: list[tuple[float, ...]] = [()] * len(texts)
    order = sorted((i for i, (ids, start) in enumerate(texts) if start < len(ids)), key=lambda i: len(texts[i][0]))
    packed = [_Packed.of(Tree(texts[i][0], (), texts[i][1])) for i in order]
    for part in _parts(model, packed, rows):
        for place, values in zip(order[part], _forward(model, packed[part], masked=False), strict=True):
            found[place] = tuple(values)
    return found


def from_rows(trees: Sequence[Tree], values: Sequence[tuple[float, ...]]) -> list[Scored]:
    """Put together again what was scored as the rows of trees.

    Args:
        trees: the trees.
        values: of the rows of all of them, one after the other.
    """
    left = iter(values)
    return [Scored(next(left), tuple(next(left) for _ in tree.branches)) for tree in trees]


def fits(model: Any) -> bool:
    """Whether trees may be read as rows with a mask: the model's kind allows it, and a trial gives the same numbers."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    takes = inspect.signature(type(model).forward).parameters
    if kinds or (getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)):
        return False
    if "position_ids" not in takes or getattr(config, "_attn_implementation", "") not in _MASKED:
        return False
    words = model.get_output_embeddings().weight.shape[0]
    some = [index % min(97, words) for index in range(3, 27)]
    trial = Tree(tuple(some[:16]), (Branch(5, tuple(some[4:12])), Branch(16, tuple(some[16:]), 3)), 1)
    (whole,), (apart,) = score_trees(model, [trial], 4), score_trees(model, [trial], 4, shared=False)
    pairs = zip((whole.trunk, *whole.branches), (apart.trunk, *apart.branches), strict=True)
    return all(abs(a - b) <= _CLOSE * (1 + abs(b)) for one, other in pairs for a, b in zip(one, other, strict=True))


class _Packed(NamedTuple):
    """A tree as one row: its tokens, their positions, whose they are, and which predict which.

    Attributes:
        ids: the trunk, then of each branch the token before it and its own but the last.
        positions: place along its own way.
        ways: 0 for the trunk, else the number of the branch.
        seen: how many tokens of the trunk a token of a branch sees.
        asked: places whose next token is scored.
        wanted: that token.
    """

    ids: list[int]
    positions: list[int]
    ways: list[int]
    seen: list[int]
    asked: list[int]
    wanted: list[int]

    @classmethod
    def of(cls, tree: Tree) -> _Packed:
        """Lay a tree out."""
        trunk, count = tree.trunk, len(tree.trunk)
        start = count if tree.scored is None else tree.scored
        row = cls(list(trunk), list(range(count)), [0] * count, [count] * count, [], [])
        row.asked.extend(range(start - 1, count - 1))
        row.wanted.extend(trunk[start:])
        for number, way in enumerate(tree.branches, 1):
            # the token before it once more, so that the trunk's own is asked for no second successor
            ids = (trunk[way.at - 1], *way.tokens[:-1])
            first = len(row.ids)
            row.ids.extend(ids)
            row.positions.extend(range(way.at - 1, way.at - 1 + len(ids)))
            row.ways.extend([number] * len(ids))
            row.seen.extend([way.at - 1] * len(ids))
            row.asked.extend(range(first + way.given, first + len(way.tokens)))
            row.wanted.extend(way.tokens[way.given :])
        return row


def _parts(model: Any, packed: Sequence[_Packed], rows: int) -> Iterator[slice]:
    """Cut rows, the shortest first, into batches that fit into memory."""
    width = model.get_output_embeddings().weight.shape[0]
    first = 0
    asked: set[int] = set()
    for end, row in enumerate(packed):
        asked.update(row.asked)
        size = (end - first + 1) * max(len(asked) * width, len(row.ids) ** 2)
        if end > first and (size > MAX_LOGITS or end - first == rows):
            yield slice(first, end)
            first, asked = end, set(row.asked)
    if packed:
        yield slice(first, len(packed))


def _forward(model: Any, batch: Sequence[_Packed], masked: bool = True) -> Iterator[list[float]]:
    """Yield, for each row, the log-probabilities of its wanted tokens."""
    device = model.device
    width = max(len(row.ids) for row in batch)
    asked_K = sorted({place for row in batch for place in row.asked})
    ids_BS = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row in batch], device=device)
    extra: dict[str, Any] = {}
    if masked:
        positions = [[*row.positions, *[0] * (width - len(row.ids))] for row in batch]
        extra["position_ids"] = torch.tensor(positions, device=device)
        extra["attention_mask"] = _mask(batch, width, model.dtype, device)
    # without a mask rows are padded on the right, where causal attention never looks
    out = model(
        input_ids=ids_BS,
        use_cache=False,
        logits_to_keep=torch.tensor(asked_K, dtype=torch.long, device=device),
        **extra,
    )
    logits_BKV = out.logits
    place_of = {place: index for index, place in enumerate(asked_K)}
    for row, logits_KV in zip(batch, logits_BKV, strict=True):
        at = torch.tensor([place_of[place] for place in row.asked], dtype=torch.long, device=device)
        wanted = torch.tensor(row.wanted, dtype=torch.long, device=device)
        chosen_KV = logits_KV[at].float()
        yield (chosen_KV.gather(1, wanted[:, None])[:, 0] - chosen_KV.logsumexp(-1)).tolist()


def _mask(batch: Sequence[_Packed], width: int, dtype: torch.dtype, device: Any) -> torch.Tensor:
    """What each token sees, added to attention's scores: 0, or the lowest number. [B, 1, S, S]."""
    places_S = torch.arange(width)
    # padding is a way of its own, which sees itself
    ways_BS = torch.tensor([[*row.ways, *[-1] * (width - len(row.ways))] for row in batch])
    seen_BS = torch.tensor([[*row.seen, *[0] * (width - len(row.seen))] for row in batch])
    before_SS = places_S[None, :] <= places_S[:, None]
    own_BSS = (ways_BS[:, :, None] == ways_BS[:, None, :]) & before_SS
    trunk_BSS = (ways_BS == 0)[:, None, :] & (places_S[None, None, :] < seen_BS[:, :, None]) & before_SS
    mask_BSS = torch.zeros(own_BSS.shape, dtype=dtype).masked_fill_(~(own_BSS | trunk_BSS), torch.finfo(dtype).min)
    return mask_BSS[:, None].to(device)


def _unpacked(tree: Tree, values: Sequence[float]) -> Scored:
    """Cut a row's log-probabilities into those of the trunk and of the branches."""
    start = len(tree.trunk) if tree.scored is None else tree.scored
    lengths = [len(tree.trunk) - start, *(len(way.tokens) - way.given for way in tree.branches)]
    pieces, first = [], 0
    for length in lengths:
        pieces.append(tuple(values[first : first + length]))
        first += length
    return Scored(pieces[0], tuple(pieces[1:]))
