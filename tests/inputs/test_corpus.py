"""Over 300 malformed inputs through the command line: one sentence each, and nothing executed, changed or hanging."""

from __future__ import annotations

import random

import pytest
from tests.faults.record import record
from tests.inputs.case import Case, run
from tests.inputs.corpus import CASES

CHEAP, COSTLY, SEED = 250, 3, 11
"""Cases of either kind that continuous integration runs, and the seed that draws them; `make test-faults` runs all."""


def drawn() -> set[str]:
    draw = random.Random(SEED)
    cheap, costly = ([case.id for case in CASES if case.costly is kind] for kind in (False, True))
    return {*draw.sample(cheap, CHEAP), *draw.sample(costly, COSTLY)}


QUICK = drawn()


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 300


def marked(case: Case):
    return pytest.param(case, id=case.id, marks=() if case.id in QUICK else pytest.mark.faults)


@pytest.mark.parametrize("case", map(marked, CASES))
def test_a_malformed_input_is_refused_in_one_sentence(case: Case, tmp_path, kit, forked) -> None:
    wrong = run(case, tmp_path, kit, forked)
    record(f"malformed input: {case.kind}", "one sentence, nothing executed or changed", wrong, case.id)
    assert not wrong, "\n".join(wrong)
