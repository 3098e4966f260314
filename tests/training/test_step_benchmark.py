"""`benchmarks/step.py` runs presat's and TRL's trainers side by side and prints every part."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_small_step_of_both_is_timed_by_part():
    command = [sys.executable, str(ROOT / "benchmarks" / "step.py"), "--small"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    times = dict(re.findall(r"^  (\w[\w ]+?) {2,}([\d.]+) ", done.stdout, flags=re.MULTILINE))
    parts = ("sampling", "verification", "reference", "update", "everything else")
    assert all(float(times[part]) >= 0 for part in parts)
    assert sum(float(times[part]) for part in parts) > 0.9 * float(times["step"]) > 0
    assert "times as fast" in done.stdout
