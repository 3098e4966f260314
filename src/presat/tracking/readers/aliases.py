"""What other trainers and trackers call the metrics we know: the one table, with where each name was seen.

Our names are TRL's (`reward`, `kl`, `entropy`, ...), `labels/gold_accuracy` and `eval/SET/METRIC`. Names match without
regard to case. A name that no line here knows is kept as it is and never judged (docs/reports.md).

verl logs `val-core/SOURCE/VARIABLE/METRIC`, the source possibly with slashes of its own, and the same under `val-aux`
for smaller k and other variables. Its `mean@k` is avg@k. Its `best@k` is a bootstrap with replacement from the k
samples, which is lower than the unbiased pass@k, so it keeps a name of its own. OpenRLHF's `pass1` is the mean over the
samples of a prompt.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from presat.metrics import GOLD_ACCURACY

SET = "eval"
"""What the evaluation set is called of a trainer that has one and no name for it."""


class Alias(NamedTuple):
    """A name, as a pattern that is matched whole, what it is here, and who writes it."""

    theirs: str
    ours: str
    seen: str


STEPS = (
    Alias("train/global_step", "step", "TRL 1.16 through W&B 0.31 and trackio 0.43, OpenRLHF 0.8"),
    Alias("training/global_step", "step", "verl 0.9"),
    Alias("global_step/max_steps", "step", "ms-swift 3: `1/609`"),
    Alias("step", "step", "presat, verl's file log, prime-rl 0.5, CSVs of W&B and TensorBoard (`Step`)"),
    Alias("global_step", "step", "own scripts"),
    Alias("rollout/step", "step", "slime 0.2"),
    Alias("train/step", "step", "slime 0.2"),
    Alias("eval/step", "step", "slime 0.2"),
    Alias("eval/global_step", "step", "OpenRLHF 0.8"),
    Alias("_step", "step", "W&B's count of log calls, which is a step only where nothing else is"),
)
"""Columns that count training steps, the one to be believed first."""

REWARDS = (
    Alias("reward", "reward", "TRL 1.16, ms-swift 3, OpenRLHF 0.8; `train/reward` in trackers"),
    Alias("critic/score/mean", "reward", "verl 0.9: before any KL penalty"),
    Alias("critic/rewards/mean", "reward", "verl 0.9: with it"),
    Alias("rollout/raw_reward", "reward", "slime 0.2"),
    Alias("train/agg/all/agent/reward/mean", "reward", "prime-rl, 2026"),
    Alias("reward/all/mean", "reward", "prime-rl 0.5"),
    Alias("reward/mean", "reward", "prime-rl 0.3, NeMo-RL"),
    Alias("objective/scores", "reward", "TRL's PPO and RLOO trainers before 0.20"),
    Alias("train_reward", "reward", "own scripts"),
    Alias("mean_reward", "reward", "own scripts"),
    Alias("reward_mean", "reward", "own scripts"),
)
"""Names of the mean train reward, the preferred first; those that are not needed keep their names."""

EXTREMES = {
    "critic/score/mean": ("critic/score/min", "critic/score/max"),
    "critic/rewards/mean": ("critic/rewards/min", "critic/rewards/max"),
    "reward": ("reward/min", "reward/max"),
}
"""Where the least and the highest reward of a step's responses stand beside their mean (verl 0.9, own scripts)."""

