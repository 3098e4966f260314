"""How often the intervals hold the true mean, by simulation, and how wide they are for it.

python tests/metrics/test_coverage.py    # the tables of docs/metrics.md
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from presat.metrics import mean_interval, proportion_change_interval, two_sample_interval
from presat.metrics.intervals import change_ends, mean_ends, share_ends, student_quantile

UNITS = (3, 5, 10, 20, 30)
LEVEL = 0.95
LEAST = 0.93
SAMPLES = 4000
TRUTH = 1_000_000


def binomials(rng, chances, k):
    """Mean score of k responses, by problem."""
    return rng.binomial(k, chances) / k


def shares_of(a, b, k):
    """avg@k of problems whose chances are Beta(a, b)."""
    return lambda rng, shape: binomials(rng, rng.beta(a, b, shape), k)


def changes_of(a, b, k, gain, among=1.0):
    """Paired changes of avg@k where a share of the problems gains part of what it lacked."""

    def draw(rng, shape):
        before = rng.beta(a, b, shape)
        after = before + gain * (1 - before) * (rng.random(shape) < among)
        return binomials(rng, after, k) - binomials(rng, before, k)

    return draw


def solved_or_not(rng, shape):
    """Changes of pass@16, -1, 0 or 1."""
    before = rng.beta(0.3, 0.6, shape)
    after = np.minimum(before + 0.1 * (rng.random(shape) < 0.5), 1.0)
    return np.sign(rng.binomial(16, after)) - np.sign(rng.binomial(16, before)).astype(float)


SHARES = {
    "one answer a problem, right half of the time": lambda rng, shape: (rng.random(shape) < 0.5) * 1.0,
    "one answer a problem, right in 95%": lambda rng, shape: (rng.random(shape) < 0.95) * 1.0,
    "avg@4, most problems near 0 or 1": shares_of(0.3, 0.3, 4),
    "avg@16, most problems near 0 or 1": shares_of(0.3, 0.3, 16),
    "avg@16, a hard set": shares_of(0.2, 1.0, 16),
    "avg@16, nearly nothing solved": shares_of(0.1, 2.0, 16),
    "avg@4, an easy set": shares_of(1.0, 0.2, 4),
    "avg@16, one hump": shares_of(5.0, 2.0, 16),
    "chances themselves, skewed": lambda rng, shape: rng.beta(0.5, 4.0, shape),
}
CHANGES = {
    "avg@4, each problem gains": changes_of(0.3, 0.3, 4, 0.2),
    "avg@16, each problem gains": changes_of(0.3, 0.3, 16, 0.2),
    "avg@16, one hump, each gains": changes_of(5.0, 2.0, 16, 0.2),
    "avg@16, a third gains": changes_of(0.3, 0.3, 16, 0.6, 0.3),
    "avg@16, nothing gained": changes_of(0.3, 0.3, 16, 0.0),
    "avg@4, an easy set, half of what lacked": changes_of(1.0, 0.2, 4, 0.5),
    "avg@16, a hard set, a fifth gains": changes_of(0.1, 2.0, 16, 0.3, 0.2),
    "avg@16, a hard set, nothing gained": changes_of(0.1, 2.0, 16, 0.0),
    "pass@16": solved_or_not,
}
NUMBERS = {
    "normal": lambda rng, shape: rng.normal(0.3, 0.05, shape),
    "skewed (gamma, shape 8)": lambda rng, shape: rng.gamma(8.0, 1.0, shape),
}
BEYOND = {  # what three to ten numbers without bounds do not show: see docs/metrics.md
    "flat": lambda rng, shape: rng.random(shape),
    "very skewed (exponential)": lambda rng, shape: rng.exponential(1.0, shape),
    "one run in five learns": lambda rng, shape: rng.normal(0.0, 0.02, shape) + 0.4 * (rng.random(shape) < 0.2),
}
KINDS = {"share": (share_ends, SHARES), "change": (change_ends, CHANGES), "mean": (mean_ends, NUMBERS)}
CASES = [(kind, shape) for kind, (_, shapes) in KINDS.items() for shape in shapes]


@cache
def truth(draw):
    """Mean and spread of a shape."""
    values = draw(np.random.default_rng(1), (TRUTH,))
    return values.mean(), values.std()


def simulate(ends, draw, n, seed=0):
    """Coverage, and mean width by that of t with the true spread (at most what is possible)."""
    rng = np.random.default_rng([seed, n])
    mean, spread = truth(draw)
    low_S, high_S = ends(draw(rng, (SAMPLES, n)), LEVEL)
    known = 2 * student_quantile(LEVEL, n - 1) * spread / np.sqrt(n)
    possible = {share_ends: 1.0, change_ends: 2.0}.get(ends, np.inf)
    covered = (low_S <= mean + 1e-3) & (high_S >= mean - 1e-3)  # the mean is simulated too
    return covered.mean(), (high_S - low_S).mean() / min(known, possible)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_intervals_cover_what_they_say_and_are_no_wider_than_it_takes(kind, shape):
    ends, shapes = KINDS[kind]
    for n in UNITS:
        coverage, width = simulate(ends, shapes[shape], n)
        assert coverage >= LEAST, n
        # where most units are the same, a sample that shows nothing of the others must allow for them
        rare = "nothing" in shape or "hard" in shape or "easy" in shape or "skewed" in shape
        assert width <= (1.25 if n >= 20 and not rare else 7.0 if kind == "change" else 2.0), n


RUNS = (2, 3, 4, 5, 7, 10)


def over_runs(draw, n, samples=SAMPLES):
    """Coverage of the interval over n runs, and which share of the samples the range of the runs would cover."""
    rng = np.random.default_rng([7, n])
    mean, _ = truth(draw)
    values_Sn = draw(rng, (samples, n))
    ranged = (values_Sn.min(axis=1) <= mean) & (values_Sn.max(axis=1) >= mean)
    if mean_interval(values_Sn[0]) is None:
        return None, ranged.mean()
    low_S, high_S = mean_ends(values_Sn, LEVEL)
    return ((low_S <= mean + 1e-3) & (high_S >= mean - 1e-3)).mean(), ranged.mean()


@pytest.mark.parametrize("shape", NUMBERS)
def test_two_runs_have_no_interval_and_more_are_covered(shape):
    for n in RUNS:
        coverage, ranged = over_runs(NUMBERS[shape], n)
        if n == 2:
            assert coverage is None
            assert ranged < 0.55  # the range of two is no interval: it holds the mean half of the time
        else:
            assert coverage >= LEAST, n


CHANCES = (0.02, 0.1, 0.3, 0.5, 0.8, 0.95)
PAIRS = ((5, 5), (10, 10), (20, 20), (30, 30), (8, 40), (16, 80))


def two_shares(units, units_after):
    """Coverage of the interval of two independent shares by their two chances, exactly: no draws."""
    counts = [np.arange(n + 1) for n in (units, units_after)]
    ends = np.array([
        [proportion_change_interval(a / units, b / units_after, units, LEVEL, units_after)[1:] for b in counts[1]]
        for a in counts[0]
    ])  # fmt: skip
    ways = [np.array([math.comb(n, k) for k in range(n + 1)], dtype=float) for n in (units, units_after)]

    def weights(i, chance):
        n = (units, units_after)[i]
        return ways[i] * chance ** counts[i] * (1 - chance) ** (n - counts[i])

    return {
        (p, q): float(
            (np.outer(weights(0, p), weights(1, q)) * ((ends[..., 0] <= q - p) & (q - p <= ends[..., 1]))).sum()
        )
        for p in CHANCES
        for q in CHANCES
    }


@pytest.mark.parametrize(("units", "units_after"), PAIRS)
def test_two_shares_are_covered_whatever_their_chances(units, units_after):
    assert min(two_shares(units, units_after).values()) >= LEAST


def as_a_bound(n, k=16, samples=1000):
    """Coverage of that interval for avg@k of the same problems before and after, nothing gained: it is a bound."""
    rng = np.random.default_rng([9, n])
    chances_Sn = rng.beta(0.3, 0.3, (samples, n))
    before_S, after_S = (rng.binomial(k, chances_Sn).mean(axis=1) / k for _ in range(2))
    found = [proportion_change_interval(a, b, n) for a, b in zip(before_S, after_S, strict=True)]
    return np.mean([low <= 0 <= high for _, low, high in found])


@pytest.mark.parametrize("n", UNITS)
def test_for_several_answers_a_problem_it_is_a_bound(n):
    assert as_a_bound(n) >= LEVEL


def steps_apart(n, samples=2000):
    """Coverage of Welch's interval of two means of n steps each, whose scatter differs threefold."""
    rng = np.random.default_rng([8, n])
    found = [two_sample_interval(rng.normal(0, 1, n), rng.normal(1, 3, n)) for _ in range(samples)]
    return np.mean([low <= 1 <= high for _, low, high in found])


