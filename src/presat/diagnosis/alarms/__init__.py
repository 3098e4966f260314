"""Alarms: what a run's curves and responses warn of, since when, and what to do about it. The one catalogue.

Each check is a pure function of a run's curves and saved responses (`presat.diagnosis.alarms.series`) and returns an
alarm or None; a file holds those of a kind. Sections are the paper's (arXiv:2604.18574). The thresholds are ours (the
paper gives one, t_sat < 100 of 496) and stand with their reasons in `presat.diagnosis.alarms.thresholds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from presat.diagnosis.alarms import answers, gradients, groups, lengths, policy, progress, remedies, rewards
from presat.diagnosis.alarms.kinds import SEVERITIES, Alarm, Check, Evidence, Remedy, Severity
from presat.diagnosis.alarms.series import Curves
from presat.tracking import Run

__all__ = ["CATALOGUE", "SEVERITIES", "Alarm", "Check", "Evidence", "Remedy", "Severity", "alarms", "worst"]

CATALOGUE: Mapping[str, Check] = {
    "not_finite": Check(gradients.not_finite, remedies.FINITE),
    "nothing_earned": Check(answers.nothing_earned, remedies.EARN),
    "answers_unread": Check(answers.answers_unread, remedies.READ),
    "reward_hacking": Check(rewards.reward_hacking, remedies.HACKED),
    "constant_answer": Check(answers.constant_answer, remedies.CONSTANT),
    "held_out_fell": Check(rewards.held_out_fell, remedies.HACKED),
    "reward_collapse": Check(rewards.reward_collapse, remedies.BACK),
    "truth_flat": Check(rewards.truth_flat, remedies.HACKED),
    "above_truth": Check(rewards.above_truth, remedies.HACKED),
    "labels_wrong": Check(rewards.labels_wrong, remedies.LABELS),
    "part_drowns": Check(rewards.part_drowns, remedies.PARTS),
    "format_farming": Check(rewards.format_farming, remedies.PARTS),
    "policy_stuck": Check(policy.policy_stuck, remedies.MOVE),
    "kl_weight": Check(policy.kl_weight, remedies.WEIGHT),
    "kl_runaway": Check(policy.kl_runaway, remedies.DRIFT),
    "kl_in_first_tokens": Check(policy.kl_in_first_tokens, remedies.DRIFT),
    "entropy_collapse": Check(policy.entropy_collapse, remedies.EXPLORE),
    "clip_saturation": Check(policy.clip_saturation, remedies.CLIP),
    "critic_diverging": Check(policy.critic_diverging, remedies.CRITIC),
    "gradient_spikes": Check(gradients.gradient_spikes, remedies.SPIKES),
    "zero_gradients": Check(gradients.zero_gradients, remedies.MOVE),
    "truncation": Check(lengths.truncation, remedies.LIMIT),
    "length_growth": Check(lengths.length_growth, remedies.LENGTH),
    "repetition": Check(lengths.repetition, remedies.LOOPS),
    "dead_groups_all_right": Check(groups.dead_groups("all_right"), remedies.SOLVED),
    "dead_groups_all_wrong": Check(groups.dead_groups("all_wrong"), remedies.HARD),
    "dead_groups_all_rewarded": Check(groups.dead_groups("all_rewarded"), remedies.PAID),
    "dead_groups_all_unrewarded": Check(groups.dead_groups("all_unrewarded"), remedies.PAID),
    "dead_groups_truncated": Check(groups.dead_groups("truncated"), remedies.LIMIT),
    "dead_groups_unjudged": Check(groups.dead_groups("unjudged"), remedies.UNJUDGED),
    "dead_groups_identical": Check(groups.dead_groups("identical"), remedies.SAMPLING),
    "dead_groups_mixed": Check(groups.dead_groups("mixed"), remedies.HARD),
    "vanishing_advantage": Check(groups.vanishing_advantage, remedies.SPREAD),
    "slower_steps": Check(gradients.slower_steps, remedies.SPEED),
    "rapid_saturation": Check(progress.rapid_saturation, remedies.REPAIR, live=False),
    "held_out_flat": Check(progress.held_out_flat, remedies.REPAIR, live=False),
    "memorising": Check(progress.memorising, remedies.REPAIR),
    "plateau": Check(progress.plateau, remedies.FLAT),
    "never_rose": Check(progress.never_rose, remedies.FLAT),
}
"""Every alarm there is, by name."""


def alarms(run: Run, *, live: bool = False) -> list[Alarm]:
    """Every alarm that a run raises, the worst first; of one severity in the order of the catalogue.

    Args:
        run: the run.
        live: it goes on; only alarms that hold whenever they are raised.

    Raises:
        RunError: its saved responses cannot be read.
    """
    curves = Curves(run)
    raised = []
    for check in CATALOGUE.values():
        found = check.find(curves) if check.live or not live else None
        if found is not None:
            raised.append(replace(found, remedy=check.remedy, wasted=groups.wasted(curves, found.onset)))
    if any(alarm.name == "held_out_flat" for alarm in raised):  # which says the same, of a run that has saturated
        raised = [alarm for alarm in raised if alarm.name != "memorising"]
    return sorted(raised, key=lambda alarm: SEVERITIES.index(alarm.severity))


def worst(raised: list[Alarm]) -> Severity | None:
    """The worst severity among alarms; None without any."""
    return next((severity for severity in SEVERITIES if any(alarm.severity == severity for alarm in raised)), None)
