"""The verdict before RL: probe, evidence, verdict, plan (`presat check`). Never imports a trainer.

The names are imported when first asked for, so that `presat.forecast` costs nothing until something is sampled.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presat.forecast.evidence import Evidence, Measure
    from presat.forecast.plan import Plan
    from presat.forecast.run import Forecast, check, run_check
    from presat.forecast.verdict import Verdict

__all__ = ["Evidence", "Forecast", "Measure", "Plan", "Verdict", "check", "run_check"]

_HOME = {
    "Evidence": "evidence",
    "Forecast": "run",
    "Measure": "evidence",
    "Plan": "plan",
    "Verdict": "verdict",
    "check": "run",
    "run_check": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
