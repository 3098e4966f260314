"""Diagnosis of saved runs: judges of faithfulness, and alarms. Never imports a trainer."""

from __future__ import annotations

from presat.diagnosis.alarms import Alarm, alarms
from presat.diagnosis.ensemble import EnsembleFit, fit_ensemble
from presat.diagnosis.judges import Cost, Judge, Judgement, make_judge
from presat.diagnosis.llm import StrategyJudge
from presat.diagnosis.stored import Judged, judge_responses, kept_judge
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
    "EnsembleFit",
    "Faithfulness",
    "Judge",
    "Judged",
    "Judgement",
    "LabelRates",
    "StrategyJudge",
    "alarms",
    "faithfulness",
    "faithfulness_rates",
    "fit_ensemble",
    "judge_responses",
    "kept_judge",
    "label_response",
    "label_rollouts",
    "make_judge",
]
