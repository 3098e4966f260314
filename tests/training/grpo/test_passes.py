"""GRPO through passes that read a prompt once, against the same run through TRL's own."""

from __future__ import annotations

import pytest
import torch
from tests.training.updates import G, train

from presat.training.grpo import passes
from presat.training.passes.decoder import Fit

STEPS = 3
LOGGED = ("loss", "kl", "entropy", "grad_norm", "reward")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run both ways; of the first what each pass took."""
    taken = []
    part = passes._part
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "_part", lambda model, ids, *rest: (taken.append(ids), part(model, ids, *rest))[1])
        packed = train(tmp_path_factory.mktemp("packed"), STEPS, advantage="grpo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fit, "__call__", lambda *_: False)
        plain = train(tmp_path_factory.mktemp("plain"), STEPS, advantage="grpo")
    return packed, plain, taken


def test_the_run_is_the_one_through_the_models_own_forward(runs):
    packed, plain, taken = runs
    for ours, theirs in zip(packed.logs, plain.logs, strict=True):
        assert {n: ours[n] for n in LOGGED} == pytest.approx({n: theirs[n] for n in LOGGED}, rel=1e-4, abs=2e-6)
    for name, weight in plain.weights[-1].items():
        assert (weight - packed.weights[-1][name]).abs().max() < 0.05 * packed.config.optim.lr
    assert len(taken) == STEPS * 2 * 2  # two micro-batches of the policy, two of the reference


def test_a_micro_batch_holds_whole_groups(runs):
    _, _, taken = runs
    for ids in taken:
        prompts = [tuple(row[:6]) for row in ids.tolist()]
        assert all(len(set(prompts[start : start + G])) == 1 for start in range(0, len(prompts), G))


def test_rows_come_back_in_their_order_with_all_that_belongs_to_them():
    order = torch.tensor([3, 0, 2, 1])
    batches = [{"row": part, "ids": part[:, None] * 10, "count": torch.tensor(4)} for part in (order[:2], order[2:])]
    found = passes.in_order(batches, "row")
    assert [batch["ids"].flatten().tolist() for batch in found] == [[0, 10], [20, 30]]
    assert all(batch["count"] == 4 for batch in found)
