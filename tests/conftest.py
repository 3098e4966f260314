"""Fixtures every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.saved_runs import make_run  # noqa: F401  (fixtures)
from tests.toy import toy_config, toy_model  # noqa: F401  (fixtures)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder with the paper's published sample data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("PRESAT_SAMPLE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the paper's sample data is not here (set PRESAT_SAMPLE_DATA to its folder)")
    return folder
