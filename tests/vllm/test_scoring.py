"""Given texts scored by vLLM against the models' own numbers."""

from __future__ import annotations

import pytest
import torch

from presat.errors import DataError
from presat.rollouts import make_engine
from presat.rollouts.scoring import Branch, Tree

pytest.importorskip("vllm")


def test_vllm_scores_given_texts_as_the_model_does(lab):
    model, tokenizer, engine = lab
    trees = [
        Tree(tuple(range(5, 25)), (Branch(4, (9, 10, 11)), Branch(20, (12, 13, 14, 15), 2)), 3),
        Tree(tuple(range(30, 40)), (Branch(10, (7,)),)),
        Tree((8, 9)),
    ]
    found, wanted = engine.score(trees), make_engine(model, tokenizer, "small").score(trees)
    for one, other in zip(found, wanted, strict=True):
        assert sum(one.branches, one.trunk) == pytest.approx(sum(other.branches, other.trunk), abs=2e-4)
    assert [len(values) for values in (found[0].trunk, *found[0].branches)] == [17, 3, 2]
    assert engine.score([]) == []
    with torch.no_grad():
        model.lm_head.weight.mul_(1.1)
    changed = engine.score(trees)
    assert changed[0].trunk == pytest.approx(make_engine(model, tokenizer, "small").score(trees)[0].trunk, abs=2e-4)
    assert changed[0].trunk != pytest.approx(found[0].trunk, abs=1e-3)
    with torch.no_grad():
        model.lm_head.weight.div_(1.1)
    with pytest.raises(DataError, match="has 256 tokens and the model 256 positions"):
        engine.score([Tree((5,) * 256, (), 1)])
