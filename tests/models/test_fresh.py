"""New lab models by name: made once, the same each time, and refused under another name."""

from __future__ import annotations

from pathlib import Path

import pytest

from presat.errors import ModelError
from presat.models import load_model_and_tokenizer, make_lab_model, resolve_model
from presat.models.hashes import hash_path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))


def test_a_new_model_follows_from_its_name(tmp_path: Path) -> None:
    folder = Path(resolve_model("lab/new"))
    assert folder.parent.parent == tmp_path / "cache"
    weights = "model.safetensors"
    same = make_lab_model(tmp_path / "same", seed=0)
    assert hash_path(folder / weights) == hash_path(same / weights)
    made = (folder / weights).stat().st_mtime_ns
    assert (Path(resolve_model("lab/new-w64-s0")) / weights).stat().st_mtime_ns == made
    wide, _ = load_model_and_tokenizer("lab/new-w96-s1")
    assert wide.config.hidden_size == 96


@pytest.mark.parametrize("name", ["lab/new-w100", "lab/new-96", "lab/newer", "lab/new-w2048", "lab/new-w0"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"There is no lab model .*its width a multiple of 32"):
        resolve_model(name)


def test_a_cache_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ModelError, match="set PRESAT_CACHE to another folder"):
        resolve_model("lab/new")
