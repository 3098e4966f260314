"""docs/contributing.md names files that are there, every room, and the order of a GRPO step as `grpo` tells it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_imports import ORDER

import presat.training.grpo

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


def test_every_file_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:src|tests|scripts|docs|\.ci)/[\w./-]+|[A-Z]+\.md)`", PAGE))
    named |= {f"docs/{page}" for page in re.findall(r"\]\(([\w-]+\.md)", PAGE)}
    assert len(named) > 60
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_room_is_named_in_order() -> None:
    table = PAGE[PAGE.index("| room |") : PAGE.index("## To add")]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    rooms = [room for cell in first for room in re.findall(r"`(\w+)`", cell)]
    assert rooms == [room for room in ORDER if room != "__main__"]


def test_the_docstring_of_grpo_names_the_same_files_in_the_same_order() -> None:
    steps = PAGE[PAGE.index("Each step:") : PAGE.index("## Where decisions go")]
    told = re.findall(r"`src/presat/([\w/]+\.py)`", steps)
    names = re.findall(r"`([\w/]+\.py)`", presat.training.grpo.__doc__ or "")
    assert len(names) > 15
    assert names == told
