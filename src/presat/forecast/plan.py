"""What to do: which reward, how many problems, how large a group, which repair first; and the configuration for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from presat.config.schema import CheckConfig
from presat.config.yamls import dump_inline
from presat.evaluation.first_config import SMALL, size_of
from presat.forecast.evidence import Evidence
from presat.forecast.verdict import Kind, Verdict

MANY_CUT, FEW_READ, FEW_USABLE, FEW_ALIGNED = 0.1, 0.7, 0.5, 0.5
"""Shares from which on something is to be done first."""
ENOUGH_LIVE = 0.5
"""Share of groups with a gradient below which a larger group, or a filter, pays."""
UNNAMED = "PROBLEMS"
"""What stands for problems that were given as a list, and for no file."""


@dataclass(frozen=True)
class Plan:
    """What to do before RL, and with what.

    Attributes:
        first: what to do before, a sentence each, the most urgent first; empty where nothing is.
        reward: the source of the reward.
        group_size: G.
        max_new_tokens: response length.
        problems: the file or source to train on.
        commands: the commands, in order.
        yaml: the configuration that `presat train` takes.
    """

    first: list[str]
    reward: str
    group_size: int
    max_new_tokens: int
    problems: str
    commands: list[str]
    yaml: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def make_plan(config: CheckConfig, evidence: Evidence, verdicts: Sequence[Verdict], labelled: bool) -> Plan:
    """Return the plan that the evidence asks for.

    Args:
        config: what was checked.
        evidence: what is known.
        verdicts: for every kind of supervision.
        labelled: whether the problems have gold answers.
    """
    reward = "verifiable" if labelled else _best_without(verdicts)
    length = config.max_new_tokens * (2 if (evidence["cut_off"] or 0.0) > MANY_CUT else 1)
    wanted = labelled and (evidence["usable"] or 0.0) < FEW_USABLE and (evidence["usable"] or 0.0) > 0
    source = config.data.source or UNNAMED
    problems = "usable.parquet" if wanted else source
    model, commands = config.model.name, []
    first = _before(evidence, config, length)
    if _needs_repair(evidence, verdicts, reward):
        commands += [
            shlex.join(["presat", "cpt", "--model.name", model, "--data.source", "DOMAIN_TEXT", "--run", "runs/cpt"]),
            shlex.join(["presat", "sft", "--model.name", "runs/cpt", "--data.source", "TRACES", "--run", "runs/sft"]),
        ]
        model = "runs/sft"
        first.append(
            f"Repair the model before RL: of its right answers {evidence['aligned_right']:.0%} come with reasoning "
            "that leads to them. Fine-tune it on explicit reasoning traces (`presat sft`), after continual pre-"
            "training on domain text (`presat cpt`) if you have any; then check again. docs/repair.md says how."
        )
    if wanted:
        words = ["presat", "data", "filter", "--model.name", model, "--data.source", source, "--out", problems]
        commands.append(shlex.join([*words, "--max-new-tokens", str(length)]))
        first.append(
            f"Train on problems that the model solves sometimes: {evidence['usable']:.0%} are. `presat data filter` "
            "finds them."
        )
    plan = Plan(first, reward, config.group_size, length, problems, [], "")
    text = _yaml(config, plan, model, evidence)
    commands.append(shlex.join(["presat", "train", "--config", str(config.run / "train.yaml")]))
    return Plan(first, reward, plan.group_size, length, problems, commands, text)


def _best_without(verdicts: Sequence[Verdict]) -> Kind:
    """The reward without labels whose chance is better."""
    without = [verdict for verdict in verdicts if verdict.kind in ("majority_vote", "self_certainty")]
    return max(without, key=lambda verdict: verdict.probability or 0.0).kind


def _before(evidence: Evidence, config: CheckConfig, length: int) -> list[str]:
    found = []
    if (evidence["read"] or 0.0) < FEW_READ:
        found.append(
            f"Have answers read: {evidence['read']:.0%} of the responses state one where `verify.extraction: "
            f"{config.verify.extraction}` reads it. Ask for a format in the prompt (`data.prompt`), or read another."
        )
    if length > config.max_new_tokens:
        found.append(
            f"Give it room: {evidence['cut_off']:.0%} of the responses were cut off; `max_new_tokens: {length}`."
        )
    dead = [evidence[name] for name in ("dead_right", "dead_wrong")]
    if None not in dead and 1 - sum(filter(None, dead)) < ENOUGH_LIVE:
        harder = (dead[0] or 0.0) > (dead[1] or 0.0)
        found.append(
            f"Take {'harder' if harder else 'easier'} problems, or larger groups: {dead[0]:.0%} of the groups of "
            f"{config.group_size} are expected all right and {dead[1]:.0%} all wrong."
        )
    return found


def _needs_repair(evidence: Evidence, verdicts: Sequence[Verdict], reward: str) -> bool:
    """Whether reasoning is known not to carry the answers, under a verdict that is not good."""
    kind = "clean" if reward == "verifiable" else reward
    label = next(verdict.label for verdict in verdicts if verdict.kind == kind)
    aligned = evidence["aligned_right"]
    return label != "generalise" and aligned is not None and aligned < FEW_ALIGNED


def _yaml(config: CheckConfig, plan: Plan, model: str, evidence: Evidence) -> str:
    """The configuration, commented; settings at their defaults are left out."""
    size = size_of(config.model.name)
    rate = 1e-5 if size is not None and size < SMALL else 1e-6
    lines = [
        "# Written by `presat check`. presat train --config THIS_FILE",
        f"run: {dump_inline(str(config.run / 'train'))}",
        "model:",
        f"  name: {dump_inline(model)}",
        "data:",
        f"  source: {dump_inline(plan.problems)}",
        "reward:",
        f"  source: {plan.reward}",
        f"group_size: {plan.group_size}",
        f"prompts_per_step: {config.prompts_per_step}",
        f"max_new_tokens: {plan.max_new_tokens} # {_of(evidence['length'])}",
        "verify:",
        f"  extraction: {config.verify.extraction}",
        "optim:",
        f"  lr: {dump_inline(rate)} # the paper's 1e-6 is for 1.5B to 8B",
    ]
    if config.data.prompt:
        lines.insert(6, f"  prompt: {config.data.prompt}")
    if config.held_out:
        lines += ["eval:", "  sets:", f"    - {{name: held_out, source: {dump_inline(config.held_out)}}}"]
    else:
        lines += ["# eval: {sets: [HELD_OUT_FILE]} # a verdict needs problems that are not trained on"]
    return "\n".join([*lines, ""])


def _of(length: float | None) -> str:
    return "" if length is None else f"the responses had {length:.0f} tokens on average"
