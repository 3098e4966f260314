"""Clusters of strategies: what is one path, what is another, and what says nothing."""

from __future__ import annotations

import pytest

from presat.diagnosis.diversity import PathSimilarity, cluster_responses, order_effect, path_of
from presat.errors import DataError
from presat.metrics import diversity_index

PROMPT = "She has 3 red and 4 green bags of 2 apples. How many apples?"
SUM_FIRST = "3 + 4 = 7 bags. Then 7 * 2 = 14. So \\boxed{14}."
SAME_IN_OTHER_WORDS = "There are $3 + 4 = 7$ bags, so $7 \\times 2 = 14$ apples: \\boxed{14}"
EACH_COLOUR = "3 * 2 = 6 and 4 * 2 = 8, so 6 + 8 = 14. \\boxed{14}"


def test_one_way_in_other_words_is_one_strategy() -> None:
    found = cluster_responses(PROMPT, [SUM_FIRST, EACH_COLOUR, SAME_IN_OTHER_WORDS, "It is 14."], PathSimilarity())
    assert found.cluster_N == [0, 1, 0, None]
    assert found.sizes == [2, 1]
    assert found.diversity == diversity_index([2, 1])


def test_responses_without_a_path_say_nothing() -> None:
    found = cluster_responses(PROMPT, ["14", "It is 14."], PathSimilarity())
    assert (found.cluster_N, found.diversity) == ([None, None], None)
    assert order_effect(PROMPT, ["14"], PathSimilarity()) == 0.0


def test_on_the_lab_paths_are_the_steps() -> None:
    prompt = "7 a +3 b -2"
    one, other = "<think> 7 a +3 10 b -2 8 </think> \\boxed{ 8 }", "<think> 7 a +3 11 b -2 9 </think> \\boxed{ 9 }"
    assert cluster_responses(prompt, [one, f" {one}", other], PathSimilarity()).sizes == [2, 1]


def test_a_path_counts_equal_equalities() -> None:
    assert path_of("1 + 1 = 2. Again 1+1 = 2.") == {"1 + 1 = 2": 2}
    with pytest.raises(DataError, match="share"):
        PathSimilarity(least=0.0)


def test_the_order_matters_where_likeness_is_no_equivalence() -> None:
    chain = [f"{n} + 1 = {n + 1}. {n + 1} + 1 = {n + 2}." for n in range(6)]  # each like the next alone, at a third
    assert order_effect(PROMPT, chain, PathSimilarity(1 / 3)) > 0.0
    assert order_effect(PROMPT, [SUM_FIRST] * 5, PathSimilarity()) == 0.0
