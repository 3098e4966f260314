"""Judges of faithfulness: one interface. A judge says what it knows of a response, and nothing where it knows none.

A judgement is about the reasoning, whatever the correctness of the answer (section 5, appendix F): 1, it is a
derivation that leads to its answer; 1/2, it heads there with real gaps; 0, it contradicts or does not support the
answer; None, the judge abstains.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from presat.config.load import build
from presat.config.schema import Settings
from presat.errors import ConfigError, DataError, nearest
from presat.tasks.turns import asked_in, read_turns
from presat.text import brief


@dataclass(frozen=True, slots=True)
class Cost:
    """What a judgement took of a model: nothing, for a judge that asks none."""

    tokens: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of one response.

    Attributes:
        label: 1, 0.5 or 0; None where the judge abstains.
        score: larger where the answer is better supported by the reasoning; None where the judge abstains.
        reason: why, in a sentence; for a 0, what is wrong and where.
        cost: what it took.
        details: the numbers behind it, by name; of judges that have any.
        lasting: whether it would be the same if asked again; not where a server did not answer.
    """

    label: float | None
    score: float | None
    reason: str
    cost: Cost = Cost()
    details: Mapping[str, float] = field(default_factory=dict)
    lasting: bool = True


class Judge(Protocol):
    """Labels responses by whether their reasoning supports their answers."""

    @property
    def identity(self) -> str:
        """Name and version: judgements of the same identity of the same response are the same."""
        ...

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item: {prompt (text or chat turns), response, gold where there is one}."""
        ...


@runtime_checkable
class Estimating(Protocol):
    """A judge that can say beforehand what it will take."""

    def estimate(self, items: Sequence[Mapping[str, Any]]) -> Cost:
        """Return about what `judge` would take of a model now; what it remembers is free."""
        ...


class Item(NamedTuple):
    """One response to be judged.

    Attributes:
        prompt: what the model was asked; of chat turns, what the user said.
        response: what it said.
        gold: the right answer, where it is known.
    """

    prompt: str
    response: str
    gold: str | None


def read_item(item: Mapping[str, Any], place: int) -> Item:
    """Read what is to be judged.

    Args:
        item: prompt, response and perhaps gold.
        place: its place among the items, for errors.

    Raises:
        DataError: the prompt is neither text nor chat turns, or the response or the gold answer is no text.
    """
    where = f"Item {place}"
    prompt, response, gold = item.get("prompt"), item.get("response"), item.get("gold")
    if not isinstance(response, str):
        raise DataError(f"{where}: `response` should be what the model said, as text; it is {brief(response, 80)}.")
    if gold is not None and not isinstance(gold, str):
        raise DataError(f"{where}: `gold` should be text or null; it is {brief(gold, 80)}.")
    if isinstance(prompt, str):
        return Item(prompt, response, gold)
    if not isinstance(prompt, list | tuple):
        raise DataError(f"{where}: `prompt` should be text or a list of chat turns; it is {brief(prompt, 80)}.")
    turns = read_turns(prompt, where, "prompt")
    return Item(asked_in(turns), response, gold)


TEXTS = ("prompt", "messages", "text", "gold")
TOKENS = ("prompt_ids", "token_ids")
"""Columns of saved responses that a judge is given; the tokens only spare it from making them."""


def item_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a judge is given of a saved response: the same for the same response wherever it is judged.

    Args:
        row: with the columns `TEXTS`, and of `TOKENS` those that there are.
    """
    tokens = {name: row[name] for name in TOKENS if row.get(name) is not None}
    return {"prompt": row["messages"] or row["prompt"], "response": row["text"], "gold": row["gold"], **tokens}


JUDGES: Mapping[str, tuple[str, str]] = {
    "symbolic": ("presat.diagnosis.symbolic", "SymbolicJudge"),
    "self_support": ("presat.diagnosis.self_support", "SelfSupportJudge"),
    "llm": ("presat.diagnosis.llm", "LLMJudge"),
    "ensemble": ("presat.diagnosis.ensemble", "EnsembleJudge"),
}
"""Judges by name: the module and the class, which is imported when it is asked for."""


def make_judge(name: str, **options: Any) -> Judge:
    """Make a judge of faithfulness.

    Args:
        name: `symbolic`, which calculates again what a response says; `self_support`, which asks the model that wrote
            it (`model=...`); `llm`, which asks a language model behind a server; `ensemble`, which combines others.
        options: settings of the judge.

    Raises:
        ConfigError: there is no such judge, or it has no such setting.
    """
    if name not in JUDGES:
        raise ConfigError(f"There is no judge '{name}'.{nearest(name, JUDGES)}")
    module, made = JUDGES[name]
    judge: Callable[..., Judge] = getattr(importlib.import_module(module), made)
    settings: type[Settings] | None = getattr(judge, "settings", None)
    if settings is not None:
        return judge(build(settings, options, f"the judge '{name}'"))
    known = inspect.signature(judge).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(f"The judge '{name}' has no setting '{unknown[0]}'.{nearest(unknown[0], known)}")
    lacking = [o for o, each in known.items() if each.default is inspect.Parameter.empty and o not in options]
    if lacking:
        raise ConfigError(f"The judge '{name}' needs the setting `{lacking[0]}` (docs/judges.md).")
    return judge(**options)
