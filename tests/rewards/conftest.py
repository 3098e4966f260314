from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from presat.types import Completion, Problem, RolloutGroup

MakeGroup = Callable[..., RolloutGroup]


@pytest.fixture(scope="session")
def group() -> MakeGroup:
    """Return a maker of groups out of response texts."""

    def make(texts: Sequence[str], verifier: str = "math", gold: str | None = "1", seed: int = 0) -> RolloutGroup:
        problem = Problem("p", ({"role": "user", "content": "?"},), gold, verifier, verifier)
        completions = tuple(Completion(text, (1, 2), None, finished=True) for text in texts)
        return RolloutGroup(problem, (0,), completions, seed)

    return make
