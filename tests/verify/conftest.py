"""Verifiers with real workers, shared within a module: starting one takes a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from presat.types import Problem
from presat.verify import Verifier

MakeProblem = Callable[..., Problem]


@pytest.fixture(scope="session")
def problem() -> MakeProblem:
    """Return a maker of problems by gold answer and verifier."""

    def make(gold: str | None, verifier: str = "math", **metadata: Any) -> Problem:
        return Problem("p", ({"role": "user", "content": "?"},), gold, "any domain", verifier, metadata)

    return make


@pytest.fixture(scope="module")
def boxed() -> Iterator[Verifier]:
    with Verifier("boxed") as verifier:
        yield verifier


@pytest.fixture(scope="module")
def loose() -> Iterator[Verifier]:
    """A verifier in the mode `any`."""
    with Verifier("any") as verifier:
        yield verifier
