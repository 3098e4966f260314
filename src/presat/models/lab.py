"""The lab's own model: a Llama of 0.1M parameters with a word-level tokenizer, made from scratch in a moment.

It is an ordinary Hugging Face folder (safetensors, tokenizer, chat template) and takes the same path through every verb
as a pretrained model. Two layers suffice for recall and copying, which the lab's reasoning stands on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from presat.files import usual_modes
from presat.models.libraries import saving
from presat.tasks.lab.corpus import BREAK, CONTENT, SEPARATOR
from presat.tasks.lab.solutions import BOX, END_BOX, END_THINK, THINK

PAD, BOS, EOS, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<user>", "<assistant>"
VOCABULARY = (PAD, BOS, EOS, USER, ASSISTANT, THINK, END_THINK, BOX, END_BOX, SEPARATOR, BREAK, *CONTENT)
MAX_POSITIONS = 256

CHAT_TEMPLATE = (
    "{{- bos_token }}{% for message in messages %}"
    "{% if message.role == 'assistant' %}"
    " <assistant> {% generation %}{{ message.content }} {{ eos_token }}{% endgeneration %}"
    "{% else %} <user> {{ message.content }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %} <assistant>{% endif %}"
)


def make_lab_model(folder: Path | str, seed: int, hidden: int = 64, layers: int = 2) -> Path:
    """Make a randomly initialised lab model and its tokenizer in `folder`; return the folder.

    Args:
        folder: where to; made when absent.
        seed: decides every weight.
        hidden: width; heads are 32 wide and the feed-forward is 2.5 times as wide.
        layers: transformer blocks.

    Raises:
        OSError: the folder cannot be written to, for instance because the disk is full.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = lab_tokenizer()
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden,
        intermediate_size=hidden * 5 // 2,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        initializer_range=0.02,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    logging.disable_progress_bar()
    with saving(folder):
        model.save_pretrained(folder)
    logging.enable_progress_bar()
    tokenizer.save_pretrained(folder)
    usual_modes(folder)
    return folder


def lab_tokenizer() -> Any:
    """Return the lab's tokenizer: one token a word, words separated by single spaces, text round-trips."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token=PAD))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_POSITIONS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def recall_accuracy(model: Any, tokenizer: Any, seed: int = 0, count: int = 200) -> float:
    """Return how often the model names the value of a key it has read: the skill nothing is learned without.

    Measured on fresh recall documents by the most likely token after each key asked for; the last key is left out,
    since it can be had by elimination.
    """
    from presat.tasks.lab.chains import chain_rng
    from presat.tasks.lab.corpus import recall

    rng = chain_rng("recall check", seed)
    texts = [recall(rng).split() for _ in range(count)]
    rows = [[tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(words)] for words in texts]
    best = _most_likely(model, rows, tokenizer.pad_token_id)
    hits: list[bool] = []
    for row, words, guesses in zip(rows, texts, best, strict=True):
        asked = range(words.index(SEPARATOR) + 2, len(words) - 1, 2)
        hits += [row[position + 1] == guesses[position] for position in asked]
    return sum(hits) / len(hits)


def _most_likely(model: Any, rows: Sequence[Sequence[int]], pad: int) -> list[list[int]]:
    """The most likely next token after every position of each row."""
    import torch

    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=model.device)
    with torch.inference_mode():
        return model(input_ids=ids).logits.argmax(-1).tolist()
