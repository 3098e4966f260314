"""Was this drawn by the same settings? What decides a draw, and how it differs from the one that is recorded.

An identity is a flat mapping of JSON values. Models, tokenizers and chat templates stand in it by their content, so
that a folder may move; their names are beside the hashes for people, and count only against a record without the hash.
What a record does not say is not held against it: records of earlier versions say less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from presat.errors import RunError
from presat.models.hashes import hash_template, hash_tokenizer
from presat.types import Sampling

NAME = "name"
"""Key of what the model was called, which decides nothing."""
_HASH = "_sha256"
"""Ending of the keys whose plain key holds a name."""
_SHOWN = 24
"""Characters of a value (a hash, mostly) that a message shows."""


def draw_identity(
    *,
    model: Mapping[str, Any],
    tokenizer: Any,
    engine: str,
    sampling: Sampling,
    samples: int,
    seed: int,
    extraction: str,
    chat_template: str = "",
    tokenizer_name: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Return what decides the responses to a problem and how they are judged.

    Where a server stands decides nothing: its model is known by the name it has there.

    Args:
        model: which it is, as `model_identity` says, or the name a server gives it.
        tokenizer: the tokenizer that writes the prompts, its chat template included.
        engine: the kind of the engine.
        sampling: temperature and lengths; the longest prompt decides which problems are asked, not how.
        samples: responses a problem.
        seed: seed of the draws.
        extraction: how answers are read.
        chat_template: what the configuration calls the template; empty where it is the model's own.
        tokenizer_name: what it calls the model the tokenizer is of.
        more: further JSON values that decide something here (`dtype`, the problems' hash); None leaves one out.
    """
    identity = {
        NAME: model.get("name"),
        "model": model.get("sha256") or model.get("revision") or model.get("name"),
        "engine": engine,
        "extraction": extraction,
        "tokenizer": tokenizer_name,
        "tokenizer_sha256": hash_tokenizer(tokenizer),
        "chat_template": chat_template,
        "chat_template_sha256": hash_template(tokenizer),
        "samples": samples,
        "temperature": sampling.temperature,
        "max_new_tokens": sampling.max_new_tokens,
        "seed": seed,
    }
    return identity | {key: value for key, value in more.items() if value is not None}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what of two identities differs (`seed 0, now 1`), as far as both say it."""
    found = []
    other_set = "set" in before and "set" in now and before["set"] != now["set"]
    for key in (key for key in now if key in before and key != NAME):
        if key == "problems" and other_set:
            continue  # those of the set whose prompts fit
        if key + _HASH in before and key + _HASH in now:
            continue  # a name, and what it names is known
        old, new = _value(key, before), _value(key, now)
        if old == new:
            continue
        plain = key.removesuffix(_HASH)
        if plain != key and before.get(plain) != now.get(plain):  # people know the names better
            old, new = before.get(plain), now.get(plain)
        found.append(f"{plain} {_short(old)}, now {_short(new)}")
    return found


def refuse_other(before: Mapping[str, Any], now: Mapping[str, Any], what: str, advice: str) -> None:
    """Refuse to go on when two identities differ.

    Args:
        before: what is recorded.
        now: what would be put beside it or in its place.
        what: the sentence that says what is there, without its full stop; what differs follows in brackets.
        advice: what to do, a sentence.

    Raises:
        RunError: they differ.
    """
    if found := differences(before, now):
        raise RunError(f"{what} ({'; '.join(found)}). {advice}")


def _value(key: str, identity: Mapping[str, Any]) -> Any:
    """A value as it is compared: engines were once recorded as their classes are called (`SmallEngine`)."""
    value = identity[key]
    return value.removesuffix("Engine").lower() if key == "engine" and isinstance(value, str) else value


def _short(value: Any) -> str:
    return str(value)[:_SHOWN] if value not in (None, "") else "none"
