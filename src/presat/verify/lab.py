"""The lab's verifier: exact comparison of the box with the gold number. Needs no worker process."""

from __future__ import annotations


def same(gold: str, answer: str) -> bool:
    """Whether two answers are the same whole number, or else the same text but for white space around it."""
    gold, answer = gold.strip(), answer.strip()
    if gold == answer:
        return True
    try:
        return int(gold) == int(answer)
    except ValueError:
        return False
