"""Groups without a gradient, told apart: all right, all wrong, cut off, unjudged, or the same text again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curve, Curves
from presat.diagnosis.alarms.thresholds import (
    DEAD,
    DEAD_CRITICAL,
    IDENTICAL,
    LEAST_GROUPS,
    LEAST_STEPS,
    PART_OF_DEAD,
    TRUNCATED_CRITICAL,
    VANISHED,
)

if TYPE_CHECKING:
    import polars as pl

GROUP = ("step", "problem_id", "seed")
FEWEST = LEAST_STEPS // 2
"""Logged steps before dead groups are judged: each step holds many groups."""
_SAID = {
    "all_right": "all right",
    "all_wrong": "all wrong",
    "all_rewarded": "all rewarded and not right",
    "all_unrewarded": "all right and not rewarded",
    "truncated": "all cut off at the length limit",
    "unjudged": "all without a verdict",
    "identical": "the same text throughout",
}


def dead_curve(curves: Curves) -> Curve | None:
    """The share of groups without a gradient by step: as logged, else of the saved responses."""
    found = curves.get("dead", FEWEST)
    if found is not None or curves.get("dead", 1) is not None:
        return found
    frame = curves.run.rollouts("train", columns=(*GROUP, "reward"))
    if frame is None:
        return None
    rows = _groups(frame)
    by_step: dict[int, list[bool]] = {}
    for row in rows:
        if row["size"] > 1:
            by_step.setdefault(row["step"], []).append(row["values"] < 2)
    groups = sum(map(len, by_step.values()))
    if groups < LEAST_GROUPS:
        return None
    steps = sorted(by_step)
    return Curve(np.array(steps, dtype=np.int64), np.array([float(np.mean(by_step[step])) for step in steps]))


def wasted(curves: Curves, onset: int | None) -> float | None:
    """Share of the sampling from a step on that bought no gradient."""
    found = dead_curve(curves)
    if found is None:
        return None
    after = found.values if onset is None else found.values[found.steps >= onset]
    return float(after.mean()) if after.size else None


def dead_groups(kind: str) -> Any:
    """The check for dead groups of one kind; `mixed` for those of several."""

    def find(curves: Curves) -> Alarm | None:
        found = dead_curve(curves)
        if found is None or found.last < DEAD:
            return None
        shares = _kinds(curves, found)
        main = max(shares, key=lambda name: shares[name], default="")
        named = main if shares.get(main, 0.0) >= PART_OF_DEAD else "mixed"
        if named != kind:
            return None
        onset = found.above_since(DEAD)
        parts = ", ".join(f"{share:.0%} {_SAID[name]}" for name, share in shares.items() if share > 0)
        lost = float(found.values[found.steps >= (onset or 0)].mean())
        sentence = (
            f"{found.last:.0%} of the groups have no gradient, since step {onset}: "
            f"{parts or 'of which kind is not known'}. From there on {lost:.0%} of what was sampled taught nothing."
        )
        learned = named == "all_right" and onset is not None and _place(found, onset) > 1 / 4
        critical = found.last >= DEAD_CRITICAL and not learned
        evidence = {"dead": found.last, **{f"dead_{name}": share for name, share in shares.items()}}
        return Alarm(f"dead_groups_{kind}", sentence, "critical" if critical else "warning", onset, evidence)

    return find


def _place(found: Curve, step: int) -> float:
    """Which share of the steps lies before a step: 0 of the first, be it the only one."""
    first, last = int(found.steps[0]), int(found.steps[-1])
    return (step - first) / max(1, last - first)


def vanishing_advantage(curves: Curves) -> Alarm | None:
    """The spread of rewards within groups, or of advantages, has all but gone, whatever the counts of groups say."""
    for key, said in (("advantage_std", "advantages"), ("reward_std", "rewards")):
        found = curves.get(key)
        if found is None or found.first <= 0 or found.last > VANISHED * found.first:
            continue
        onset = found.below_since(VANISHED * found.first)
        sentence = (
            f"The spread of the {said} fell from {found.first:.3g} to {found.last:.3g}: hardly any response is better "
            "than another, so hardly anything is learned."
        )
        return Alarm("vanishing_advantage", sentence, "warning", onset, {"first": found.first, "last": found.last})
    return None


def _kinds(curves: Curves, dead: Curve) -> dict[str, float]:
    """Shares of the dead groups by kind: of the responses of the last saved steps, else of what is logged."""
    columns = (*GROUP, "reward", "score", "finished", "text")
    frame = curves.last_responses(columns)
    if frame is not None:
        rows = [row for row in _groups(frame) if row["size"] > 1 and row["values"] < 2]
        if rows:
            kinds = [_kind(row) for row in rows]
            return {name: kinds.count(name) / len(kinds) for name in _SAID if name in kinds}
    cut = curves.get("truncated", FEWEST)
    if cut is not None and cut.last >= TRUNCATED_CRITICAL and cut.last >= dead.last - 0.1:
        return {"truncated": 1.0}
    right, wrong = curves.get("labels/all_right", FEWEST), curves.get("labels/all_wrong", FEWEST)
    if right is not None and wrong is not None and curves.reward_is_truth and right.last + wrong.last > 0:
        both = right.last + wrong.last
        return {"all_right": right.last / both, "all_wrong": wrong.last / both}
    reward = curves.get("reward", FEWEST)
    if reward is None or not curves.reward_is_share:
        return {}
    paid = float(np.clip(reward.last, 0.0, 1.0))
    gold = curves.get("gold", FEWEST)
    true = paid if gold is None else gold.last
    high = "all_right" if true >= paid / 2 else "all_rewarded"  # most of what is paid can be right, or cannot
    low = "all_wrong" if 1.0 - true >= (1.0 - paid) / 2 else "all_unrewarded"
    return {high: paid, low: 1.0 - paid}


def _kind(row: dict[str, Any]) -> str:
    if not row["values"] or (row["judged"] == 0 and row["scored"]):
        return "unjudged"
    if row["cut"] == row["size"]:
        return "truncated"
    if row["texts"] and row["texts"] <= max(1, (1 - IDENTICAL) * row["size"]) and row["size"] > 2:
        return "identical"
    paid = row["reward"] is not None and row["reward"] > 0
    if row["right"] is None or (row["right"] >= 0.5) == paid:
        return "all_right" if paid else "all_wrong"
    return "all_rewarded" if paid else "all_unrewarded"


def _groups(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Of every group its size, its different rewards, and what else is known of its responses."""
    import polars as pl

    def known(name: str, expression: pl.Expr, otherwise: Any) -> pl.Expr:
        return expression if name in frame.columns else pl.lit(otherwise)

    scored = "score" in frame.columns and frame["score"].null_count() < frame.height
    return (
        frame.group_by(GROUP, maintain_order=True)
        .agg(
            pl.len().alias("size"),
            pl.col("reward").drop_nulls().round(9).n_unique().alias("values"),
            pl.col("reward").max().alias("reward"),
            known("score", pl.col("score").is_not_null().sum(), 0).alias("judged"),
            known("score", pl.col("score").mean(), None).alias("right"),
            known("finished", (pl.col("finished") == False).sum(), 0).alias("cut"),  # noqa: E712  (null is no False)
            known("text", pl.col("text").drop_nulls().n_unique(), 0).alias("texts"),
        )
        .with_columns(pl.lit(scored).alias("scored"))
        .to_dicts()
    )
