"""Multiple-choice questions: rows as GPQA, SuperGPQA, MMLU, ARC, MedQA and MedMCQA publish them, as lettered options.

The gold answer is the letter; the options are kept in `metadata["choices"]`, by which the verifier also accepts the
text of the right one (`presat.verify.choice`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from presat.errors import DataError
from presat.tasks.cells import field_names
from presat.tasks.prompts import chat
from presat.tasks.rows import QUESTION_COLUMNS, column, content_id
from presat.tasks.turns import whole_question
from presat.text import brief, listed
from presat.types import Problem

_APART = (
    ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
    ("correct_answer", "distractor1", "distractor2", "distractor3"),
)
"""The right option and the wrong ones, in columns of their own: GPQA's and SciQ's."""
_LISTS = ("options", "choices")
_COLUMN = re.compile(r"(?i:(op|opt|option|choice)[ _-]?([a-h]|[1-8]))|()([A-H])")
"""A column that holds one option: `opa`, `option_a`, `Option A`, `choice1`, `A`."""
_FEWEST = 2
"""Columns with such names in one row, from which on they are taken for options."""
_LEAST = {"": 4}
"""How many such columns make options, by what they are called before the letter; else two."""
_GOLDS = (
    "answer_letter", "answer_index", "answer_idx", "answerKey", "correct_option", "correct_answer", "correct", "cop",
    "answer",
)  # fmt: skip
_NO_GOLD = -1
"""What a test split says of its right options where it keeps them (MedMCQA)."""
_LETTERED = re.compile(r"\(?([A-Z])\s?[).:]\s*(.*)", re.IGNORECASE | re.DOTALL)
"""An option that begins with its letter: AQuA's `A)21`, MathQA's `a ) 21`."""
_NEXT_LETTER = re.compile(r"\s,\s(?=[a-z]\s\)\s)")
"""Where the next option begins of those in one text (MathQA)."""
_LABELS, _TEXTS = ("label", "labels", "key", "id"), ("text", "texts", "value", "content")
INSTRUCTION = "Answer with the letter of the right option."


class _Options(NamedTuple):
    """The options of a row: its columns they come from, their labels as far as it has any, and their texts."""

    columns: tuple[str, ...]
    labels: list[str] | None
    texts: list[str]


def is_choices(row: Mapping[str, Any]) -> bool:
    """Whether a row is a multiple-choice question in a layout known here, its right option named."""
    if is_shuffled(row):
        return True
    found = _options(row)
    return found is not None and len(found.texts) > 1 and _gold_column(row) is not None


def refuse_gaps(row: Mapping[str, Any], where: str) -> None:
    """Refuse a row whose columns of options are not A, B and so on: its question would be shown without them.

    Raises:
        DataError: an option is missing between others, or stands twice.
    """
    named = [(name, found) for name in row if isinstance(name, str) and (found := _COLUMN.fullmatch(name)) and found[1]]
    if len(named) < _FEWEST or _gold_column(row) is None:
        return
    places = [(found[1].lower(), found[2].upper()) for _, found in named]
    if len(set(places)) < len(places) or _options(row) is None:
        raise DataError(
            f"{where}: the columns {listed([name for name, _ in named])} hold options, and these are not A, B and "
            "so on, each once and without a gap. Fill the empty ones, or rename the columns if they hold other things."
        )


def _gold_column(row: Mapping[str, Any]) -> str | None:
    name = column(row, _GOLDS)
    return None if name is None or row[name] is None else name


def _options(row: Mapping[str, Any]) -> _Options | None:
    """The options of a row in any layout but GPQA's; None where there are none."""
    name = column(row, _LISTS)
    value = row[name] if name is not None else None
    if name is not None and isinstance(value, Mapping):
        label, text = (
            next((key for key in keys if isinstance(value.get(key), list)), None) for keys in (_LABELS, _TEXTS)
        )
        if text is not None:
            return _Options(
                (name,), None if label is None else list(map(str, value[label])), list(map(str, value[text]))
            )
        pairs = {str(key).strip(): item for key, item in value.items() if isinstance(item, str)}  # null: of other rows
        return _Options((name,), list(pairs), list(pairs.values())) if all(map(_is_label, pairs)) and pairs else None
    if name is not None and isinstance(value, list):
        if value and all(isinstance(item, Mapping) for item in value):
            label, text = (next((key for key in keys if key in value[0]), "") for keys in (_LABELS, _TEXTS))
            rows = [(str(item.get(label, "")), str(item.get(text, ""))) for item in value]
            return _Options((name,), [one for one, _ in rows] if label else None, [one for _, one in rows])
        return _lettered(name, [str(item) for item in value]) or _Options((name,), None, [str(item) for item in value])
    if name is not None and isinstance(value, str) and (found := _lettered(name, _NEXT_LETTER.split(value))):
        return found
    return _in_columns(row)


