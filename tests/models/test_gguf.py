"""A GGUF file written here becomes a Hugging Face folder: the same weights, and the special tokens the file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from presat.errors import ModelError
from presat.models import load_model_and_tokenizer, model_note
from presat.models.packaged import PACKAGED, gguf_to_folder

# the end of a turn is neither the first nor the last of the special tokens, nor the one the family usually has
SPECIAL = ("<|unused|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|other|>")
MERGES = ("h e", "he l", "l o", "Ġ Ġ")
PIECES = (*bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES))
TOKENS = (*PIECES, *SPECIAL)
PAD, END = TOKENS.index("<|endoftext|>"), TOKENS.index("<|im_end|>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.fixture(scope="module")
def original() -> Any:
    torch.manual_seed(3)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(TOKENS), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False, initializer_range=0.2,
        )
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def file(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`original` as float32 tensors, with a byte-level tokenizer of a few merges."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    config = original.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([gguf.TokenType.NORMAL] * len(PIECES) + [gguf.TokenType.CONTROL] * len(SPECIAL))
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(PAD)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, weight in original.state_dict().items():
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert target is not None, name
        writer.add_tensor(target, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_to_folder(file, tmp_path_factory.mktemp("made") / "model", "float32", origin="qwen2.5-coder-1.5b")


def test_the_folder_computes_what_the_files_model_did(original: Any, folder: Path):
    model, _ = load_model_and_tokenizer(str(folder))
    ids = torch.arange(24).view(2, 12) % len(TOKENS)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits, rtol=0, atol=1e-5)


def test_special_tokens_are_those_of_the_file(folder: Path):
    model, tokenizer = load_model_and_tokenizer(str(folder))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (END, PAD)
    assert model.generation_config.eos_token_id == [END, PAD]
    assert model.generation_config.pad_token_id == PAD


def test_text_goes_through_the_tokenizer_and_its_chat_template(folder: Path):
    _, tokenizer = load_model_and_tokenizer(str(folder))
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert text == "<|im_start|>user\nhello<|im_end|>\n"
    ids = tokenizer(text).input_ids
    assert ids.count(END) == 1
    assert TOKENS.index("hel") in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer("e\u0301").input_ids) == "\u00e9"  # Qwen's text is normalised to NFC


def test_the_folder_says_where_it_came_from(folder: Path):
    assert model_note(str(folder)) == PACKAGED["qwen2.5-coder-1.5b"].note


def test_a_damaged_file(file: Path, tmp_path: Path):
    short = tmp_path / "short.gguf"
    short.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"The GGUF model in .*short\.gguf cannot be loaded"):
        gguf_to_folder(short, tmp_path / "model")
