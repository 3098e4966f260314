"""What decides a draw, and what two of them differ in."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from presat.errors import RunError
from presat.tracking.identity import differences, draw_identity, refuse_other
from presat.types import Sampling


def identity(toy_model, template: str | None = None, **changes) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(toy_model)
    tokenizer.chat_template = template or tokenizer.chat_template
    settings = {"model": {"name": "m", "sha256": "1" * 64}, "tokenizer": tokenizer, "engine": "small", "samples": 4,
                "sampling": Sampling(1.0, 20, 64), "seed": 0, "extraction": "boxed"}  # fmt: skip
    return draw_identity(**{**settings, **changes})


def test_an_identity_is_flat_and_says_what_differs(toy_model):
    before = identity(toy_model, dtype="float32", problems=None)
    assert all(value is None or isinstance(value, str | int | float) for value in before.values())
    assert "problems" not in before
    assert differences(before, before) == []
    now = identity(toy_model, seed=1, sampling=Sampling(0.5, 20, 2048), dtype="bfloat16")
    assert differences(before, now) == ["temperature 1.0, now 0.5", "seed 0, now 1", "dtype float32, now bfloat16"]
    with pytest.raises(RunError, match=r"^There is one \(samples 4, now 8\)\. Go elsewhere\.$"):
        refuse_other(before, identity(toy_model, samples=8), "There is one", "Go elsewhere.")


def test_what_a_model_or_template_is_called_decides_nothing_where_its_content_is_known(toy_model):
    one = identity(toy_model, chat_template="a.jinja", tokenizer_name="here")
    moved = {"name": "elsewhere", "sha256": "1" * 64}
    assert differences(one, identity(toy_model, chat_template="b.jinja", tokenizer_name="there", model=moved)) == []
    other = identity(toy_model, "{{ messages }}", chat_template="b.jinja")
    assert differences(one, other) == ["chat_template a.jinja, now b.jinja"]
    changed = identity(toy_model, "{{ messages }}", chat_template="a.jinja")  # the file has another text now
    hashes = [str(item["chat_template_sha256"])[:24] for item in (one, changed)]
    assert differences(one, changed) == ["chat_template {}, now {}".format(*hashes)]
    assert differences(one, identity(toy_model, model={"name": "m", "sha256": "2" * 64}))[0].startswith("model 1111")


def test_a_record_is_held_to_what_it_says(toy_model):
    now = identity(toy_model, chat_template="b.jinja", dtype="float32")
    assert differences({"engine": "SmallEngine", "seed": 0}, now) == []
    assert differences({"engine": "VllmEngine", "chat_template": ""}, now) == [
        "engine vllm, now small", "chat_template none, now b.jinja",
    ]  # fmt: skip
