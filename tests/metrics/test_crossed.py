"""Means over seeds and problems, differences, and corrected chances: known cases, and coverage by simulation.

python tests/metrics/test_crossed.py    # the table of docs/metrics.md
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from presat.errors import DataError
from presat.metrics import mean_interval
from presat.metrics.crossed import (
    crossed,
    crossed_separate,
    holm,
    paired_seeds,
    separate_seeds,
    unordered,
)

SPREADS = {
    "problems differ, seeds little": (0.3, 2.0, 0.5),
    "problems differ, seeds not at all": (0.0, 2.0, 0.5),
    "seeds differ, problems little": (1.0, 0.5, 0.5),
    "little differs": (0.1, 0.1, 0.1),
    "all differ much": (0.5, 3.0, 1.0),
}
"""Spread over seeds, over problems and over both together, in log odds of a right answer; the mean is one half."""
SIZES = ((3, 8), (3, 48), (5, 48), (10, 48))
K = 8


def draw(rng, seeds, problems, spread, base_P=None):
    """avg@8 by seed and problem."""
    over_seeds, over_problems, over_both = spread
    base_P = rng.normal(0.0, over_problems, problems) if base_P is None else base_P
    odds = base_P + rng.normal(0.0, over_seeds, (seeds, 1)) + rng.normal(0.0, over_both, (seeds, problems))
    return rng.binomial(K, 1.0 / (1.0 + np.exp(-odds))) / K


def share_held(found, truth):
    """Share of intervals that hold the truth; None counts as held, since it claims nothing."""
    return np.mean([one is None or one.interval().low <= truth <= one.interval().high for one in found])


def coverage(seeds, problems, spread, samples=400):
    """Coverage of a mean over both, and of the difference of two settings, paired and not."""
    rng = np.random.default_rng([seeds, problems])
    means, paired, separate = [], [], []
    for _ in range(samples):
        base_P = rng.normal(0.0, spread[1], problems)
        first_SP, last_SP = (draw(rng, seeds, problems, spread, base_P) for _ in range(2))
        means.append(crossed(first_SP))
        paired.append(crossed(last_SP - first_SP))
        separate.append(crossed_separate(first_SP, last_SP))
    return share_held(means, 0.5), share_held(paired, 0.0), share_held(separate, 0.0)


def resampled(seeds, problems, spread, samples=150, draws=150):
    """Coverage of the mean by resampling seeds and problems."""
    rng = np.random.default_rng([1, seeds, problems])
    held = 0
    for _ in range(samples):
        values_SP = draw(rng, seeds, problems, spread)
        rows, columns = rng.integers(0, seeds, (draws, seeds)), rng.integers(0, problems, (draws, problems))
        means = [values_SP[r][:, c].mean() for r, c in zip(rows, columns, strict=True)]
        low, high = np.percentile(means, [2.5, 97.5])
        held += low <= 0.5 <= high
    return held / samples


@pytest.mark.parametrize("spread", SPREADS)
def test_seeds_and_problems_are_covered(spread):
    for seeds, problems in SIZES[:3]:
        for found in coverage(seeds, problems, SPREADS[spread], 250):
            assert found >= 0.915, (seeds, problems)  # .94 or more in the table, less what 250 samples scatter


def test_resampling_three_seeds_does_not_cover():
    assert resampled(3, 48, SPREADS["seeds differ, problems little"]) < 0.85


def test_seeds_alone_are_students_t():
    values = [0.2, 0.5, 0.6, 0.9]
    found = paired_seeds([0.0] * 4, values)
    assert found is not None
    assert found.interval() == pytest.approx(mean_interval(values))
    assert found.p == pytest.approx(0.0317, abs=1e-3)  # t = 3.83 with three degrees of freedom
    assert paired_seeds([0.0, 0.0], [1.0, 2.0]) is None
    assert paired_seeds([0.0] * 3, [1.0] * 3) is None


def test_seeds_of_their_own_are_welchs():
    found = separate_seeds([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert found is not None
    assert (found.value, found.error) == (2.0, pytest.approx(math.sqrt(5 / 3)))
    assert found.freedom == 2
    assert separate_seeds([1.0, 2.0], [2.0, 4.0, 6.0]) is None


def test_problems_that_all_seeds_agree_on_still_count():
    """Three seeds that agree on each problem say nothing of other problems."""
    values_SP = np.tile([0.0, 0.0, 1.0, 1.0, 1.0], (3, 1))
    found = crossed(values_SP)
    assert found is not None
    assert found.error == pytest.approx(np.std([0, 0, 1, 1, 1], ddof=1) / math.sqrt(5))
    assert found.freedom == 4
    assert crossed(np.full((3, 5), 0.5)) is None
    assert crossed(values_SP[:2]) is None
    with pytest.raises(DataError, match="every value is there"):
        crossed(np.full((3, 3), np.nan))
    with pytest.raises(DataError, match="the same problems"):
        crossed_separate(values_SP, values_SP[:, :3])


def test_a_difference_on_the_same_problems_is_not_hidden_by_their_difficulty():
    rng = np.random.default_rng(0)
    base_SP = np.tile(rng.random(40), (3, 1))
    noise = rng.normal(0, 0.01, (2, 3, 40))
    found = crossed_separate(base_SP + noise[0], base_SP + 0.1 + noise[1])
    assert found is not None
    assert found.p < 1e-6
    alone = crossed(base_SP)
    assert alone is not None
    assert alone.error > 10 * found.error


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("apart", "groups"),
    [
        ([], [[0, 1, 2, 3]]),
        ([(0, 3)], [[0, 1, 2], [1, 2, 3]]),
        ([(0, 1), (0, 2), (0, 3)], [[1, 2, 3]]),
        ([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], []),
    ],
)
def test_what_overlaps_is_not_ranked(apart, groups):
    values = [0.9, 0.6, 0.5, 0.1]
    told = [[(a, b) in apart or (b, a) in apart for b in range(4)] for a in range(4)]
    assert unordered(values, told) == groups


def test_of_many_comparisons_of_nothing_few_are_claimed():
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(300):
        settings = [rng.normal(0.5, 0.1, 5) for _ in range(4)]
        pairs = [(a, b) for a in range(4) for b in range(a)]
        found = [separate_seeds(settings[a], settings[b]) for a, b in pairs]
        false += min(holm([one.p for one in found if one])) < 0.05
    assert false / 300 < 0.08


def main() -> None:
    """Print the table of docs/metrics.md."""
    print("| seeds x problems | | mean | difference, paired | difference, own seeds | mean, resampled |")
    print("|---|---|---|---|---|---|")
    for spread, sizes in SPREADS.items():
        for seeds, problems in SIZES:
            found = [*coverage(seeds, problems, sizes, 1000), resampled(seeds, problems, sizes, 300)]
            print(f"| {seeds} x {problems} | {spread} | {' | '.join(f'{one:.2f}'.lstrip('0') for one in found)} |")


if __name__ == "__main__":
    main()
