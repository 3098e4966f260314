"""The demo computes the same bits on every processor: pinned weights, and the switches that make it so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from presat.demo.arithmetic import same_everywhere

WEIGHTS = ["4b514b52de3a7ec0", "ab668505dd296e5a", "673397b9a48ad127"]
"""After pre-training, SFT and GRPO, with torch 2.13.0: the same natively on a processor with AVX-512 and bfloat16 units
and under emulation of one that has AVX2 alone (docs/lab-log.md)."""


@pytest.mark.skipif(not same_everywhere(), reason="an x86-64 processor with AVX2 is needed")
@pytest.mark.skipif(not torch.__version__.startswith("2.13.0"), reason="pinned for torch 2.13.0")
def test_the_demos_stages_end_in_the_same_weights_on_every_processor(tmp_path: Path) -> None:
    environment = {**os.environ, **same_everywhere(), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.demo.pinned", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == WEIGHTS


@pytest.mark.parametrize(
    ("machine", "flags", "switched"),
    [
        ("x86_64", "fma avx avx2 bmi2", True),
        ("AMD64", "avx2", True),
        ("x86_64", "sse2 avx", False),
        ("arm64", "", False),
    ],
)
def test_the_switches_are_for_processors_that_have_avx2(tmp_path, monkeypatch, machine, flags, switched) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    (tmp_path / "cpuinfo").write_text(f"model name\t: any\nflags\t\t: fpu {flags} xsave\n")
    assert bool(same_everywhere(tmp_path / "cpuinfo")) is switched


def test_where_the_system_does_not_list_the_flags_they_are_taken_to_be_there(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert same_everywhere(tmp_path / "none")
