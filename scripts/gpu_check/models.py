"""The models of the check, made on the spot: the lab's, and a Llama of 135M parameters with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE = {  # SmolLM2-135M's
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152,
}  # fmt: skip
SMALL = SHAPE | {"hidden_size": 72, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 512}


def byte_tokenizer() -> Any:
    """One token a byte, and four special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = Tokenizer(BPE({token: index for index, token in enumerate([*special, *alphabet])}, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=special[0], eos_token=special[1])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_llama(folder: Path, small: bool) -> str:
    """Make the Llama in `folder` unless it is there; most of its tokens stand for no text, which nothing here reads."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if not (folder / "config.json").exists():
        tokenizer = byte_tokenizer()
        torch.manual_seed(0)
        config = LlamaConfig(
            **(SMALL if small else SHAPE),
            max_position_embeddings=2048,
            initializer_range=0.06,  # three times the usual: tokens that are told apart
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
        tokenizer.save_pretrained(folder)
        LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def make_lab(folder: Path) -> str:
    """Make the lab's model, with weights large enough that its responses differ in length."""
    import torch
    from safetensors.torch import load_file, save_file

    from presat.models.lab import make_lab_model

    if not (folder / "config.json").exists():
        file = make_lab_model(folder, seed=0) / "model.safetensors"
        weights = load_file(file)
        weights["lm_head.weight"] = weights["lm_head.weight"] * torch.tensor(8.0)
        save_file(weights, file, {"format": "pt"})
    return str(folder)
