"""The advantage against the formula, missing rewards included, and against TRL's own."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.utils import nanstd

from presat.training.grpo.advantages import EPSILON, advantages

REWARD = st.sampled_from([0.0, 1.0, 0.25, -3.5, math.nan])


def by_hand(rewards_G):
    known = [reward for reward in rewards_G if not math.isnan(reward)]
    if len(known) < 2:
        return [0.0] * len(rewards_G)
    mean, std = statistics.fmean(known), statistics.stdev(known)
    return [0.0 if math.isnan(reward) else (reward - mean) / (std + EPSILON) for reward in rewards_G]


@given(st.lists(st.lists(REWARD, min_size=4, max_size=4), min_size=1, max_size=3))
def test_groups_are_compared_within_themselves(rewards):
    found = advantages(torch.tensor(rewards).flatten(), 4)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx([value for row in rewards for value in by_hand(row)], abs=1e-6)


@given(st.lists(REWARD, min_size=4, max_size=4))
def test_they_are_trls_to_rounding(rewards):
    rewards_PG = torch.tensor([rewards])
    theirs = (rewards_PG - rewards_PG.nanmean(1, keepdim=True)) / (nanstd(rewards_PG, dim=1, keepdim=True) + 1e-4)
    assert torch.allclose(advantages(rewards_PG.flatten(), 4), theirs.nan_to_num(nan=0.0).flatten(), atol=1e-5)


def test_a_constant_takes_the_place_of_the_group():
    rewards = torch.tensor([1.0, 0.0, math.nan, 1.0])
    assert advantages(rewards, 2, 1.0).tolist() == [0.0, -1.0, 0.0, 0.0]
    assert advantages(rewards, 2, 0.0).tolist() == [1.0, 0.0, 0.0, 1.0]
