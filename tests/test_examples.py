"""The examples say how they are called when they are called wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["bash", "weak_supervision/run.sh"], 2, "usage: bash weak_supervision/run.sh DEMO OUT"),
        (["bash", "smollm2/supervision.sh", "runs"], 2, "usage: bash smollm2/supervision.sh FOLDER REWARD..."),
        ([sys.executable, "smollm2/check_steps.py", "nosuch"], 1, "There is no run with saved responses in nosuch."),
    ],
)
def test_a_wrong_call_is_answered_in_a_sentence(words: list[str], code: int, message: str) -> None:
    ended = subprocess.run(words, cwd=EXAMPLES, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(message)
    assert len(ended.stderr.splitlines()) == 1