@pytest.mark.parametrize("n", RUNS)
def test_two_means_of_few_steps_are_covered(n):
    assert steps_apart(n) >= LEAST


def test_one_answer_a_problem_is_covered_whatever_its_chance():
    """Every chance, exactly: no draws. Wilson's interval covers .83 of some chances."""
    chances_C = np.linspace(0.001, 0.999, 999)
    for n in (*UNITS, 60, 200):
        counts_K = np.arange(n + 1)
        values_Kn = (np.arange(n) < counts_K[:, None]).astype(float)
        low_K, high_K = share_ends(values_Kn, LEVEL)
        ways = np.array([float(np.prod(np.arange(n - k + 1, n + 1) / np.arange(1, k + 1))) for k in counts_K])
        weights_CK = ways * chances_C[:, None] ** counts_K * (1 - chances_C[:, None]) ** (n - counts_K)
        held_CK = (low_K <= chances_C[:, None]) & (chances_C[:, None] <= high_K)
        assert (weights_CK * held_CK).sum(axis=1).min() >= LEAST, n


def test_with_many_units_they_are_the_bootstrap():
    rng = np.random.default_rng(0)
    for ends, shapes in KINDS.values():
        for draw in shapes.values():
            values_n = draw(rng, (400,))
            if np.ptp(values_n) > 1.0 and ends is mean_ends:
                continue  # two decimals are of numbers within 0 and 1
            means = np.concatenate([values_n[rng.integers(0, 400, (1000, 400))].mean(axis=1) for _ in range(10)])
            found = np.array([float(end) for end in ends(values_n, LEVEL)])
            assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.005)


