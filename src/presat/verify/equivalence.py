"""Which answers say the same thing: classes of equivalent answers, for votes and for counting distinct answers.

Math answers are compared by Math-Verify, any form of one class with any of another; Reasoning Gym, lab and
multiple-choice answers by their plain text. Nothing here looks at a gold answer; `judged_classes` uses the verdicts of
answers that were judged already.

A form over which Math-Verify hangs or crashes is left to its text for the rest of a vote, so that hostile answers cost
one time-out each and not one for each pair.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from presat.answers.normal import normal_form as math_form
from presat.types import Score
from presat.verify.reasoning_gym import plain
from presat.verify.verifier import Verifier

_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)")


def normal_form(answer: str, verifier: str) -> str:
    """Return an answer without what never matters: for math `presat.answers.normal`, else white space and dollars."""
    if verifier == "math":
        answer = math_form(answer)
    text = " ".join((plain(answer) if verifier == "reasoning_gym" else answer.strip().strip("$")).split())
    if _INTEGER.fullmatch(text) and len(text) < 1000:
        return str(int(text.replace(",", "")))
    return text


def equivalence_classes(answers_N: Sequence[str | None], verifier: str, judge: Verifier) -> list[int | None]:
    """Return the class of each answer, numbered by first appearance; None for an absent or empty answer.

    Args:
        answers_N: extracted answers.
        verifier: the verifier of the problem they answer: `math`, `reasoning_gym`, `lab` or `choice`.
        judge: compares math answers; what cannot be compared in time counts as different.
    """
    forms_N = [_form(answer, verifier) for answer in answers_N]
    if verifier != "math":
        return _numbered(forms_N)
    class_of = _classes(Counter(form for form in forms_N if form is not None), judge)
    return _numbered([None if form is None else class_of[form] for form in forms_N])


def judged_classes(scores_N: Sequence[Score], verifier: str, judge: Verifier | None = None) -> list[int | None]:
    """Return the class of each judged answer, as `equivalence_classes` does, with the help of the verdicts.

    Right math answers equal the gold answer: they are one class, and no wrong one is in it. A missing verdict leaves an
    answer to its text, for what could not be compared with the gold answer in time is no faster with another. Wrong
    answers are compared with each other, and only as far as that can decide whether the most frequent answer is right:
    where the best of the others has at least as many votes as any wrong text, and no more than all of them together.

    Args:
        scores_N: verdicts on the answers to one problem.
        verifier: as in `equivalence_classes`.
        judge: compares wrong math answers; None leaves them to their text.
    """
    forms_N = [_form(score.extracted, verifier) for score in scores_N]
    if verifier != "math":
        return _numbered(forms_N)
    names_N = [
        None if form is None else (score.value, "" if score.value == 1.0 else form)
        for form, score in zip(forms_N, scores_N, strict=True)
    ]
    votes = Counter(name for name in names_N if name is not None)
    wrong = Counter({form: count for (value, form), count in votes.items() if value == 0.0})
    rival = max((count for (value, _), count in votes.items() if value != 0.0), default=0)
    if judge is None or not rival or not max(wrong.values(), default=0) <= rival <= wrong.total():
        return _numbered(names_N)
    class_of = _classes(wrong, judge, least=rival)
    return _numbered([(0.0, class_of[name[1]]) if name and name[0] == 0.0 else name for name in names_N])


def _form(answer: str | None, verifier: str) -> str | None:
    return normal_form(answer, verifier) if answer and answer.strip() else None


def _classes(counts: Counter[str], judge: Verifier, least: int = 1) -> dict[str, str]:
    r"""The class of each form, named after one of its members.

    Forms that a chain of equal pairs connects are one class: Math-Verify takes 25.0 for 25 and 25 for `\text{25}`, but
    not 25.0 for `\text{25}`. Every pair that is not in one class yet is compared, the more frequent form as the gold
    answer, until no classes that are still open can reach `least` votes together. The order of the answers decides
    nothing.
    """
    forms = sorted(counts, key=lambda form: (-counts[form], form))
    parent = {form: form for form in forms}

    def root(form: str) -> str:
        while form != parent[form]:
            form = parent[form]
        return form

    waiting = _quick(forms, judge)
    while len(waiting) > 1:
        first, *waiting = waiting
        open_roots = {root(form) for form in (first, *waiting)}
        if len(open_roots) < 2 or sum(counts[form] for form in forms if root(form) in open_roots) < least:
            break
        # different whole numbers are not equal: nobody need be asked
        todo = [form for form in waiting if not (_INTEGER.fullmatch(first) and _INTEGER.fullmatch(form))]
        while todo := [form for form in todo if root(form) != root(first)]:
            batch = list({root(form): form for form in reversed(todo)}.values())  # of each class one form at a time
            for form, same in zip(batch, judge.equivalent([(first, form) for form in batch]), strict=True):
                if same:
                    parent[root(form)] = root(first)
                elif same is None:  # the rarer of two forms that hang together is not compared any more
                    waiting.remove(form)
                todo.remove(form)
    return {form: root(form) for form in forms}


def _quick(forms: Sequence[str], judge: Verifier) -> list[str]:
    """The forms that Math-Verify can compare with a number in time: what hangs there hangs with every other number."""
    asked = [form for form in forms if not _INTEGER.fullmatch(form)] if len(forms) > 1 else []
    verdicts = judge.equivalent([("0", form) for form in asked])
    hangs = {form for form, same in zip(asked, verdicts, strict=True) if same is None}
    return [form for form in forms if form not in hangs]


def _numbered(names_N: Sequence[Hashable | None]) -> list[int | None]:
    """Number names by first appearance; None stays."""
    numbers: dict[Hashable, int] = {}
    return [None if name is None else numbers.setdefault(name, len(numbers)) for name in names_N]