def _lettered(name: str, texts: Sequence[str]) -> _Options | None:
    """Options that all begin with their letters, without these; None where they do not."""
    found = [match for text in texts if (match := _LETTERED.fullmatch(text.strip()))]
    labels = [match[1].upper() for match in found]
    if len(found) < max(2, len(texts)) or labels != [chr(ord("A") + place) for place in range(len(texts))]:
        return None
    return _Options((name,), labels, [match[2] for match in found])


def _in_columns(row: Mapping[str, Any]) -> _Options | None:
    """The options of a row that has a column for each."""
    kinds: dict[str, dict[str, str]] = {}
    for name in row:
        found = _COLUMN.fullmatch(name) if isinstance(name, str) else None
        if found and isinstance(row[name], str | int | float) and str(row[name]).strip():
            kinds.setdefault((found[1] or "").lower(), {}).setdefault((found[2] or found[4]).upper(), name)
    for kind, named in kinds.items():
        for labels in ("ABCDEFGH", "12345678"):
            count = next((place for place, label in enumerate(labels) if label not in named), len(labels))
            if count >= _LEAST.get(kind, 2):
                names = tuple(named[label] for label in labels[:count])
                return _Options(names, [*labels[:count]], [str(row[name]) for name in names])
    return None


def option_number(row: Mapping[str, Any]) -> int | None:
    """Return the number by which a row with a column for each option says which is right; None where it does not.

    It counts from 0 or from 1, which one row alone does not show (`counted`).
    """
    gold, found = _gold_column(row), _in_columns(row)
    value = None if gold is None else row[gold]
    if found is None or column(row, _LISTS) is not None or str(value).strip() in (found.labels or ()):
        return None
    if isinstance(value, float) and value.is_integer():  # of a table with gaps
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,3}\s*", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value != _NO_GOLD else None


def counted(problems: list[Problem], numbers: Mapping[int, int], source: str) -> list[Problem]:
    """Give problems whose right option is a number its letter, as all of them together show where it counts from.

    Args:
        problems: all problems of a source.
        numbers: the number, by the place of the problem.
        source: what the source is called in messages.

    Raises:
        DataError: they count from 0 and from 1 alike, or nothing shows which.
    """
    if not numbers:
        return problems
    from_0 = any(number == 0 for number in numbers.values())
    from_1 = any(number == len(problems[place].metadata["choices"]) for place, number in numbers.items())
    if from_0 == from_1:
        said = "are both 0 and the number of options" if from_0 else "is neither 0 nor the number of options"
        raise DataError(
            f"{source}: the right options are numbers, and nothing shows whether they count from 0 or from 1: among "
            f"{len(numbers)} of them there {said}. Write letters in their place."
        )
    found = [*problems]
    for place, number in numbers.items():
        found[place] = replace(problems[place], gold=chr(ord("A") + number - from_1))
    return found


def _is_label(name: str) -> bool:
    return len(name) <= 2 and name.isalnum()


def is_shuffled(row: Mapping[str, Any]) -> bool:
    """Whether a multiple-choice row comes without an order of its options, so that a seed decides it."""
    return _apart(row) is not None


