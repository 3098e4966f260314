"""The advantage of a response: how much better its reward is than its group's, or than a constant.

Section 3: A = (r - mean) / std over the group; the standard deviation is the unbiased one plus 1e-4, as in TRL. The
baselines of appendix E take r - b instead. A response without a reward takes no part in its group and pushes nothing.
"""

from __future__ import annotations

import torch

BASELINES = {"grpo": None, "grpo_pos": 0.0, "grpo_neg": 1.0}
"""The constant b of each `advantage`; None compares responses within their group."""
EPSILON = 1e-4
"""Added to the standard deviation."""


def advantages(rewards_B: torch.Tensor, group_size: int, baseline: float | None = None) -> torch.Tensor:
    """Return the advantage of every response, float32 [B].

    In double precision, then rounded: so the last bit is the same on every processor, which TRL's is not.

    Args:
        rewards_B: rewards, group after group; NaN where missing.
        group_size: G.
        baseline: b; None takes the group's mean and standard deviation.
    """
    rewards_PG = rewards_B.double().view(-1, group_size)
    if baseline is not None:
        values_PG = rewards_PG - baseline
    else:
        centred_PG = rewards_PG - rewards_PG.nanmean(1, keepdim=True)
        judged_P1 = rewards_PG.isfinite().sum(1, keepdim=True)
        std_P1 = (centred_PG.square().nansum(1, keepdim=True) / (judged_P1 - 1)).sqrt()  # NaN where one is judged
        values_PG = centred_PG / (std_P1 + EPSILON)
    return values_PG.nan_to_num(nan=0.0).float().flatten()