def rest():
    """The other intervals, as Markdown."""
    print(f"\n| over runs | {' | '.join(map(str, RUNS))} |\n|---|{'---|' * len(RUNS)}")
    for shape, draw in NUMBERS.items():
        both = [over_runs(draw, n) for n in RUNS]
        print(f"| {shape} | {' | '.join('none' if c is None else hundredths(c) for c, _ in both)} |")
        print(f"| their range, {shape} | {' | '.join(hundredths(ranged) for _, ranged in both)} |")
    print(f"| two means of so many steps | {' | '.join(hundredths(steps_apart(n)) for n in RUNS)} |")
    print(f"\n| two shares of so many problems | {' | '.join(f'{a}, {b}' for a, b in PAIRS)} |")
    print(f"|---|{'---|' * len(PAIRS)}")
    found = [list(two_shares(*pair).values()) for pair in PAIRS]
    for name, pick in (("least", min), ("mean", np.mean)):
        print(
            f"| one answer a problem, {name} over {len(CHANCES) ** 2} pairs of chances | "
            f"{' | '.join(hundredths(pick(values)) for values in found)} |"
        )
    bounds = [hundredths(as_a_bound(a)) if a == b else "" for a, b in PAIRS]
    print(f"| avg@16 before and after | {' | '.join(bounds)} |")


def hundredths(share):
    """`.95`, and 1 for what rounds to it."""
    return f"{share:.2f}"[1:] if share < 0.995 else "1"


def table():
    """Coverages as Markdown."""
    head = " | ".join(str(n) for n in UNITS)
    print(f"| interval | units are | {head} | width at 10, 30 |\n|---|---|{'---|' * (len(UNITS) + 1)}")
    for kind, (ends, shapes) in {**KINDS, "mean ": (mean_ends, BEYOND)}.items():
        for shape, draw in shapes.items():
            found = [simulate(ends, draw, n) for n in UNITS]
            cells = " | ".join(hundredths(coverage) for coverage, _ in found)
            print(f"| `{kind.strip()}` | {shape} | {cells} | {found[2][1]:.1f}, {found[4][1]:.1f} |")


if __name__ == "__main__":
    table()
    rest()
