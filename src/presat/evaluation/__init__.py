"""What samples a model without training it: evaluation, solve counts, and the data verbs that need the model's answers.

The names are imported when first asked for, so that `presat.evaluation` costs nothing until something is sampled.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presat.evaluation.evaluate import evaluate_problems
    from presat.evaluation.inspect import inspect_source
    from presat.evaluation.prepare import run_corrupt, run_filter
    from presat.evaluation.run import evaluate_model, run_eval
    from presat.evaluation.solve import solve_counts
    from presat.evaluation.traces import run_traces

__all__ = [
    "evaluate_model",
    "evaluate_problems",
    "inspect_source",
    "run_corrupt",
    "run_eval",
    "run_filter",
    "run_traces",
    "solve_counts",
]

_HOME = {
    "evaluate_model": "run",
    "evaluate_problems": "evaluate",
    "inspect_source": "inspect",
    "run_corrupt": "prepare",
    "run_eval": "run",
    "run_filter": "prepare",
    "run_traces": "traces",
    "solve_counts": "solve",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
