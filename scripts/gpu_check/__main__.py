"""The GPU check: every part in a process of its own with a limit, then one JSON file and one table.

Started by `scripts/gpu_check.sh`, which sees to the packages. Exit code 0: every part is ok.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMITS = {"lab": 60, "resume": 60, "engine": 120, "logprobs": 75, "llama_fp32": 75, "llama_bf16": 75, "tests": 120}
"""Seconds each part may take, in the order they run; the last to run has what is left of the whole."""
WHOLE = 420


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check.sh", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a shorter run of everything")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--work", type=Path, help="folder for what is made on the way")
    arguments = parser.parse_args()
    settings = _environment(arguments.device)
    machine = _machine(settings)
    if arguments.device == "cuda" and not machine["gpu"]:
        print(f"PyTorch {machine['torch']} sees no GPU here. A run on the CPU: --device cpu --small.", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        parts = {}
        for name, limit in LIMITS.items():
            left = WHOLE - (time.monotonic() - began)
            # a CPU may take its time: the limit is there for machines that are lent by the minute
            allowed = min(limit, left) if arguments.device == "cuda" else 600
            parts[name] = _run(name, arguments, Path(work), settings, allowed)
            print(_row(name, arguments.device, parts[name]), file=sys.stderr)
    ok = all(part["ok"] for part in parts.values())
    report = {"ok": ok, "device": arguments.device, "small": arguments.small, "machine": machine, "parts": parts,
              "seconds": time.monotonic() - began}  # fmt: skip
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(_table(report))
    print(f"\n{'All parts are ok' if ok else 'NOT ok'}, {report['seconds']:.0f} s. Numbers: {arguments.out}")
    return 0 if ok else 1


def _environment(device: str) -> dict[str, str]:
    """No network, one GPU or none, and no settings of the caller's that would change what runs."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("ACCELERATE_", "FSDP_"))}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE"):
        settings.pop(name, None)
    shown = settings.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    chosen = {"CUDA_VISIBLE_DEVICES": shown if device == "cuda" else ""}
    if device == "cpu":
        chosen["OMP_NUM_THREADS"] = "1"
    return {**settings, **offline, **chosen, "TOKENIZERS_PARALLELISM": "false"}


def _machine(settings: dict[str, str]) -> dict[str, Any]:
    """What computes here, read in another process: this one never starts CUDA."""
    probe = (
        "import json, os, platform, torch, transformers, trl\n"
        "gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None\n"
        "print(json.dumps({'gpu': gpu, 'cpus': os.cpu_count(), 'python': platform.python_version(), 'torch': "
        "torch.__version__, 'cuda': torch.version.cuda, 'transformers': transformers.__version__, 'trl': "
        "trl.__version__}))"
    )
    done = subprocess.run([sys.executable, "-c", probe], env=settings, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"PyTorch, transformers or TRL cannot be imported:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _run(
    name: str, arguments: argparse.Namespace, work: Path, settings: dict[str, str], limit: float
) -> dict[str, Any]:
    """Run one part; what goes wrong is its result."""
    if limit < 1:
        return {"ok": False, "seconds": 0.0, "error": "no time was left for it"}
    command = [sys.executable, str(HERE / "parts.py"), name, arguments.device, str(work)]
    said, late, began = work / f"{name}.txt", "", time.monotonic()
    with said.open("w") as log:
        size = ["small"] if arguments.small else []
        process = subprocess.Popen([*command, *size], env=settings, stdout=log, stderr=log, start_new_session=True)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            late = f"\nIt was stopped after {limit:.0f} s."
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it started: the next part has the GPU for itself
        process.wait()
    file = work / f"{name}.json"
    found = json.loads(file.read_text()) if file.exists() else {"ok": False, "seconds": time.monotonic() - began}
    return found if found["ok"] else {**found, "error": said.read_text(errors="replace")[-4000:] + late}


def _row(name: str, device: str, part: dict[str, Any]) -> str:
    numbers = "; ".join(_numbers(part))
    if "error" in part:
        said = [line for line in part["error"].splitlines() if line.strip()]
        numbers += f" {said[-1] if said else 'no word was said'}"
    return f"{name:<11} {device:<6} {'ok' if part['ok'] else 'FAILED':<7} {part['seconds']:5.0f} s  {numbers}"


def _numbers(part: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in part.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{key} ")
        elif key not in ("ok", "error") and not (key == "seconds" and not prefix):
            shown = f"{value:.3g}" if isinstance(value, float) else value
            found.append(f"{prefix}{key} {shown}")
    return found


def _table(report: dict[str, Any]) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "transformers", "trl"))
    head = f"{machine['gpu'] or str(machine['cpus']) + ' CPUs'}; {versions}"
    return "\n".join(["", head, *(_row(name, report["device"], part) for name, part in report["parts"].items())])


if __name__ == "__main__":
    sys.exit(main())
