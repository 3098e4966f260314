"""Diagnosis of saved runs: judges of faithfulness, and alarms. Never imports a trainer."""

from __future__ import annotations

from presat.diagnosis.alarms import Alarm, alarms
from presat.diagnosis.judges import Cost, Judge, Judgement, make_judge
from presat.diagnosis.symbolic import (
    Faithfulness,
    LabelRates,
    faithfulness,
    faithfulness_rates,
    label_response,
    label_rollouts,
)

__all__ = [
    "Alarm",
    "Cost",
    "Faithfulness",
    "Judge",
    "Judgement",
    "LabelRates",
    "alarms",
    "faithfulness",
    "faithfulness_rates",
    "label_response",
    "label_rollouts",
    "make_judge",
]
