"""Other trainers' metric names in ours: one table.

Our names are TRL's (`reward`, `kl`, `entropy`, ...) and `eval/SET/METRIC`. A name that no rule knows stays as it is.

verl logs `val-core/SOURCE/VARIABLE/METRIC`, the source possibly with slashes of its own, and the same under `val-aux`
for smaller k and other variables. Its `mean@k` is avg@k. Its `best@k` is a bootstrap with replacement from the k
samples, which is lower than the unbiased pass@k, so it keeps a name of its own.
"""

from __future__ import annotations

import re

REWARD_NAMES = ("reward", "critic/score/mean", "critic/rewards/mean", "train_reward", "mean_reward", "reward_mean")
"""Names of the mean train reward, the preferred first: verl's score is the reward before any KL penalty."""

_SAME = {
    "actor/entropy": "entropy",
    "actor/entropy_loss": "entropy",
    "actor/kl_loss": "kl",
    "actor/grad_norm": "grad_norm",
    "actor/pg_loss": "loss",
    "actor/lr": "learning_rate",
    "response_length/mean": "completions/mean_length",
    "response_length/min": "completions/min_length",
    "response_length/max": "completions/max_length",
    "response_length/clip_ratio": "completions/clipped_ratio",
}
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"val-core/(.+)/[^/]+/mean@(\d+)", r"eval/\1/avg@\2"),
        (r"val-core/(.+)/[^/]+/maj@(\d+)/mean", r"eval/\1/maj@\2"),
        (r"val-core/(.+)/[^/]+/best@(\d+)/mean", r"eval/\1/best@\2"),
        (r"val-aux/(.+)/acc/mean@(\d+)", r"eval/\1/avg@\2"),
        (r"val-aux/(.+)/acc/maj@(\d+)/mean", r"eval/\1/maj@\2"),
        (r"val-aux/(.+)/acc/best@(\d+)/mean", r"eval/\1/best@\2"),
        (r"val/test_score/(.+)", r"eval/\1/score"),
    )
)
_TRAINING_PREFIXES = (
    "actor/", "clip_ratio/", "completions/", "critic/", "labels/", "perf/", "prompt_length/", "response_length/",
    "rewards/", "saturation/", "timing_s/", "training/", "val-aux/", "verify/", "eval/",
)  # fmt: skip
_TRAINING_NAMES = frozenset(
    ("loss", "kl", "entropy", "grad_norm", "learning_rate", "lr", "reward_std", "epoch", "time", "num_tokens")
)


def our_name(name: str) -> str:
    """Our name for a metric of another trainer; `name` itself where no rule knows it."""
    if name in _SAME:
        return _SAME[name]
    for pattern, replacement in _RULES:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(replacement)
    return name


def column_name(name: str) -> str:
    """Our name for a table's column; what is no known training metric is an evaluation, `SET/METRIC` or just `SET`."""
    known = our_name(name)
    if known != name or name in REWARD_NAMES or name in _TRAINING_NAMES or name.startswith(_TRAINING_PREFIXES):
        return known
    return f"eval/{name}" if "/" in name else f"eval/{name}/score"


def rename(values: dict[str, dict[int, float]]) -> dict[str, dict[int, float]]:
    """Give every series our name, and the preferred of the reward's names `reward`."""
    renamed: dict[str, dict[int, float]] = {}
    for name, series in values.items():
        renamed.setdefault(our_name(name), {}).update(series)
    for name in REWARD_NAMES:
        if name in renamed:
            renamed["reward"] = renamed.pop(name)
            break
    return renamed
