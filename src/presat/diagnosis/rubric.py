"""Rubrics: what a language model is asked, as files beside this module, and how its verdict is read.

A rubric is text with places for what it judges: `<<PROMPT>>`, `<<RESPONSE>>`, ... `<<MARK>>` stands for letters that
depend on all of them, so that no response can close the tags it stands in. Whoever changes a file makes another judge:
its hash is part of the judge's identity.

A verdict is the last line of an answer, `VERDICT: aligned`. An answer without one, with two that differ, or with words
after it has no verdict: nothing is guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from presat.errors import ConfigError
from presat.text import listed, printable

RUBRICS = Path(__file__).with_name("rubrics")
LONGEST_REASON = 400
_PLACE = re.compile(r"<<([A-Z]+)>>")
_MARK = "MARK"
_DECORATION = r"[\s*_`#>\"']*"
_VERDICT = re.compile(rf"{_DECORATION}verdict{_DECORATION}:{_DECORATION}(?P<word>[a-z][a-z ]*?)[\s*_`\"'.]*", re.I)
_THOUGHT_END = "</think>"


@dataclass(frozen=True, slots=True)
class Rubric:
    """What is asked.

    Attributes:
        text: with places for what is judged.
        hash: of the text, in short.
    """

    text: str
    hash: str

    def filled(self, parts: Mapping[str, str]) -> str:
        """Return the question about `parts`, by the names of their places."""
        shown = dict.fromkeys(name for name in _PLACE.findall(self.text) if name != _MARK)
        mark = _digest("\0".join(parts[name] for name in shown))[:8]
        return _PLACE.sub(lambda match: mark if match[1] == _MARK else parts[match[1]], self.text)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer says.

    Attributes:
        word: the verdict; None where the answer has none.
        reason: what the answer says for it; without a verdict, what is wrong with the answer.
    """

    word: str | None
    reason: str


def read_rubric(path: Path, needed: Collection[str], known: Collection[str]) -> Rubric:
    """Read a rubric.

    Args:
        path: its file.
        needed: the places it has to have.
        known: the places it may have.

    Raises:
        ConfigError: it cannot be read, or its places are others.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The rubric {printable(str(path))} cannot be read: {reason}.") from error
    places = set(_PLACE.findall(text))
    if lacking := [f"<<{name}>>" for name in needed if name not in places]:
        raise ConfigError(f"The rubric {printable(str(path))} lacks {listed(lacking)}: it would not say what to judge.")
    if unknown := [f"<<{name}>>" for name in sorted(places) if name not in {*known, _MARK}]:
        raise ConfigError(f"The rubric {printable(str(path))} has {listed(unknown)}, for which there is nothing.")
    return Rubric(text, _digest(text)[:12])


def read_verdict(answer: str, words: Collection[str]) -> Verdict:
    """Read the verdict of an answer.

    Args:
        answer: what the model said; a thought before it (`<think>...</think>`) is passed over.
        words: the verdicts there are, in small letters.
    """
    said = answer.rpartition(_THOUGHT_END)[2]
    if "<think>" in said:
        return Verdict(None, "The answer ends within a thought.")
    lines = [line for line in said.splitlines() if line.strip()]
    found = [" ".join(match["word"].lower().split()) for line in lines if (match := _VERDICT.fullmatch(line))]
    if not lines:
        return Verdict(None, "The answer is empty.")
    if not found or _VERDICT.fullmatch(lines[-1]) is None:
        return Verdict(None, "The answer does not end with a verdict.")
    if len(set(found)) > 1:
        return Verdict(None, "The answer has verdicts that differ.")
    if found[0] not in words:
        return Verdict(None, "The answer has a verdict that is none of the rubric's.")
    return Verdict(found[0], _reason([line for line in lines if _VERDICT.fullmatch(line) is None]))


def _reason(lines: list[str]) -> str:
    text = " ".join(" ".join(lines).split())
    if not text:
        return "The model gave no reason."
    return printable(text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 4]} ...")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
