"""What all local engines share: prompts are tokenised, rows decoded in batches, responses put into their groups.

An engine supplies a `Decoder`; how rows are decoded and tokens drawn is in `loop`. Shapes: B rows decoded side by side,
T response tokens.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from presat.errors import DataError, RunError
from presat.models.checks import check_positions, end_tokens, positions
from presat.models.templates import prompt_ids
from presat.rollouts.graphs import Repeated
from presat.rollouts.loop import Decoder, Drawn, Draws, decode_rows
from presat.rollouts.scoring import Scored, Tree, fits, score_trees
from presat.types import Completion, Problem, RolloutGroup, Sampling

LOG = logging.getLogger("presat")

_LENGTHS = "prompts and responses (lower `max_new_tokens` or `max_prompt_tokens`)"


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
        self._repeated = Repeated()
        self._prompts: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._hear: Callable[[list[tuple[Problem, str]]], None] | None = None
        self._told: Callable[[Sequence[int], Sequence[str]], None] | None = None

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

    @contextmanager
    def telling(self, hear: Callable[[list[tuple[Problem, str]]], None]) -> Iterator[None]:
        """Tell of responses as they end, while others are still being drawn: in no order, some twice, some not at all.

        Args:
            hear: is given problems with a response each. It had better take no time.
        """
        self._hear = hear
        try:
            yield
        finally:
            self._hear = self._told = None

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
        if (hear := self._hear) is not None:
            self._told = lambda at, texts: hear([(problems[r // n], text) for r, text in zip(at, texts, strict=True)])
        for first in range(0, total, self.rows):
            batch = range(first, min(first + self.rows, total))
            rows += self._decode(prompts, batch, n, sampling, seeds)
            if self._told is not None and len(rows) < total:
                self._told(batch, [completion.text for completion in rows[first:]])
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
        draws = Draws([seeds[r // n] for r in rows], [r % n for r in rows])
        limit = sampling.max_new_tokens
        with no_gradients(self.model):
            decoder = self._decoder()
            logits_BV = decoder.start(prompts, owner_B, limit - 1)
            found = decode_rows(
                decoder, logits_BV, draws, sampling.temperature, limit, self.eos_ids, self._repeated, self._teller(rows)
            )
        self._warn_of_positions(longest + int(found.lengths_B.max()))
        return self._completions(found)

    def _teller(self, rows: range) -> Callable[[np.ndarray, Drawn], None] | None:
        """Return what tells of some of the given rows, if somebody hears."""
        if (told := self._told) is None:
            return None

        def tell(at: np.ndarray, found: Drawn) -> None:
            ids = [found.tokens_BT[row, : found.lengths_B[row]].tolist() for row in at]
            told([rows[row] for row in at], decode(self.tokenizer, ids))

        return tell

    def _warn_of_positions(self, length: int) -> None:
        limit = positions(self.model)
        if limit is not None and length > limit and not self._warned:
            self._warned = True
            LOG.warning(
                "Prompts with their responses take up to %d tokens, and the model was made for %d (its "
                "max_position_embeddings): what it writes beyond is not to be relied on. Lower max_new_tokens.",
                length, limit,
            )  # fmt: skip

    def _completions(self, found: Drawn) -> list[Completion]:
        ids = [row[:length].tolist() for row, length in zip(found.tokens_BT, found.lengths_B, strict=True)]
        logprobs = [row[:length].tolist() for row, length in zip(found.logprobs_BT, found.lengths_B, strict=True)]
        texts = decode(self.tokenizer, ids)
        return [
            Completion(text, tuple(token_ids), tuple(values), bool(ended))
            for text, token_ids, values, ended in zip(texts, ids, logprobs, found.ended_B, strict=True)
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
