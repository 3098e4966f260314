"""What to do: which reward, how many problems, how large a group, which repair first; and the configuration for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from presat.config.schema import CheckConfig
from presat.config.yamls import dump_yaml
from presat.evaluation.first_config import rate_for, size_of
from presat.forecast.evidence import Evidence
from presat.forecast.verdict import FEWEST, Kind, Verdict
from presat.metrics import dead_group
from presat.tasks.rows import is_labelled
from presat.types import Problem

MANY_CUT, FEW_READ, FEW_USABLE, FEW_ALIGNED = 0.1, 0.7, 0.5, 0.5
"""Shares from which on something is to be done first."""
ENOUGH_LIVE, MORE_LIVE = 0.5, 0.1
"""Share of groups with a gradient below which a larger group, or a filter, pays; and by how much it must be more."""
UNNAMED = "PROBLEMS"
"""What stands for problems that were given as a list, and for no file."""
FILTER_FILE, USABLE_FILE = "filter.yaml", "usable.parquet"
HEADING = "# Written by `presat check`. presat train --config THIS_FILE\n"


@dataclass(frozen=True)
class Checked:
    """What was checked.

    Attributes:
        problems: how many there are to train on.
        labelled: how many of them have a gold answer.
        lab: whether they are the lab's, whose prompts cannot be changed.
        parameters: of the model; None where neither it nor its name says.
    """

    problems: int
    labelled: int
    lab: bool
    parameters: float | None

    @classmethod
    def of(cls, problems: Sequence[Problem], model: Any, config: CheckConfig) -> Checked:
        """Look at the problems and the model."""
        counted = None if model is None else float(sum(weight.numel() for weight in model.parameters()))
        return cls(
            len(problems),
            sum(map(is_labelled, problems)),
            all(problem.domain == "lab" for problem in problems),
            counted or size_of(config.model.name),
        )


@dataclass(frozen=True)
class Plan:
    """What to do before RL, and with what.

    Attributes:
        first: what to do before, a sentence each, the most urgent first; empty where nothing is.
        reward: the source of the reward.
        group_size: G.
        max_new_tokens: response length.
        problems: the file or source to train on.
        usable: about how many problems of it the model solves sometimes; None where nobody knows.
        trains: whether training is worth its time as things are.
        commands: the commands, in order.
        yaml: the configuration that `presat train` takes.
        filter_yaml: the one that `presat data filter` takes; empty where nothing is to be filtered.
    """

    first: list[str]
    reward: str
    group_size: int
    max_new_tokens: int
    problems: str
    usable: int | None
    trains: bool
    commands: list[str]
    yaml: str
    filter_yaml: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def make_plan(config: CheckConfig, evidence: Evidence, verdicts: Sequence[Verdict], checked: Checked) -> Plan:
    """Return the plan that the evidence asks for.

    Args:
        config: what was checked.
        evidence: what is known.
        verdicts: for every kind of supervision.
        checked: the problems and the model.
    """
    labels = {verdict.kind: verdict.label for verdict in verdicts}
    mostly = 2 * checked.labelled > checked.problems
    kind = "clean" if mostly else _best_without(verdicts)
    length = config.max_new_tokens * (2 if (evidence["cut_off"] or 0.0) > MANY_CUT else 1)
    size = _group_size(evidence, config)
    trains, usable = labels[kind] != "cannot learn", evidence["usable"] if evidence.prompts >= FEWEST else None
    sieve = mostly and trains and usable and (usable < FEW_USABLE or checked.labelled < checked.problems)
    source = config.data.source or UNNAMED
    first = list(_before(evidence, config, checked, length, size, mostly))
    commands, model = [], config.model.name
    if _needs_repair(evidence, labels[kind]):
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
    if sieve:
        commands.append(shlex.join(["presat", "data", "filter", "--config", str(config.run / FILTER_FILE)]))
        first.append(
            f"Train on problems that the model solves sometimes: {usable:.0%} are. `presat data filter` finds them."
        )
    if trains:
        commands.append(shlex.join(["presat", "train", "--config", str(config.run / "train.yaml")]))
    reward = "verifiable" if kind == "clean" else kind
    problems = str(config.run / USABLE_FILE) if sieve else source
    return Plan(
        first,
        reward,
        size,
        length,
        problems,
        None if usable is None else round(usable * checked.problems),
        trains,
        commands,
        _train_yaml(config, model, problems, reward, size, length, checked, evidence),
        _filter_yaml(config, model, length) if sieve else "",
    )


def _best_without(verdicts: Sequence[Verdict]) -> Kind:
    """The reward without labels whose chance is better; the vote where nobody knows."""
    without = [verdict for verdict in verdicts if verdict.kind in ("majority_vote", "self_certainty")]
    return max(without, key=lambda verdict: (verdict.label != "cannot learn", verdict.probability or 0.0)).kind


def live_share(evidence: Evidence, group_size: int) -> float | None:
    """Share of groups of a size that are expected to have a gradient, from how often each prompt was solved."""
    known = sum(evidence.histogram)
    found = [dead_group(evidence.samples, right, group_size) for right in range(len(evidence.histogram))]
    if not known or None in found:
        return None
    return sum(count * (1 - dead.either) for count, dead in zip(evidence.histogram, found, strict=True) if dead) / known


def _group_size(evidence: Evidence, config: CheckConfig) -> int:
    """The size asked about; twice that where most of its groups are dead, and that would help, as far as is known."""
    now, twice = (live_share(evidence, size) for size in (config.group_size, 2 * config.group_size))
    if evidence["avg"] is None or now is None or twice is None:
        return config.group_size
    return 2 * config.group_size if now < ENOUGH_LIVE and twice >= now + MORE_LIVE else config.group_size


def _before(
    evidence: Evidence, config: CheckConfig, checked: Checked, length: int, size: int, mostly: bool
) -> Iterator[str]:
    if evidence.prompts < FEWEST <= checked.problems:
        few = evidence.prompts
        yield f"Draw for more prompts (`minutes`, `prompts`): what {few} came to says nothing of the others."
        return
    bare = checked.problems - checked.labelled
    if bare and mostly:
        yield (
            f"{bare} of {checked.problems} problems have no gold answer, which a run on right answers refuses: "
            "`presat data filter` leaves them out."
        )
    elif bare:
        yield (
            "Write gold answers for a few dozen problems and check again: without them nobody knows how often the "
            "model, or its vote, is right."
        )
    if (evidence["read"] or 0.0) < FEW_READ:
        where = "Fine-tune it on the format" if checked.lab else "Ask for a format in the prompt (`data.prompt`)"
        yield (
            f"Have answers read: {evidence['read'] or 0.0:.0%} of the responses state one where `verify.extraction: "
            f"{config.verify.extraction}` reads it. {where}, or read another."
        )
    if length > config.max_new_tokens:
        yield f"Give it room: {evidence['cut_off']:.0%} of the responses were cut off; `max_new_tokens: {length}`."
    right, wrong = evidence["dead_right"], evidence["dead_wrong"]
    if right is None or wrong is None or 1 - right - wrong >= ENOUGH_LIVE:
        return
    kinds = "harder" if right > wrong else "easier"
    other = f", besides larger groups (`group_size: {size}`)" if size > config.group_size else ""
    repair = " What the model never solves RL cannot teach it: SFT can (docs/repair.md)." if wrong > right else ""
    yield (
        f"Take {kinds} problems{other}: {right:.0%} of the groups of {config.group_size} are expected all right and "
        f"{wrong:.0%} all wrong.{repair}"
    )


def _needs_repair(evidence: Evidence, label: str) -> bool:
    """Whether reasoning is known not to carry the answers, under a verdict that is not good."""
    aligned = evidence["aligned_right"]
    return label != "generalise" and aligned is not None and aligned < FEW_ALIGNED


def _train_yaml(
    config: CheckConfig,
    model: str,
    problems: str,
    reward: str,
    size: int,
    length: int,
    checked: Checked,
    evidence: Evidence,
) -> str:
    """The configuration, commented: what the check was told, and what follows from it."""
    shared = _shared(config, model, length)
    if problems != (config.data.source or UNNAMED):  # a file of our own, which says all else itself
        shared["data"] = {"source": problems}
    given = {
        "run": str(config.run / "train"),
        **shared,
        "reward": {"source": reward},
        "group_size": size,
        "prompts_per_step": config.prompts_per_step,
        "optim": {"lr": rate_for(checked.parameters)},
        **({"eval": {"sets": [{"name": "held_out", "source": config.held_out}]}} if config.held_out else {}),
    }
    known = "" if evidence["length"] is None else f"# The responses had {evidence['length']:.0f} tokens on average.\n"
    rate = "# The paper's learning rate, 1e-6, is for 1.5B to 8B parameters.\n"
    bare = (
        ""
        if config.held_out
        else "# eval: {sets: [HELD_OUT_FILE]} # a verdict needs problems that are not trained on\n"
    )
    return HEADING + known + rate + dump_yaml(given) + bare


def _filter_yaml(config: CheckConfig, model: str, length: int) -> str:
    given = {
        "run": str(config.run / "filter"),
        "out": str(config.run / USABLE_FILE),
        **_shared(config, model, length),
        "samples": config.samples,
    }
    return "# Written by `presat check`. presat data filter --config THIS_FILE\n" + dump_yaml(given)


def _shared(config: CheckConfig, model: str, length: int) -> dict[str, Any]:
    """What a check was told of model, data and draws, settings at their defaults left out."""
    names = {"model", "data", "temperature", "max_prompt_tokens", "engine", "rows", "vllm", "server", "verify"}
    names |= {"threads", "onednn"}
    told = config.model_dump(mode="json", exclude_defaults=True, include=names)
    told["model"] = {**told.get("model", {}), "name": model}
    told["data"] = told.get("data") or {"source": UNNAMED}
    return {**told, "max_new_tokens": length}