_SAME = (
    Alias("actor/entropy", "entropy", "verl 0.9"),
    Alias("actor/entropy_loss", "entropy", "verl 0.2"),
    Alias("actor/kl_loss", "kl", "verl 0.9"),
    Alias("actor/grad_norm", "grad_norm", "verl 0.9"),
    Alias("actor/pg_loss", "loss", "verl 0.9"),
    Alias("actor/lr", "learning_rate", "verl 0.9"),
    Alias("response_length/mean", "completions/mean_length", "verl 0.9"),
    Alias("response_length/min", "completions/min_length", "verl 0.9"),
    Alias("response_length/max", "completions/max_length", "verl 0.9"),
    Alias("response_length/clip_ratio", "completions/clipped_ratio", "verl 0.9"),
    Alias("actor/pg_clipfrac", "clip_ratio/region_mean", "verl 0.9"),
    Alias("clip_ratio", "clip_ratio/region_mean", "TRL 0.15 to 0.17"),
    Alias("completion_length", "completions/mean_length", "TRL 0.15"),
    Alias("policy_loss", "loss", "OpenRLHF 0.8"),
    Alias("ppo_clip_ratio", "clip_ratio/region_mean", "OpenRLHF 0.8"),
    Alias("response_clip_ratio", "completions/clipped_ratio", "OpenRLHF 0.8"),
    Alias("actor_lr", "learning_rate", "OpenRLHF 0.8"),
    Alias("response_length", "completions/mean_length", "OpenRLHF 0.8"),
    Alias("train/grad_norm", "grad_norm", "slime 0.2"),
    Alias("train/kl_loss", "kl", "slime 0.2"),
    Alias("rollout/response_lengths", "completions/mean_length", "slime 0.2"),
    Alias("train/pg_clipfrac", "clip_ratio/region_mean", "slime 0.2"),
    Alias("rollout/truncated_ratio", "completions/clipped_ratio", "slime 0.2"),
    Alias("is_truncated/all/mean", "completions/clipped_ratio", "prime-rl 0.5"),
    Alias("optim/grad_norm", "grad_norm", "prime-rl 0.5"),
    Alias("optim/lr", "learning_rate", "prime-rl 0.5"),
    Alias("train/pg_loss", "policy_loss", "slime 0.2, beside its `train/loss`"),
    Alias("decode_len/all/mean", "completions/mean_length", "prime-rl 0.5"),
)

_PLAIN = frozenset(
    f"reward loss kl entropy grad_norm learning_rate reward_std epoch num_tokens {GOLD_ACCURACY}".split()
)
"""What is called the same here (TRL 1.16), behind `train/` in trackers."""

_SCORE = r"(?:avg|pass|maj|best)@\d{1,9}|greedy|score|accuracy|acc"
_EVALUATIONS = (
    Alias(r"val-core/(.+)/[^/]+/mean@(\d+)", r"eval/\1/avg@\2", "verl 0.9"),
    Alias(r"val-core/(.+)/[^/]+/maj@(\d+)/mean", r"eval/\1/maj@\2", "verl 0.9"),
    Alias(r"val-core/(.+)/[^/]+/best@(\d+)/mean", r"eval/\1/best@\2", "verl 0.9"),
    Alias(r"val-aux/(.+)/acc/mean@(\d+)", r"eval/\1/avg@\2", "verl 0.9"),
    Alias(r"val-aux/(.+)/acc/maj@(\d+)/mean", r"eval/\1/maj@\2", "verl 0.9"),
    Alias(r"val-aux/(.+)/acc/best@(\d+)/mean", r"eval/\1/best@\2", "verl 0.9"),
    Alias(r"val/test_score/(.+)", r"eval/\1/score", "verl 0.1"),
    Alias(r"eval/(.+)/(" + _SCORE + "|gold_accuracy|reward)", r"eval/\1/\2", "presat, prime-rl 0.5, TRL 1.16"),
    Alias(r"(?:eval/)?eval_(.+)_pass1", r"eval/\1/score", "OpenRLHF 0.8"),
    Alias(r"(?:eval/)?eval_(.+)_pass(\d+)", r"eval/\1/pass@\2", "OpenRLHF 0.8"),
    Alias(r"eval[_/]labels/gold_accuracy", f"eval/{SET}/gold_accuracy", "presat's TRLReward; `eval/` in trackers"),
    Alias(r"eval[_/]reward", f"eval/{SET}/reward", "TRL 1.16, ms-swift 3; `eval/` in trackers"),
    Alias(r"eval[_/]rewards/(.+)/mean", rf"eval/{SET}/\1", "TRL 1.16, ms-swift 3; `eval/` in trackers"),
    Alias(r"eval[_/]rewards/(.+)/std", rf"eval/{SET}/\1_std", "TRL 1.16, ms-swift 3; `eval/` in trackers"),
    Alias(r"eval[_/](accuracy|acc|score)", rf"eval/{SET}/\1", "own scripts"),
    Alias(r"(val|valid|validation|test|dev|heldout|held_out)_(accuracy|acc|score)", r"eval/\1/\2", "own tables"),
    Alias(r"((?!(?:train|critic|actor|reward|rewards|labels|rollout)/).+)/(" + _SCORE + ")", r"eval/\1/\2",
          "own tables: SET/METRIC; NeMo-RL's `validation/accuracy`"),
)  # fmt: skip
_SLIME = Alias(r"eval/([^/]+)", r"eval/\1/score", "slime 0.2: the mean reward of a set")
_SLIME_OTHERS = re.compile(r"eval/.*(-truncated_ratio|-response_len.*|/step|/global_step|_time)|eval/step")

