"""The lab domain: chains within their bounds, splits that never meet, corpora and targets that say what is true."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import ConfigError, DataError
from presat.tasks import load_problems
from presat.tasks.lab import NAMES, Chain, answer_target, chain_of, check_trace, lab_problems, thinking_target
from presat.tasks.lab.chains import LABELS, LARGEST_ADDEND, TOP, constant_guess
from presat.tasks.lab.corpus import MAKERS, WEIGHTS, WRONG_SHARE, documents
from presat.tasks.lab.solutions import targets, trace


def totals_by_hand(prompt: str) -> list[int]:
    start, *rest = prompt.split()
    found = [int(start)]
    for operand in rest[1::2]:
        found.append(found[-1] + int(operand))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_chains_stay_in_their_bounds_and_answers_are_right(name: str) -> None:
    problems = lab_problems(name, count=200, seed=3)
    assert len({p.messages[0]["content"] for p in problems}) == 200
    for problem in problems:
        prompt = problem.messages[0]["content"]
        totals = totals_by_hand(prompt)
        assert min(totals) >= 0
        assert max(totals) <= TOP
        assert problem.gold == str(totals[-1])
        assert prompt.split()[1::2] == list(LABELS[: len(totals) - 1])
        assert all(1 <= abs(operand) <= LARGEST_ADDEND for operand in chain_of(problem).operands)


def test_a_set_is_a_function_of_its_seed_and_longer_sets_begin_alike() -> None:
    first = lab_problems("chains", count=30, seed=4)
    assert lab_problems("chains", count=30, seed=4) == first
    assert lab_problems("chains", count=60, seed=4)[:30] == first
    assert lab_problems("chains", count=30, seed=5) != first
    assert load_problems("lab/chains", count=30, seed=4) == first


def test_no_constant_answer_earns_more_than_one_in_ten() -> None:
    assert constant_guess(lab_problems("chains", count=1000, seed=1, split="held_out")) < 0.1
    assert constant_guess(lab_problems("mostly_minus", count=1000, seed=1, split="held_out")) < 0.12


def test_the_shifted_set_is_mostly_minus() -> None:
    operands = [o for p in lab_problems("mostly_minus", count=300, seed=2) for o in chain_of(p).operands]
    assert 0.6 < sum(o < 0 for o in operands) / len(operands) < 0.8
    operands = [o for p in lab_problems("chains", count=300, seed=2) for o in chain_of(p).operands]
    assert 0.4 < sum(o < 0 for o in operands) / len(operands) < 0.6


def test_held_out_chains_appear_in_no_training_set_and_no_corpus() -> None:
    held_out = {p.messages[0]["content"] for p in lab_problems("chains", 500, 9, operands=[3, 9], split="held_out")}
    train = {p.messages[0]["content"] for p in lab_problems("chains", 500, 9, operands=[3, 9])}
    assert not held_out & train
    for corpus in MAKERS:
        for text in itertools.islice(documents(corpus, seed=0), 2000):
            prompt = re.split(r" [:;] ", text)[0]
            if re.fullmatch(r"\d+( [a-i] [+-]\d)+", prompt):
                chain = Chain(int(prompt.split()[0]), tuple(int(o) for o in prompt.split()[2::2]))
                assert chain.split == "train"


def test_lengths_follow_their_weights() -> None:
    problems = lab_problems("chains", 600, 0, operands=[3, 5], weights=[6, 3, 1])
    lengths = Counter(len(chain_of(p).operands) for p in problems)
    assert lengths[3] > lengths[4] > lengths[5] > 0
    assert set(lengths) == {3, 4, 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "chain"}, "Did you mean 'chains'"),
        ({"split": "heldout"}, "Did you mean 'held_out'"),
        ({"operands": [3, 12]}, r"within 1\.\.9"),
        ({"operands": [5, 3]}, "smallest, largest"),
        ({"operands": [3, 5], "weights": [1]}, "1 entries"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lab_problems(**options)


def test_more_chains_than_there_are_is_an_error() -> None:
    with pytest.raises(DataError, match=r"gave 152 different .* fewer than the 500 asked for: ask for 152 or fewer"):
        lab_problems("chains", count=500, operands=1)


def test_chains_that_do_not_exist_are_an_error_and_not_an_endless_search() -> None:
    with pytest.raises(DataError, match="Use more operands"):
        lab_problems("chains", count=60, operands=[1, 3], split="held_out")


def test_corpora_mix_their_kinds_by_weight() -> None:
    for corpus, weights in WEIGHTS.items():
        assert sum(weights.values()) == pytest.approx(1.0)
        assert set(weights) == set(MAKERS[corpus])
    texts = list(itertools.islice(documents("base", 0, {"recall": 1.0}), 20))
    assert texts == list(itertools.islice(documents("base", 0, {"recall": 1.0}), 20))
    for text in texts:  # the pairs asked for are the pairs given, in another order
        given_, asked = (part.split() for part in text.split(" : "))
        pairs = [sorted(zip(words[::2], words[1::2], strict=True)) for words in (given_, asked)]
        assert pairs[0] == pairs[1]
    with pytest.raises(ConfigError, match="Did you mean 'base'"):
        next(documents("bas", 0))
    with pytest.raises(ConfigError, match="Did you mean 'facts'"):
        next(documents("cpt", 0, {"fact": 1.0}))


def test_base_text_is_wrong_as_often_as_it_says_and_cpt_text_never() -> None:
    for corpus, expected in (("base", WRONG_SHARE), ("cpt", 0.0)):
        texts = list(itertools.islice(documents(corpus, 1, {"worked": 1.0}), 600))
        wrong = 0
        for text in texts:
            prompt, rest = text.split(" : ")
            totals = [int(word) for word in rest.split(" ; ")[0].split()[3::3]]
            wrong += totals != totals_by_hand(prompt)[1:]
        assert wrong / len(texts) == pytest.approx(expected, abs=0.06)


def test_targets_of_one_problem() -> None:
    problem = next(p for p in lab_problems("chains", 50, operands=2) if chain_of(p).start == 7)
    chain = chain_of(problem)
    a, b = chain.operands
    steps = f"7 a {a:+d} {7 + a} b {b:+d} {7 + a + b}"
    assert trace(chain) == steps
    assert thinking_target(problem) == f"<think> {steps} </think> \\boxed{{ {7 + a + b} }}"
    assert answer_target(problem) == f"\\boxed{{ {7 + a + b} }}"
    both = [targets([problem], thinking)[0] for thinking in (True, False)]
    assert both[0][0] == both[1][0] == problem


@given(st.integers(0, 10_000), st.data())
def test_changing_any_one_number_of_a_valid_trace_is_noticed(seed: int, data: st.DataObject) -> None:
    problem = lab_problems("chains", 1, seed)[0]
    words = thinking_target(problem).split()
    assert check_trace(problem, " ".join(words)).valid
    places = [i for i, word in enumerate(words) if re.fullmatch(r"[+-]?\d+", word)]
    place = data.draw(st.sampled_from(places))
    old = words[place]
    new = data.draw(st.sampled_from(["+9", "-9", "18", "3"]).filter(lambda word: word != old))
    verdict = check_trace(problem, " ".join([*words[:place], new, *words[place + 1 :]]))
    assert not verdict.valid
    assert verdict.reasons
    assert verdict.sound_steps <= verdict.steps
