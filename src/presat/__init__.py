"""presat: will reinforcement learning work on this model with the weak supervision I have?

Follows "When Can LLMs Learn to Reason with Weak Supervision?" (arXiv:2604.18574). Importing this package is cheap:
names are resolved on first use, and none of them imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presat import metrics
    from presat.forecast import Forecast, check
    from presat.tasks import load_problems
    from presat.tracking import Run, open_run
    from presat.types import Completion, Problem, RolloutGroup, Sampling, Score
    from presat.verify import score

__version__ = "0.1.0"

_HOME = {
    "check": "presat.forecast",
    "Forecast": "presat.forecast",
    "load_problems": "presat.tasks",
    "score": "presat.verify",
    "open_run": "presat.tracking",
    "Run": "presat.tracking",
    "Completion": "presat.types",
    "Problem": "presat.types",
    "RolloutGroup": "presat.types",
    "Sampling": "presat.types",
    "Score": "presat.types",
}

__all__ = [
    "Completion",
    "Forecast",
    "Problem",
    "RolloutGroup",
    "Run",
    "Sampling",
    "Score",
    "check",
    "load_problems",
    "metrics",
    "open_run",
    "score",
]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("presat.metrics")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'presat' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
