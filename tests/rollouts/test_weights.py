"""What is handed to whoever samples elsewhere equals the model that trains, adapters and tied heads included."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from tests.device import DEVICE
from transformers import LlamaConfig, LlamaForCausalLM

from presat.config.schema import LoraConfig
from presat.models.adapters import peft_config
from presat.rollouts.weights import fingerprint, save_weights, whole_weights

pytestmark = pytest.mark.device


def model(tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, tie_word_embeddings=tied, **sizes)).to(DEVICE)


def adapted(dtype: torch.dtype = torch.float32):
    """A model with adapters that change it, and PEFT's view of it."""
    import peft

    base = model().to(dtype)
    wrapped = peft.get_peft_model(base, peft_config(base, LoraConfig(rank=3, alpha=12)))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.3)
    return base, wrapped


def test_a_plain_model_gives_its_state_dict_and_a_tied_head_with_it():
    tied = model(tied=True)
    found = dict(whole_weights(tied))
    assert found.keys() == tied.state_dict().keys()
    assert found["lm_head.weight"].data_ptr() == found["model.embed_tokens.weight"].data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adapters_are_added_to_the_weights_they_adapt(dtype):
    base, wrapped = adapted(dtype)
    found = {name: value.clone() for name, value in whole_weights(base)}
    with wrapped.disable_adapter():
        plain = dict(whole_weights(base))
    started = model().to(dtype).state_dict()
    assert found.keys() == plain.keys() == started.keys()
    assert all(torch.equal(plain[name], value) for name, value in started.items())
    merged = wrapped.merge_and_unload().state_dict()
    for name, value in merged.items():
        assert found[name].dtype == dtype
        torch.testing.assert_close(found[name], value)
        assert torch.equal(found[name], started[name]) == ("proj" not in name)


def test_the_fingerprint_sees_any_change_and_is_a_function_of_the_weights():
    base, wrapped = adapted()
    before = fingerprint(whole_weights(base))
    assert fingerprint(whole_weights(base)) == before
    weight = wrapped.get_parameter("base_model.model.model.layers.1.mlp.up_proj.lora_A.default.weight")
    kept = weight.detach().clone()
    weight.data[0, 0] += 0.1  # no version counter sees this
    assert fingerprint(whole_weights(base)) != before
    weight.data.copy_(kept)
    assert fingerprint(whole_weights(base)) == before


def test_a_file_of_them_loads_as_the_model(tmp_path):
    tied = model(tied=True)
    save_weights(whole_weights(tied), tmp_path / "new" / "1")
    found = load_file(tmp_path / "new" / "1" / "model.safetensors")
    other = LlamaForCausalLM(tied.config).to(DEVICE)
    other.load_state_dict(found)
    ids = torch.arange(8, device=DEVICE)[None]
    assert torch.equal(other(input_ids=ids).logits, tied(input_ids=ids).logits)
