"""`make audit`: what the registry says of the locked versions, and silence of the registry is no failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from audit import PROBES, audit, pins  # noqa: E402

WANTED = [("a", "1"), ("b", "2"), ("c", "3")]


def registry(page: str):
    known = {
        "a/1": {"vulnerabilities": [{"id": "PYSEC-1", "fixed_in": ["1.1"]}, {"id": "OLD", "withdrawn": "2024-01-01"}]},
        "b/2": {"vulnerabilities": []},
    }
    return known.get(page)


def test_a_vulnerable_version_is_named_and_fails() -> None:
    code, said = audit(WANTED, registry)
    assert code == 1
    assert said[0] == "a==1: PYSEC-1, fixed in 1.1"
    assert said[1:] == ["Not known to the registry: c==3.", "1 of 2 packages have known vulnerabilities."]
    assert audit(WANTED[1:2], registry) == (0, ["0 of 1 packages have known vulnerabilities."])


@pytest.mark.parametrize("answer", [None, OSError("no route")])
def test_a_registry_that_does_not_answer_is_said_and_no_failure(answer) -> None:
    asked = []

    def silent(page: str):
        asked.append(page)
        if answer is not None:
            raise answer

    code, said = audit(WANTED * 50, silent)
    assert (code, len(said)) == (0, 1)
    assert len(asked) <= PROBES
    assert said[0].startswith("Not audited")


def test_the_locks_are_pins_throughout() -> None:
    for name, least in (("requirements.lock", 50), ("requirements-ray.lock", 5), ("requirements-vllm.lock", 50)):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line.strip() and not line.startswith("#")]
        assert len(pins(lines)) == len(lines) > least
    lines = ["# x", "", "torch==2.13.0+cpu", 'b==1.0 ; python_version < "4"', "-e ."]
    assert pins(lines) == [("torch", "2.13.0"), ("b", "1.0")]
