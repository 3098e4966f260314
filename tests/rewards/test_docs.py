"""The documentation names every reward and gate there is, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.rewards.conftest import MakeGroup

from presat.rewards import GATES, SOURCES, UserReward, judge, votes_of

DOCS = Path(__file__).parents[2] / "docs"


def first_column(section: str) -> set[str]:
    """The names in the first column of a section's first table."""
    text = (DOCS / "rewards.md").read_text().split(f"\n## {section}\n")[1]
    rows = re.search(r"\|---.*\n((?:\|.*\n)+)", text)
    assert rows is not None
    return {name for row in rows[1].splitlines() for name in re.findall(r"`([\w.:]+)`", row.split("|")[1])}


def test_every_source_and_gate_is_documented() -> None:
    assert first_column("Sources") == {*SOURCES, "weighted_sum", "package.module:name"}
    assert first_column("Gates") == set(GATES)


def test_the_example_for_any_framework_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "problems.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    monkeypatch.chdir(tmp_path)
    code = (DOCS / "adoption.md").read_text().split("## Any other framework")[1].split("```")[1].removeprefix("python")
    names = {"texts": [r"<think>a</think> \boxed{3}", r"<think>b</think> \boxed{6/2}", r"\boxed{3}", r"\boxed{2}"]}
    exec(compile(code, "adoption.md", "exec"), names)
    assert names["rewards"] == [1.0, 1.0, 0.0, 0.0]
    assert [score.value for score in names["scores"]] == [0.0, 0.0, 0.0, 1.0]  # type: ignore[attr-defined]


def test_the_example_of_a_vote_of_ones_own_runs(group: MakeGroup) -> None:
    blocks = (DOCS / "rewards.md").read_text().split("## Your own")[1].split("```python\n")
    code = next(block.split("```")[0] for block in blocks if "def outcome" in block)
    names: dict[str, Any] = {}
    exec(compile(code, "rewards.md", "exec"), names)
    reward = UserReward(names["Confident"](), "confident")
    outcome = judge(reward, group([r"\boxed{3}", r"\boxed{6/2}", r"\boxed{4}", "none"]), [])
    assert outcome.values_N == [0.5, 0.5, 0.0, 0.0]
    assert outcome.vote is not None
    assert not outcome.vote.tied
    assert votes_of(reward) == 16