def _apart(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The columns of the right option and of the wrong ones, where a row tells them apart so."""
    return next((names for names in _APART if all(name in row for name in names)), None)


def problem_of_choices(
    row: Mapping[str, Any], where: str, domain: str = "", system: str | None = None, seed: int = 0
) -> Problem:
    """Turn a multiple-choice row into a problem.

    GPQA's rows give the right answer apart from the wrong ones: the options are shuffled, each question by `seed` and
    its own text. Rows with a list of options keep its order, which options like `all of the above` rely on.

    Raises:
        DataError: a field is missing or of the wrong kind, or the answer is not among the options.
    """
    name = column(row, (*QUESTION_COLUMNS, "question_stem"))
    if name is None or not isinstance(row[name], str) or not row[name].strip():
        raise DataError(f"{where}: no question among the fields {field_names(row)}.")
    question = whole_question(row, name, where).strip()
    if apart := _apart(row):
        used, (options, right) = apart, _shuffled(row, apart, question, where, seed)
    else:
        used, options, right = _listed(row, where)
    lettered = "\n".join(f"{chr(ord('A') + index)}) {option}" for index, option in enumerate(options))
    messages = chat(f"{question}\n\n{lettered}\n\n{INSTRUCTION}", domain or "science", system)
    metadata = {key: value for key, value in row.items() if key != name and key not in used} | {"choices": options}
    gold = None if right is None else chr(ord("A") + right)
    return Problem(content_id(messages), messages, gold, domain or "science", "choice", metadata)


def _shuffled(
    row: Mapping[str, Any], apart: Sequence[str], question: str, where: str, seed: int
) -> tuple[list[str], int]:
    options = []
    for name in apart:
        if not isinstance(row[name], str) or not row[name].strip():
            raise DataError(f"{where}: field '{name}' should be text; it is {brief(row[name], 80)}.")
        options.append(row[name].strip())
    order = random.Random(f"choices/{seed}/{question}").sample(range(len(options)), len(options))
    return [options[index] for index in order], order.index(0)


def _listed(row: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], list[str], int | None]:
    """The columns used, the options, and the place of the right one; None where the source keeps it."""
    found = _options(row) or _Options(_LISTS[:1], None, [])
    names = " and ".join(f"'{name}'" for name in found.columns)
    options = [text.strip() for text in found.texts]
    if not 2 <= len(options) <= 26:
        raise DataError(f"{where}: field {names} should hold 2 to 26 options; it holds {len(options)}.")
    labels = [label.strip().strip("().:").upper() for label in found.labels or ()]
    if labels and (len(labels) != len(options) or len(set(labels)) < len(labels)):
        raise DataError(f"{where}: field {names} should hold one label for each option; it holds {brief(labels, 80)}.")
    gold = _gold_column(row)
    if gold is None:
        raise DataError(f"{where}: none of the fields {', '.join(_GOLDS)} says which option is right.")
    if str(row[gold]).strip() == str(_NO_GOLD):
        return (*found.columns, *_GOLDS), options, None
    names_of = dict(zip((name.lower() for name in found.columns), range(len(options)), strict=False))
    place = names_of.get(str(row[gold]).strip().lower()) if len(found.columns) > 1 else None
    number = option_number(row)
    if place is None and number is not None:  # which it is, `counted` says
        place = min(number, len(options) - 1) if 0 <= number <= len(options) else None
    elif place is None:
        place = _place(row[gold], options, labels)
    if place is None:
        raise DataError(
            f"{where}: field '{gold}' should name one of the {len(options)} options; it is {brief(row[gold], 80)}."
        )
    return (*found.columns, *_GOLDS), options, place


def _place(value: Any, options: Sequence[str], labels: Sequence[str]) -> int | None:
    """The place of the option that `value` names: by its label, else its letter, its text, or its number from 0."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    label = text.strip("().:").upper()
    if label in labels:
        return labels.index(label)
    if isinstance(value, int):
        return value if 0 <= value < len(options) and not labels else None
    letter = ord(text) - ord("A") if len(text) == 1 and text.isupper() else None
    if letter is not None and letter < len(options):
        return letter
    return options.index(text) if text in options else None
