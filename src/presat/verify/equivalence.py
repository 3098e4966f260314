"""Which answers say the same thing: classes of equivalent answers, for votes and for counting distinct answers.

Math answers are compared by Math-Verify (each class's most frequent form stands for it), Reasoning Gym and lab answers
by their plain text. Nothing here looks at a gold answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from presat.verify.reasoning_gym import plain
from presat.verify.verifier import Verifier

_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)")


def normal_form(answer: str, verifier: str) -> str:
    """Return an answer without what never matters: white space, dollar signs, and leading zeros of whole numbers."""
    text = " ".join((plain(answer) if verifier == "reasoning_gym" else answer.strip().strip("$")).split())
    if _INTEGER.fullmatch(text) and len(text) < 1000:
        return str(int(text.replace(",", "")))
    return text


def equivalence_classes(answers_N: Sequence[str | None], verifier: str, judge: Verifier) -> list[int | None]:
    """Return the class of each answer, numbered by first appearance; None for an absent or empty answer.

    Args:
        answers_N: extracted answers.
        verifier: the verifier of the problem they answer: `math`, `reasoning_gym` or `lab`.
        judge: compares math answers; a comparison that times out counts as different.
    """
    forms = [normal_form(answer, verifier) if answer and answer.strip() else None for answer in answers_N]
    counts = Counter(form for form in forms if form is not None)  # in order of first appearance
    left = sorted(counts, key=lambda form: -counts[form])
    leader: dict[str, str] = {}
    while left:
        first, *left = left
        leader[first] = first
        if verifier != "math":
            continue
        rivals = [form for form in left if not (_INTEGER.fullmatch(first) and _INTEGER.fullmatch(form))]
        same = judge.equivalent([(first, form) for form in rivals])
        members = {form for form, is_same in zip(rivals, same, strict=True) if is_same}
        leader.update(dict.fromkeys(members, first))
        left = [form for form in left if form not in members]
    numbers: dict[str, int] = {}
    return [None if form is None else numbers.setdefault(leader[form], len(numbers)) for form in forms]
