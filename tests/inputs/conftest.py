from __future__ import annotations

import pytest
from tests.forked import Forked
from tests.inputs.case import Kit


@pytest.fixture(scope="session")
def forked() -> Forked:
    return Forked()


@pytest.fixture(scope="session")
def kit(tmp_path_factory) -> Kit:
    return Kit(tmp_path_factory.mktemp("kit"))
