"""Diagnosis of saved runs: faithfulness of lab responses by symbolic check, and alarms. Never imports a trainer."""

from __future__ import annotations

from presat.diagnosis.alarms import Alarm, alarms
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
    "Faithfulness",
    "LabelRates",
    "alarms",
    "faithfulness",
    "faithfulness_rates",
    "label_response",
    "label_rollouts",
]
