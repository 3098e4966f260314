from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.trial import Place
from tests.forked import Forked


@pytest.fixture(scope="session")
def forked() -> Forked:
    return Forked()


@pytest.fixture(scope="session")
def place(forked, toy_model, tmp_path_factory) -> Place:
    """Where trials take place: with the model, and the undisturbed runs that they are held against."""
    return Place(forked, toy_model, lambda name: tmp_path_factory.mktemp(name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
