"""Responses judged while others are drawn: the same scores, counts and failures as without."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.verify.conftest import MakeProblem

from presat.errors import VerifierError
from presat.types import Completion, Problem, RolloutGroup, Sampling, Score
from presat.verify import Verifier
from presat.verify.groups import judged_early, score_groups

HANGS = r"\boxed{9^{9^{9^9}}}"
TEXTS = [r"\boxed{5}", r"\boxed{x^2}", r"\boxed{2x}", "none", r"\boxed{5}", r"\boxed{\frac{10}{2}}", r"\boxed{B}"]

Pairs = list[tuple[Problem, str]]


def step(problem: MakeProblem) -> Pairs:
    """Responses of every kind: right, wrong, repeated, without an answer, hanging, of other verifiers and golds."""
    problems = [problem("5"), problem("2x"), problem('["5", "x^2"]'), problem(r"\text{}"), problem(None)]
    return [(problem("5"), HANGS)] + [(one, text) for one in [*problems, problem("5", "lab")] for text in TEXTS]


def judged(pairs: Pairs, begun: Sequence[Pairs], workers: int = 1) -> tuple[list[Score], dict[str, int]]:
    with Verifier(workers=workers, timeout_s=3) as verifier:  # a loaded machine takes its time over the others
        verifier.score(pairs[0][0], r"\boxed{x=5}")
        for some in begun:
            verifier.begin(some)
        return verifier.score_many(pairs), verifier.counts


def test_begun_early_in_any_order_or_not_the_scores_and_counts_are_the_same(problem: MakeProblem) -> None:
    pairs = step(problem)
    plain = judged(pairs, [])
    rng = random.Random(0)
    assert judged(pairs, [pairs]) == plain
    assert judged(pairs, [rng.sample(pairs, 20) for _ in range(4)], workers=2) == plain
    assert {score.reason for score in plain[0]} >= {"timeout", None}


def test_what_is_begun_is_judged_meanwhile_and_asked_of_nobody_again(problem: MakeProblem) -> None:
    with Verifier() as verifier:
        pairs = [(problem("x^2"), rf"\boxed{{x^2+{number}}}") for number in range(3)]
        verifier.begin(pairs)
        verifier._early.wait()
        assert verifier._pool is not None
        verifier._pool.run = pytest.fail  # type: ignore[method-assign]
        assert [score.value for score in verifier.score_many(pairs)] == [1.0, 0.0, 0.0]
        assert verifier._early._found == {}
        assert verifier.counts["cache_hits"] == 0


def test_a_worker_killed_early_costs_nothing(problem: MakeProblem) -> None:
    with Verifier(timeout_s=3) as verifier:
        verifier.score(problem("5"), r"\boxed{x=5}")
        assert verifier._pool is not None
        pairs = [(problem("5"), HANGS), (problem("5"), r"\boxed{y=5}")]
        verifier.begin(pairs)
        time.sleep(0.2)
        os.kill(verifier._pool._workers[0].process.pid, signal.SIGKILL)
        hung, right = verifier.score_many(pairs)
        assert (hung.reason, right.value) == ("timeout", 1.0)
        assert (verifier.counts["timeouts"], verifier.counts["crashes"]) == (1, 0)


def test_closing_ends_what_was_begun_and_the_verifier_starts_anew(problem: MakeProblem) -> None:
    verifier = Verifier(timeout_s=60)
    verifier.score(problem("5"), r"\boxed{x=5}")
    verifier.begin([(problem("5"), HANGS)])
    verifier.begin([(problem("6"), HANGS)])
    time.sleep(0.2)
    began = time.monotonic()
    verifier.close()
    assert time.monotonic() - began < 20
    assert verifier._early._thread is None
    assert verifier.score(problem("5"), r"\boxed{5.0}").value == 1.0
    verifier.close()


def test_a_broken_verifier_is_an_error_where_its_scores_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, problem: MakeProblem
) -> None:
    verifier = Verifier()
    calls: list[Any] = []

    def broken(items: Any) -> Any:
        calls.append(items)
        raise VerifierError("Answers cannot be verified.")

    monkeypatch.setattr(verifier._early, "_run", broken)
    monkeypatch.setattr(verifier, "_work", broken)
    pairs = [(problem("5"), r"\boxed{6}")]
    verifier.begin(pairs)
    with pytest.raises(VerifierError, match="cannot be verified"):
        verifier.score_many(pairs)
    assert len(calls) == 2


class Teller:
    """An engine that tells of its responses while it draws."""

    def __init__(self) -> None:
        self.hear: Any = None

    @contextmanager
    def telling(self, hear: Any) -> Iterator[None]:
        self.hear = hear
        yield
        self.hear = None

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        del sampling
        texts = [[rf"\boxed{{x^2+{number}}}" for number in range(n)] for _ in problems]
        if self.hear is not None:
            self.hear([(one, text) for one, row in zip(problems, texts, strict=True) for text in row])
        return [
            RolloutGroup(one, (1,), tuple(Completion(text, (1,), (0.0,), True) for text in row), seed=seed)
            for one, row, seed in zip(problems, texts, seeds, strict=True)
        ]


@pytest.mark.parametrize("kind", ["math", "lab"])
def test_an_engine_that_tells_has_its_responses_judged_early_where_a_worker_is_needed(
    kind: str, problem: MakeProblem
) -> None:
    with Verifier() as verifier:
        engine, problems = Teller(), [problem("x^2", kind), problem("x^2+1", kind)]
        with judged_early(verifier, engine, problems):
            groups = engine.generate(problems, 3, Sampling(1.0, 5, 5), [0, 1])
        assert len(verifier._early._begun) == (6 if kind == "math" else 0)
        scores_PG = score_groups(verifier, groups)
        assert [[score.value for score in row] for row in scores_PG][1][1] == 1.0
