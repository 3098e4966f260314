"""The judge `self_support`: does the trace raise the answer, in the eyes of the model that wrote both?

No other model and no label is asked. A faithful trace makes its answer likely, token by token, where the prompt alone
does not; a guess is as likely without it, and an answer that the trace contradicts is unlikely after it. The quantities
are those of `presat.diagnosis.probes`. A trace is taken to be as strong as its weakest link: the score is the lowest of
how likely the answer is after the trace, and each step after what is before it. `docs/judges.md` has how often that is
right, and where it fails.
"""

from __future__ import annotations

import hashlib
import math
import random
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from presat.config.schema import SelfSupportConfig
from presat.diagnosis.judges import Cost, Judgement, read_item
from presat.diagnosis.probes import Plan, plan, quantities
from presat.diagnosis.spans import AFTERWARDS, Parts, Text, take_apart
from presat.errors import DataError
from presat.tasks.turns import read_turns

if TYPE_CHECKING:
    from presat.rollouts.batching import BatchEngine

VERSION = 1
BATCH = 64
"""Responses whose probes are scored together."""


class _Read(NamedTuple):
    """One item: prompt as a key and as tokens, and its parts, or why there are none."""

    key: tuple[int, ...]
    parts: Parts | str


class SelfSupportJudge:
    """Asks the policy itself; the items of a call are each other's contrast."""

    settings = SelfSupportConfig

    def __init__(self, settings: SelfSupportConfig, engine: BatchEngine | None = None) -> None:
        """Open the model.

        Args:
            settings: see the type.
            engine: one that is open already, in place of `settings.model` and `settings.engine`.

        Raises:
            ConfigError: the engine cannot run here, or scores nothing.
            ModelError: the model cannot be loaded.
        """
        from presat.rollouts.opening import scoring_engine

        self._settings = settings
        self._engine = scoring_engine(settings) if engine is None else engine
        self._identity = ""

    @property
    def identity(self) -> str:
        """Name, version, and a hash of the weights, the tokenizer and what is asked."""
        if not self._identity:
            from presat.models.hashes import hash_template, hash_tokenizer
            from presat.rollouts.weights import fingerprint, whole_weights

            asked = self._settings.model_dump(mode="json", exclude={"engine", "rows", "vllm", "server", "model"})
            tokenizer = self._engine.tokenizer
            texts = (hash_tokenizer(tokenizer), hash_template(tokenizer))
            found = (fingerprint(whole_weights(self._engine.model)), texts, asked)
            self._identity = f"self_support/{VERSION}/{hashlib.sha256(repr(found).encode()).hexdigest()[:16]}"
        return self._identity

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item; see `presat.diagnosis.judges`.

        An item may also hold `prompt_ids` and `token_ids`, as saved responses do: they are scored as they are. What is
        compared with other responses (`contrast`, `swapped`) sees those of this call alone, and the score none.

        Raises:
            DataError: an item without a prompt or a response, or with tokens that are none.
            ModelError: the prompt cannot be written.
            RunError: the model's logits are no numbers.
        """
        read = [self._read(item, place) for place, item in enumerate(items)]
        plans = [self._plan(read, place) for place in range(len(read))]
        found: list[Judgement] = []
        for first in range(0, len(plans), BATCH):
            batch = plans[first : first + BATCH]
            scored = iter(self._engine.score([tree for made in batch if isinstance(made, Plan) for tree in made.trees]))
            for made in batch:
                if isinstance(made, Plan):
                    values = quantities(made, [next(scored) for _ in made.trees], self._settings.fractions)
                    found.append(self._judgement(values, Cost(made.tokens, len(made.trees))))
                elif made == AFTERWARDS:
                    found.append(Judgement(0.0, 0.0, made))
                else:
                    found.append(Judgement(None, None, made))
        return found

    def _read(self, item: Mapping[str, Any], place: int) -> _Read:
        from presat.models.templates import prompt_ids, refuse_half_characters

        tokenizer, where = self._engine.tokenizer, f"Item {place}"
        _, response, _ = read_item(item, place)
        ids = _tokens(item.get("token_ids"), f"{where}: `token_ids`")
        if ids is None:
            refuse_half_characters(response, f"{where}: `response`")
            ids = tokenizer(response, add_special_tokens=False)["input_ids"]
        asked = _tokens(item.get("prompt_ids"), f"{where}: `prompt_ids`")
        if not asked:
            prompt = item["prompt"]
            turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            messages = read_turns(turns, where, "prompt", as_shown=True)
            asked = prompt_ids(tokenizer, messages, go_on=messages[-1]["role"] == "assistant")
        return _Read(tuple(asked), take_apart(tokenizer, Text(tokenizer, ids)))

    def _plan(self, read: Sequence[_Read], place: int) -> Plan | str:
        from presat.models.checks import positions

        key, parts = read[place]
        if isinstance(parts, str):
            return parts
        # of the response alone: neither its place nor its company decides what is changed
        known = hashlib.sha256(repr((key, parts.text.ids)).encode()).hexdigest()
        rng = random.Random(f"{self._settings.seed}/{known}")
        limit = positions(self._engine.model) or sys.maxsize
        mates = [other.parts for other in read if other.key == key and isinstance(other.parts, Parts)]
        strangers = [other.parts for other in read if other.key != key and isinstance(other.parts, Parts)]
        answers = {mate.said: mate.answer_ids for mate in mates if mate.said != parts.said}
        # what others say may not fit where this response does: it is left out, and the response judged
        room = limit - 1 - len(key) - parts.answer.start
        kept = [answer for answer in answers.values() if len(answer) <= room]
        traces: dict[str, tuple[int, ...]] = {}
        if self._settings.swapped:
            room += len(parts.trace_ids) - len(parts.answer_ids)
            choices = {"other_trace": [mate for mate in mates if mate is not parts], "other_problem": strangers}
            for name, all_traces in choices.items():
                choice = [ids for mate in all_traces if len(ids := mate.trace_ids) <= room]
                if choice:
                    traces[name] = random.Random(f"{self._settings.seed}/{known}/{name}").choice(choice)
        made = plan(key, parts, self._settings, rng, kept, traces)
        longest = max(len(ids) for tree in made.trees for ids, _ in tree.rows()) + 1
        if longest > limit:
            return f"Prompt, reasoning and answer take {longest} tokens, and the model was made for {limit}."
        return made

    def _judgement(self, details: dict[str, float], cost: Cost) -> Judgement:
        score = combined(details)
        label = label_of(score, self._settings)
        reason = (
            f"The trace changes the answer's log-probability by {details['support']:+.2f} a token, from "
            f"{details['without']:.2f} to {details['with']:.2f}; its weakest step has {details['weakest_step']:.2f}."
        )
        return Judgement(label, score, reason, cost, details=details)


def label_of(score: float, settings: SelfSupportConfig) -> float:
    """The label of a score: 1, 1/2 or 0."""
    return 1.0 if score >= settings.aligned else 0.5 if score >= settings.partial else 0.0


def combined(details: Mapping[str, float]) -> float:
    """The score of some quantities, between 0 and 1: how likely the weakest link is, a token.

    Args:
        details: quantities by name. The links are the answer after the trace, and every step after what is before it.
    """
    return math.exp(min(details["with"], details["weakest_step"]))


def _tokens(value: Any, where: str) -> list[int] | None:
    """Token ids of an item; None where it has none.

    Raises:
        DataError: they are something else.
    """
    if value is None:
        return None
    try:
        ids = [int(token) for token in value]
        if all(token >= 0 for token in ids):
            return ids
    except (TypeError, ValueError):
        pass
    raise DataError(f"{where} should be a list of token ids.")
