"""Training: the only room that imports TRL. Each `run_*` takes its configuration and returns the run.

`grpo` is RL, `supervised` CPT and SFT, `runtime` what both stand on, `passes` what both send batches through on a CPU,
`adopt` what a TRL script of the user's own takes.
The names are imported when first asked for, so that `presat.training` costs nothing until something trains.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presat.training.adopt import SaturationCallback, TRLReward
    from presat.training.alarm_callback import AlarmCallback
    from presat.training.grpo.train import run_train
    from presat.training.supervised.cpt import run_cpt, run_pack
    from presat.training.supervised.sft import run_sft

__all__ = ["AlarmCallback", "SaturationCallback", "TRLReward", "run_cpt", "run_pack", "run_sft", "run_train"]

_HOME = {
    "AlarmCallback": "alarm_callback",
    "SaturationCallback": "adopt",
    "TRLReward": "adopt",
    "run_cpt": "supervised.cpt",
    "run_pack": "supervised.cpt",
    "run_sft": "supervised.sft",
    "run_train": "grpo.train",
}

# TRL imports vLLM where it is installed, which speaks up before it has set up its loggers by this same variable
logging.getLogger("vllm").setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"))


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
