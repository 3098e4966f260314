"""The loop all local engines share: tokenise, prefill each prompt once, decode rows, draw by inverse CDF.

An engine supplies a `Decoder`; everything about sampling is here. Shapes: B rows decoded side by side, V vocabulary,
T response tokens.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from presat.errors import DataError, RunError
from presat.models.checks import check_positions, end_tokens, positions
from presat.models.templates import prompt_ids
from presat.rollouts.draws import uniforms
from presat.rollouts.scoring import Scored, Tree, fits, score_trees
from presat.types import Completion, Problem, RolloutGroup, Sampling

LOG = logging.getLogger("presat")

_LENGTHS = "prompts and responses (lower `max_new_tokens` or `max_prompt_tokens`)"
_DRAW_BLOCK = 64  # token positions whose uniform numbers are made at once
_DROP_SHARE = 0.125  # finished rows leave the batch once they are this share of it


class Decoder(Protocol):
    """One batch being decoded."""

    def start(self, prompts: Sequence[Sequence[int]], owner_B: torch.Tensor) -> torch.Tensor:
        """Prefill every prompt once, share it out to rows (row b has prompt `owner_B[b]`), return logits [B, V]."""
        ...

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """Append one token to every row and return the next-token logits [B, V]."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only."""
        ...


class BatchEngine:
    """Base of the engines. Those that hold a torch model implement `_decoder`.

    Attributes:
        kind: the engine's name in the configuration.
        served: the name a server gives the model; empty where it is loaded here.
    """

    kind: str
    served: str = ""
    default_rows = 256

    def __init__(self, model: Any, tokenizer: Any, rows: int | None = None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.rows = rows or self.default_rows
        self.eos_ids = eos_ids(model, tokenizer)
        self._warned = False
        self._fits: bool | None = None
        self._prompts: dict[tuple[str, ...], tuple[int, ...]] = {}

    def _decoder(self) -> Decoder:
        raise NotImplementedError

    def encode(self, problem: Problem) -> tuple[int, ...]:
        """Return the prompt's token ids, chat template applied; an assistant's last turn is left open to go on from.

        Raises:
            DataError, ModelError: see `presat.models.templates.prompt_ids`.
        """
        key = tuple(text for m in problem.messages for text in (m["role"], m["content"]))
        if key not in self._prompts:
            opened = problem.messages[-1]["role"] == "assistant"
            self._prompts[key] = tuple(prompt_ids(self.tokenizer, problem.messages, go_on=opened))
        return self._prompts[key]

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        """Draw `n` responses for each problem; `seeds[i]` alone decides the draws of `problems[i]`.

        Raises:
            DataError: a prompt is longer than `sampling.max_prompt_tokens` (callers drop and count those first).
        """
        prompts = [self.encode(problem) for problem in problems]
        for problem, ids in zip(problems, prompts, strict=True):
            if len(ids) > sampling.max_prompt_tokens:
                raise DataError(
                    f"Problem '{problem.id}' has {len(ids)} prompt tokens, more than the {sampling.max_prompt_tokens} "
                    "allowed. Raise max_prompt_tokens or drop it."
                )
        rows: list[Completion] = []
        total = len(problems) * n
        for first in range(0, total, self.rows):
            rows += self._decode(prompts, range(first, min(first + self.rows, total)), n, sampling, seeds)
        return [
            RolloutGroup(problem, prompts[i], tuple(rows[i * n : (i + 1) * n]), seed=seeds[i])
            for i, problem in enumerate(problems)
        ]

    def score(self, trees: Sequence[Tree]) -> list[Scored]:
        """Return the log-probabilities of given texts, in nats, at temperature 1: see `presat.rollouts.scoring`.

        Raises:
            ModelError: a text is longer than the model has positions.
            RunError: a log-probability is no number: the weights may have diverged.
        """
        longest = max((len(ids) for tree in trees for ids, _ in tree.rows()), default=0)
        check_positions(self.model, longest, "the texts to score")
        training = self.model.training
        self.model.eval()
        try:
            with no_gradients(self.model):
                if self._fits is None:
                    self._fits = fits(self.model)
                return all_numbers(score_trees(self.model, trees, self.rows, shared=self._fits))
        finally:
            self.model.train(training)

    def _decode(
        self, prompts: list[tuple[int, ...]], rows: range, n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """Decode the given rows (row r is response r % n of prompt r // n) side by side."""
        first = rows[0] // n
        prompts = prompts[first : rows[-1] // n + 1]
        longest = max(len(ids) for ids in prompts)
        check_positions(self.model, longest + sampling.max_new_tokens, _LENGTHS)
        owner_B = torch.tensor([r // n - first for r in rows])
        draws = _Draws([seeds[r // n] for r in rows], [r % n for r in rows])
        with no_gradients(self.model):
            decoder = self._decoder()
            logits_BV = decoder.start(prompts, owner_B)
            tokens_BT, logprobs_BT, lengths_B, ended_B = _run(decoder, logits_BV, draws, sampling, self.eos_ids)
        self._warn_of_positions(longest + int(lengths_B.max()))
        return self._completions(tokens_BT, logprobs_BT, lengths_B, ended_B)

    def _warn_of_positions(self, length: int) -> None:
        limit = positions(self.model)
        if limit is not None and length > limit and not self._warned:
            self._warned = True
            LOG.warning(
                "Prompts with their responses take up to %d tokens, and the model was made for %d (its "
                "max_position_embeddings): what it writes beyond is not to be relied on. Lower max_new_tokens.",
                length, limit,
            )  # fmt: skip

    def _completions(
        self, tokens_BT: np.ndarray, logprobs_BT: np.ndarray, lengths_B: np.ndarray, ended_B: np.ndarray
    ) -> list[Completion]:
        ids = [row[:length].tolist() for row, length in zip(tokens_BT, lengths_B, strict=True)]
        logprobs = [row[:length].tolist() for row, length in zip(logprobs_BT, lengths_B, strict=True)]
        texts = decode(self.tokenizer, ids)
        return [
            Completion(text, tuple(token_ids), tuple(values), bool(ended))
            for text, token_ids, values, ended in zip(texts, ids, logprobs, ended_B, strict=True)
        ]


def no_gradients(model: Any) -> AbstractContextManager[Any]:
    """Return the cheapest context without gradients that `model` can be trained after.

    FSDP2 keeps the weights it gathered from all processes; gathered under inference mode they could not be trained.
    """
    sharded = any(isinstance(weight, DTensor) for weight in model.parameters())
    return torch.no_grad() if sharded else torch.inference_mode()


def all_numbers(found: list[Scored]) -> list[Scored]:
    """Return what was scored, if every log-probability is a number (a forbidden token's may be minus infinity).

    Raises:
        RunError: one is not.
    """
    if any(math.isnan(value) for item in found for values in (item.trunk, *item.branches) for value in values):
        raise RunError("The model's logits are no numbers, so nothing can be scored: its weights may have diverged.")
    return found


class _Draws:
    """The uniform numbers of a batch, made in blocks of token positions."""

    def __init__(self, seeds: Sequence[int], indices: Sequence[int]) -> None:
        self._seeds_B = np.array(seeds, dtype=np.uint64)
        self._indices_B = np.array(indices, dtype=np.uint64)
        self._block = np.empty((len(seeds), 0))
        self._start = 0

    def at(self, position: int, rows: np.ndarray) -> torch.Tensor:
        """Uniform numbers of `rows` at one token position, float64 [len(rows)]."""
        if position >= self._start + self._block.shape[1]:
            self._start = position
            self._block = uniforms(self._seeds_B, self._indices_B, position, _DRAW_BLOCK)
        return torch.from_numpy(self._block[rows, position - self._start])


def draw(logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row by inverse CDF; temperature 0 takes the most likely one.

    Returns:
        tokens_B and the log-probability of each under the sampling distribution (at temperature 1 when greedy).
    """
    if temperature == 0.0:
        logprobs_BV = logits_BV.float().log_softmax(-1)
        values, tokens = logprobs_BV.max(-1)
        return tokens, values
    logits_BV = logits_BV.float()
    if temperature != 1.0:
        logits_BV = logits_BV / temperature
    probs_BV = logits_BV.softmax(-1)
    cdf_BV = probs_BV.cumsum(-1, dtype=torch.float64)
    targets_B1 = (uniforms_B.to(cdf_BV.device) * cdf_BV[:, -1]).unsqueeze(1)
    # right=True: the first entry above the target, so a token of probability zero is never drawn
    tokens_B1 = torch.searchsorted(cdf_BV, targets_B1, right=True).clamp_(max=cdf_BV.shape[1] - 1)
    return tokens_B1.squeeze(1), probs_BV.gather(1, tokens_B1).squeeze(1).log()


def _run(
    decoder: Decoder, logits_BV: torch.Tensor, draws: _Draws, sampling: Sampling, eos_ids: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decode until every row has ended or is at the limit.

    Returns:
        tokens_BT, logprobs_BT, lengths_B, ended_B (drawn an end-of-sequence token).
    """
    count, limit = logits_BV.shape[0], sampling.max_new_tokens
    eos = torch.tensor(sorted(eos_ids), device=logits_BV.device)
    tokens_BT = np.zeros((count, limit), dtype=np.int64)
    logprobs_BT = np.zeros((count, limit), dtype=np.float32)
    lengths_B = np.full(count, limit)
    alive = np.arange(count)  # the batch's rows, by their first number; some may have ended already
    open_rows = np.ones(count, dtype=bool)  # of `alive`: not ended
    for position in range(limit):
        tokens, values = draw(logits_BV, draws.at(position, alive), sampling.temperature)
        tokens_BT[alive, position] = tokens.cpu().numpy()
        logprobs_BT[alive, position] = values.cpu().numpy()
        ended = torch.isin(tokens, eos).cpu().numpy() & open_rows
        if ended.any():
            lengths_B[alive[ended]] = position + 1
            open_rows &= ~ended
            if not open_rows.any():
                break
            if (~open_rows).mean() >= _DROP_SHARE:
                keep = torch.from_numpy(open_rows.nonzero()[0]).to(tokens.device)
                decoder.keep(keep)
                tokens, alive = tokens[keep], alive[open_rows]
                open_rows = np.ones(len(alive), dtype=bool)
        if position + 1 < limit:
            logits_BV = decoder.step(tokens)
    ended_B = np.ones(count, dtype=bool)
    ended_B[alive[open_rows]] = False
    return tokens_BT, logprobs_BT, lengths_B, ended_B


def eos_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every token that ends a response: the tokenizer's and all that the generation config names."""
    ids = set(end_tokens(model))
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    if not ids:
        raise DataError("Neither the tokenizer nor the generation config names an end-of-sequence token; set one.")
    return tuple(sorted(ids))


def decode(tokenizer: Any, ids: list[list[int]]) -> list[str]:
    """Return the texts of token lists, special tokens left out, spaces as they are."""
    from transformers import PreTrainedTokenizerFast

    if (
        getattr(type(tokenizer), "_decode", None) is PreTrainedTokenizerFast._decode
    ):  # what that does, but for all at once
        return tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=True)
    return tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
