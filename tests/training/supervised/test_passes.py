"""Supervised training through passes without padding, against the model's own forward."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.training.runs import lines, share_apart
from trl.trainer.utils import add_fused_lm_head

from presat.config.schema import ModelConfig, SftConfig, SupervisedOptimConfig, TaskConfig
from presat.models import load_model_and_tokenizer
from presat.models.examples import IGNORED
from presat.training import run_sft
from presat.training.passes.decoder import Fit
from presat.training.supervised.passes import Packed


def rows(lengths):
    """Texts, one of which has nothing to learn; some labels are ignored, a first one is not."""
    torch.manual_seed(0)
    ids = torch.randint(1, 40, (4, 24))
    mask = (torch.arange(24) < torch.tensor(lengths)[:, None]).long()
    labels = torch.where(mask.bool(), ids, torch.tensor(IGNORED))
    labels[1, 3:9] = labels[3] = IGNORED
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


@pytest.mark.parametrize("lengths", [(11, 24, 5, 9), (24, 24, 24, 24)])
def test_log_probabilities_and_all_that_is_logged_are_those_of_trls_head(toy_model, lengths):
    model, _ = load_model_and_tokenizer(str(toy_model), "float32")
    other = copy.deepcopy(model)
    add_fused_lm_head(other, outputs=("log_probs", "entropy", "is_top1"))
    found = Packed(model)(**rows(lengths), use_cache=False)
    wanted = other(**rows(lengths), use_cache=False, fused_lm_head=True)
    assert (found.log_probs - wanted.log_probs).abs().max() < 1e-5
    assert (found.entropy - wanted.entropy).abs().max() < 1e-5
    assert torch.equal(found.is_top1, wanted.is_top1)
    assert torch.equal(found.label_mask, wanted.label_mask)
    (found.log_probs**2).sum().backward()
    (wanted.log_probs**2).sum().backward()
    for one, another in zip(model.parameters(), other.parameters(), strict=True):
        assert (one.grad - another.grad).norm() < 1e-5 * another.grad.norm()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_is_the_one_through_the_models_own_forward(toy_model, tmp_path, optimizer, monkeypatch):
    taken = []
    call = Packed.__call__
    monkeypatch.setattr(Packed, "__call__", lambda self, **batch: (taken.append(1), call(self, **batch))[1])
    found = []
    for name in ("packed", "plain"):
        if name == "plain":
            monkeypatch.setattr(Fit, "__call__", lambda *_: False)
        config = SftConfig(
            run=tmp_path / name,
            model=ModelConfig(name=str(toy_model)),
            data=TaskConfig(source="lab/chains", count=16, options={"operands": [2, 5]}),
            optim=SupervisedOptimConfig(optimizer=optimizer, lr=1e-3),
            epochs=2,
            batch=8,
            micro_batch=4,
            log_every=1,
            threads=1,
        )
        found.append(run_sft(config, quiet=True))
    assert len(taken) == 2 * 4  # micro-batches of the first run alone
    packed, plain = found
    for ours, theirs in zip(lines(packed)[1:], lines(plain)[1:], strict=True):
        for name in ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    assert share_apart(packed, plain, toy_model) < 3e-4
