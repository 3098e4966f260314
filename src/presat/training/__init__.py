"""Training and evaluation: the only room that imports TRL. Each `run_*` takes its configuration and returns the run.

The names are imported when first asked for, so that `presat.training` costs nothing until something trains.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presat.training.adopt import SaturationCallback, TRLReward
    from presat.training.cpt import run_cpt, run_pack
    from presat.training.data import run_corrupt, run_filter
    from presat.training.evaluate import evaluate_problems
    from presat.training.evaluation import evaluate_model, run_eval
    from presat.training.grpo import run_train
    from presat.training.sft import run_sft
    from presat.training.solve import solve_counts
    from presat.training.traces import run_traces

__all__ = [
    "SaturationCallback",
    "TRLReward",
    "evaluate_model",
    "evaluate_problems",
    "run_corrupt",
    "run_cpt",
    "run_eval",
    "run_filter",
    "run_pack",
    "run_sft",
    "run_traces",
    "run_train",
    "solve_counts",
]

_HOME = {
    "SaturationCallback": "adopt",
    "TRLReward": "adopt",
    "evaluate_model": "evaluation",
    "evaluate_problems": "evaluate",
    "run_corrupt": "data",
    "run_cpt": "cpt",
    "run_eval": "evaluation",
    "run_filter": "data",
    "run_pack": "cpt",
    "run_sft": "sft",
    "run_traces": "traces",
    "run_train": "grpo",
    "solve_counts": "solve",
}

# TRL imports vLLM where it is installed, which speaks up before it has set up its loggers by this same variable
logging.getLogger("vllm").setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"))


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
