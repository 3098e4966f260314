"""Metrics: pure functions of arrays, on numpy alone. Each module cites the paper; docs/metrics.md explains."""

from __future__ import annotations

from presat.metrics.accuracy import avg_at_k, greedy, maj_at_k, mean_pass_at_k, pass_at_k, too_few_judged
from presat.metrics.agreement import auroc, cohen_kappa, diversity_index
from presat.metrics.calibration import (
    ReliabilityBin,
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_bins,
)
from presat.metrics.coverage import Coverage, coverage_of
from presat.metrics.falls import StepFall, find_drop, find_step_fall
from presat.metrics.gains import (
    Grid,
    Reading,
    RunCurves,
    SaturationGains,
    large_small_gap,
    read_score,
    saturation_gains,
)
from presat.metrics.groups import Dead, cot_pass_at_k, cover_at_tau, dead_group, noise_limit
from presat.metrics.headline import (
    GOLD_ACCURACY,
    headline_metric,
    is_out_of_distribution,
    is_score,
    is_share,
    k_of,
    main_set,
    metric_of,
    ordered_sets,
    reward_parts,
)
from presat.metrics.intervals import (
    Interval,
    change_interval,
    mean_interval,
    proportion_change_interval,
    proportion_interval,
    share_interval,
    two_sample_interval,
)
from presat.metrics.logistic import Logistic, fit_logistic
from presat.metrics.online import OnlineSaturation
from presat.metrics.saturation import Saturation, default_tail, find_saturation, saturation_step, smooth

__all__ = [
    "GOLD_ACCURACY",
    "Coverage",
    "Dead",
    "Grid",
    "Interval",
    "Logistic",
    "OnlineSaturation",
    "Reading",
    "ReliabilityBin",
    "RunCurves",
    "Saturation",
    "SaturationGains",
    "StepFall",
    "auroc",
    "avg_at_k",
    "brier_score",
    "change_interval",
    "cohen_kappa",
    "cot_pass_at_k",
    "cover_at_tau",
    "coverage_of",
    "dead_group",
    "default_tail",
    "diversity_index",
    "expected_calibration_error",
    "find_drop",
    "find_saturation",
    "find_step_fall",
    "fit_logistic",
    "greedy",
    "headline_metric",
    "is_out_of_distribution",
    "is_score",
    "is_share",
    "k_of",
    "large_small_gap",
    "log_loss",
    "main_set",
    "maj_at_k",
    "mean_interval",
    "mean_pass_at_k",
    "metric_of",
    "noise_limit",
    "ordered_sets",
    "pass_at_k",
    "proportion_change_interval",
    "proportion_interval",
    "read_score",
    "reliability_bins",
    "reward_parts",
    "saturation_gains",
    "saturation_step",
    "share_interval",
    "smooth",
    "too_few_judged",
    "two_sample_interval",
]
