"""Multiple-choice questions: rows as GPQA, SuperGPQA and MMLU publish them, made into problems with lettered options.

The gold answer is the letter; the options are kept in `metadata["choices"]`, by which the verifier also accepts the
text of the right one (`presat.verify.choice`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from presat.errors import DataError
from presat.tasks.cells import field_names
from presat.tasks.prompts import chat
from presat.tasks.rows import content_id
from presat.text import brief
from presat.types import Problem

_GPQA = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_LISTS = ("options", "choices")
_GOLDS = ("answer_letter", "answer_index", "answer")
INSTRUCTION = "Answer with the letter of the right option."


def is_choices(row: Mapping[str, Any]) -> bool:
    """Whether a row is a multiple-choice question in a layout known here, its right option named."""
    listed = any(isinstance(row.get(name), list) and len(row[name]) > 1 for name in _LISTS)
    return all(name in row for name in _GPQA) or (listed and any(row.get(name) is not None for name in _GOLDS))


def is_shuffled(row: Mapping[str, Any]) -> bool:
    """Whether a multiple-choice row comes without an order of its options, so that a seed decides it."""
    return "Correct Answer" in row


def problem_of_choices(
    row: Mapping[str, Any], where: str, domain: str = "", system: str | None = None, seed: int = 0
) -> Problem:
    """Turn a multiple-choice row into a problem.

    GPQA's rows give the right answer apart from the wrong ones: the options are shuffled, each question by `seed` and
    its own text. Rows with a list of options keep its order, which options like `all of the above` rely on.

    Raises:
        DataError: a field is missing or of the wrong kind, or the answer is not among the options.
    """
    name = next(
        (name for name in ("Question", "question") if isinstance(row.get(name), str) and row[name].strip()), None
    )
    if name is None:
        raise DataError(f"{where}: no question among the fields {field_names(row)}.")
    question = row[name].strip()
    options, right = _shuffled(row, question, where, seed) if is_shuffled(row) else _listed(row, where)
    lettered = "\n".join(f"{chr(ord('A') + index)}) {option}" for index, option in enumerate(options))
    messages = chat(f"{question}\n\n{lettered}\n\n{INSTRUCTION}", domain or "science", system)
    used = {name, *_GPQA, *_LISTS, *_GOLDS}
    metadata = {key: value for key, value in row.items() if key not in used} | {"choices": options}
    gold = chr(ord("A") + right)
    return Problem(content_id(messages), messages, gold, domain or "science", "choice", metadata)


def _shuffled(row: Mapping[str, Any], question: str, where: str, seed: int) -> tuple[list[str], int]:
    options = []
    for name in _GPQA:
        if not isinstance(row[name], str) or not row[name].strip():
            raise DataError(f"{where}: field '{name}' should be text; it is {brief(row[name], 80)}.")
        options.append(row[name].strip())
    order = random.Random(f"choices/{seed}/{question}").sample(range(len(options)), len(options))
    return [options[index] for index in order], order.index(0)


def _listed(row: Mapping[str, Any], where: str) -> tuple[list[str], int]:
    name = next(name for name in _LISTS if isinstance(row.get(name), list))
    options = [str(option).strip() for option in row[name]]
    if not 2 <= len(options) <= 26:
        raise DataError(f"{where}: field '{name}' should hold 2 to 26 options; it holds {len(options)}.")
    gold = next((gold for gold in _GOLDS if row.get(gold) is not None), None)
    if gold is None:
        raise DataError(f"{where}: none of the fields {', '.join(_GOLDS)} says which option is right.")
    value = row[gold]
    if isinstance(value, str):
        text = value.strip()
        index = ord(text) - ord("A") if len(text) == 1 and text.isupper() else None
        if index is None or index >= len(options):
            index = options.index(text) if text in options else None
    else:
        index = value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(options) else None
    if index is None:
        raise DataError(
            f"{where}: field '{gold}' should name one of the {len(options)} options; it is {brief(value, 80)}."
        )
    return options, index