_BESIDE = (
    r"(actor|clip_ratio|completions|critic|labels|optim|perf|prompt_length|response_length|rewards|sampling|saturation"
    r"|tools|verify)/.+"
    r"|loss|kl|entropy|grad_norm|learning_rate|lr|reward_std|frac_reward_zero_std|step_time|epoch|num_tokens|time"
)
_TRAINING = re.compile(
    rf"(train/)?({_BESIDE})|eval[_/](.+[_/])?({_BESIDE}|[^/]+_std|runtime|samples_per_second|steps_per_second)"
    r"|(timing|timing_s|timing_per_token_ms|training|val-aux|val-core|mfu|global_seqlen|time|rollout|progress|seq_len"
    r"|prefill_len|decode_len|is_truncated|stop_condition|samples_per_rollout|num_turns|reward|solve_none|solve_all"
    r"|effective_batch_size|batch|filters|pre_filters|inference|system)/.+|train[_/](runtime|loss|samples_per_second|steps_per_second)"
    r"|(train/)?total_flos|percentage|elapsed_time|remaining_time|memory\(gib\)|train_speed\(s/it\)|wall time"
    r"|_timestamp|_runtime|_wandb",
    re.IGNORECASE,
)
"""What trainers log beside rewards and scores: kept, and not worth saying."""
WORDS = frozenset(("percentage", "elapsed_time", "remaining_time", "_wandb"))
"""Of these, what is never a number (ms-swift 3, W&B)."""

_EXACT = {alias.theirs: alias.ours for alias in _SAME}
_RULES = tuple((re.compile(alias.theirs, re.IGNORECASE), alias.ours) for alias in _EVALUATIONS)
_STEP_RANK = {alias.theirs: rank for rank, alias in enumerate(STEPS)}
_REWARD_RANK = {alias.theirs: rank for rank, alias in enumerate(REWARDS)}


def step_rank(name: str) -> int | None:
    """How much a column is to be believed to count steps, 0 the most; None where it counts none."""
    return _STEP_RANK.get(name.lower())


def is_counter(name: str) -> bool:
    """Whether a column of steps counts log calls only."""
    return name.lower() == STEPS[-1].theirs


def reward_rank(name: str) -> int | None:
    """How much a column is to be preferred as the train reward, 0 the most; None where it is none."""
    lower = name.lower()
    return _REWARD_RANK.get(lower, _REWARD_RANK.get(lower.removeprefix("train/")))


def our_name(name: str, slime: bool = False) -> str:
    """Our name for a metric of another trainer; `name` itself where no line of the table knows it.

    Args:
        name: theirs.
        slime: the log is slime's, which calls an evaluation set's mean reward `eval/SET`.
    """
    lower = name.lower()
    for known in (lower, lower.removeprefix("train/")):
        if known in _EXACT:
            return _EXACT[known]
    if slime and re.fullmatch(_SLIME.theirs, name) and not _SLIME_OTHERS.fullmatch(name):
        return re.sub(_SLIME.theirs, _SLIME.ours, name)
    for pattern, replacement in _RULES:
        match = pattern.fullmatch(name)
        if match:
            set_name, _, metric = match.expand(replacement).rpartition("/")
            return f"{set_name}/{metric.lower() if re.fullmatch(_SCORE, metric, re.IGNORECASE) else metric}"
    bare = name[len("train/") :] if lower.startswith("train/") else name
    if bare.lower() in _PLAIN:
        return bare.lower()
    return bare if re.fullmatch(_BESIDE, bare, re.IGNORECASE) else name


def is_known(name: str, slime: bool = False) -> bool:
    """Whether a name needs no word: a step, a reward, a score, or what trainers log beside them."""
    if step_rank(name) is not None or reward_rank(name) is not None or _TRAINING.fullmatch(name):
        return True
    ours = our_name(name, slime)
    if ours.startswith("eval/") and ours.count("/") > 1:
        metric = ours.rpartition("/")[2]
        return metric in PROXIES or re.fullmatch(_SCORE + "|gold_accuracy|reward|verifiable", metric) is not None
    return ours != name


PROXIES = frozenset(
    (
        "majority_vote",
        "soft_majority_vote",
        "self_certainty",
        "negative_entropy",
        "random",
        "format_only",
        "weighted_sum",
    )
)
"""What presat's own rewards that are no accuracy are called, before a slash and its options."""
