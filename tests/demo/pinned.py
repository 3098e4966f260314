"""A short pre-training, SFT and GRPO as the demo has them; prints the hash of the weights after each.

Run as a program, so that it can be run under an emulator of another processor too:
`MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=avx2 qemu-x86_64 -cpu EPYC-Milan .venv/bin/python -m tests.demo.pinned FOLDER`
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from presat.config.load import build, load_config
from presat.config.schema import CptConfig, DemoConfig, SftConfig, TrainConfig
from presat.models.lab import make_lab_model
from presat.training import run_cpt, run_sft, run_train

STEPS = {"cpt": 8, "sft": 4, "train": 3}


def weights_hash(run: Path) -> str:
    """Hash of the weights of a run's last checkpoint."""
    (file,) = run.glob("checkpoints/*/model.safetensors")
    digest = hashlib.sha256()
    for name, weight in sorted(load_file(file).items()):
        digest.update(name.encode() + weight.tobytes())
    return digest.hexdigest()[:16]


def train_shortly(folder: Path) -> list[str]:
    """Train each stage for a few steps and return the hashes."""
    demo = load_config(DemoConfig, "demo")
    model, found = make_lab_model(folder / "init", 0), []
    stages: dict[str, tuple[Any, Any, Any]] = {
        "cpt": (CptConfig, demo.base, run_cpt),
        "sft": (SftConfig, demo.thinking, run_sft),
        "train": (TrainConfig, demo.rl, run_train),
    }
    for name, (kind, settings, call) in stages.items():
        changed = settings.model_dump(mode="json") | {"run": str(folder / name)}
        changed["model"] |= {"name": str(model)}
        if name == "sft":
            changed["data"] |= {"count": 64 * STEPS[name]}
            changed["epochs"] = 1
        else:
            changed["steps"] = STEPS[name]
        if name == "train":
            changed["data"] |= {"source": "lab/chains", "count": 8, "options": {"operands": [6, 8]}}
            changed["reward"] |= {"source": "random"}  # a model this young earns nothing else
            changed["eval"] |= {"sets": []}
        call(build(kind, changed), quiet=True)
        model = folder / name
        found.append(weights_hash(model))
    return found


if __name__ == "__main__":
    print(*train_shortly(Path(sys.argv[1])))
