"""scripts/gpu_check.sh: whole on a CPU, small; what is missing is named; a part that fails or hangs hides no other."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "scripts" / "gpu_check"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"gpu_check_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_whole_of_it_on_a_cpu(tmp_path):
    out = tmp_path / "found.json"
    command = ["bash", str(ROOT / "scripts" / "gpu_check.sh"), "--device", "cpu", "--small", "--out", str(out)]
    done = subprocess.run(command, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True)
    found = json.loads(out.read_text())
    assert done.returncode == 0, json.dumps(found["parts"], indent=1)[-3000:]
    assert found["ok"]
    parts = found["parts"]
    assert parts.keys() == {"lab", "resume", "engine", "logprobs", "llama_fp32", "llama_bf16", "tests"}
    assert all(part["ok"] and part["seconds"] > 0 for part in parts.values())
    for part, kinds in (
        ("lab", ("fp32", "bf16")),
        ("llama_fp32", ("ours", "stock")),
        ("llama_bf16", ("ours", "stock")),
    ):
        for kind in kinds:
            assert parts[part][kind].keys() == {"seconds", "moved", "peak_gb"}
            assert min(parts[part][kind].values()) > 0
    drawers = {"small", "plain", "general", "generate", "wide small", "wide plain", "wide generate"}
    assert all(parts["engine"][kind].keys() == drawers for kind in ("float32", "bfloat16"))
    assert parts["resume"]["equal"]
    assert 0 < parts["logprobs"]["float32 small"] < 1e-4
    assert "passed" in parts["tests"]["said"]
    assert all(f"{name} " in done.stdout for name in parts)


def test_the_list_of_what_it_needs_is_up_to_date():
    assert load("needs").closure() == (FOLDER / "needs.txt").read_text().split()


def test_what_is_missing_or_too_old_is_named_with_the_command_that_fetches_it(monkeypatch):
    needs, version = load("needs"), metadata.version
    assert needs.missing() == []

    def other(name: str) -> str:
        if name == "polars":
            raise metadata.PackageNotFoundError
        return "0.1" if name == "trl" else version(name)

    monkeypatch.setattr(needs.metadata, "version", other)
    assert needs.missing() == ["polars", "trl"]
    assert f"-d wheels polars=={needs.lock()['polars']} trl=={needs.lock()['trl']}" in needs.how(needs.missing())
    monkeypatch.setattr(needs.metadata, "version", lambda name: "2.0" if name == "torch" else version(name))
    with pytest.raises(SystemExit, match="does not take the versions of these that are here: torch"):
        needs.missing()


def test_a_part_that_fails_or_hangs_is_a_result(tmp_path, monkeypatch):
    check = load("__main__")
    monkeypatch.setattr(check, "HERE", tmp_path)
    (tmp_path / "parts.py").write_text(
        "import subprocess, sys\n"
        "if sys.argv[1] == 'hangs':\n"
        "    subprocess.run(['sleep', '600'])\n"
        "raise SystemExit('no such device')\n"
    )
    arguments, began = argparse.Namespace(device="cpu", small=True), time.monotonic()
    for name, said in (("fails", "no such device"), ("hangs", "stopped after 3 s")):
        part = check._run(name, arguments, tmp_path, dict(os.environ), 3)
        assert (part["ok"], said in part["error"]) == (False, True)
        assert "FAILED" in check._row(name, "cpu", part)
    assert time.monotonic() - began < 60
    assert check._run("late", arguments, tmp_path, {}, 0)["error"] == "no time was left for it"
