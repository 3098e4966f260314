"""Passes over packed responses against the model's own forward, in float64 and response by response."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from presat.training.passes import head
from presat.training.passes.decoder import layout_logprobs, unsupported
from presat.training.passes.layout import _filled, pack

SIZES = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 6}
SHAPE = {**SIZES, "num_key_value_heads": 2, "vocab_size": 70, "pad_token_id": 3, "initializer_range": 0.3}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
KINDS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "llama3": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SHAPE, attention_bias=True, mlp_bias=True,
            rope_parameters={**LLAMA3, "original_max_position_embeddings": 16},
        )
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
}  # fmt: skip


def made(kind):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return KINDS[kind]()


def texts():
    """Rows of three prompts, one of them alone, and responses of which some are a single token; pads among them."""
    rng = random.Random(0)
    prompts = [[rng.randrange(70) for _ in range(length)] for length in (5, 12, 1)]
    responses = [[rng.randrange(70) for _ in range(length)] for length in (1, 9, 4, 9, 1, 6)]
    prompts[1][3] = responses[1][2] = 3
    return [prompts[owner] for owner in (0, 1, 0, 2, 1, 1)], responses


def own(model, prompts, responses, temperature):
    """Log-probabilities and entropies by the model's own forward."""
    found, spread = [], []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1] / temperature
        log_p = logits.log_softmax(-1)
        found.append(log_p.gather(1, torch.tensor(response)[:, None])[:, 0])
        spread.append(-(log_p.exp() * log_p).sum(-1))
    return torch.cat(found), torch.cat(spread)


def largest_gap(model, exact):
    """Largest error of any weight's gradient, as a share of its norm."""
    pairs = zip(model.parameters(), exact.parameters(), strict=True)
    return max(float((one.grad - other.grad).norm() / other.grad.norm()) for one, other in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("strip", "kept"), [(2**20, 2**25), (64, 2**25), (64, 0)])
def test_numbers_and_gradients_are_the_models_own(kind, strip, kept, monkeypatch):
    monkeypatch.setattr(head, "STRIP", strip)
    monkeypatch.setattr(head, "KEPT", kept)
    model = made(kind)
    exact, plain = copy.deepcopy(model).double(), copy.deepcopy(model)
    prompts, responses = texts()
    weights = torch.randn(sum(map(len, responses)))
    assert not unsupported(model)
    for temperature in (1.0, 0.7):  # the second gradient is added to the first
        wanted, spread = own(exact, prompts, responses, temperature)
        (wanted * weights.double()).sum().backward()
        (own(plain, prompts, responses, temperature)[0] * weights).sum().backward()
        found, entropies, _ = layout_logprobs(model, pack(prompts, responses), temperature)
        (found * weights).sum().backward()
        assert (found - wanted).abs().max() < 2e-5
        assert (entropies - spread).abs().max() < 2e-5
        assert largest_gap(model, exact) < 4 * largest_gap(plain, exact)  # of the size of the model's own error


def test_weights_that_are_frozen_stay_without_a_gradient():
    model = made("tied")
    for weight in model.model.layers[0].parameters():
        weight.requires_grad_(False)
    exact = copy.deepcopy(model).double()
    prompts, responses = texts()
    own(exact, prompts, responses, 1.0)[0].sum().backward()
    layout_logprobs(model, pack(prompts, responses), 1.0)[0].sum().backward()
    for weight, other in zip(model.parameters(), exact.parameters(), strict=True):
        assert (weight.grad is None) == (other.grad is None) == (not weight.requires_grad)
        if weight.grad is not None:
            assert (weight.grad - other.grad).norm() < 5e-6 * other.grad.norm()


def test_a_prompt_is_read_once_for_all_its_responses():
    prompts, responses = texts()
    layout = pack(prompts, responses)
    read = sum(len(part.real_R) for part in layout.reads)
    assert read == sum(map(len, {tuple(prompt) for prompt in prompts})) + sum(map(len, responses)) - 6
    assert len(layout.rows) == sum(map(len, responses))


def test_an_empty_response_has_no_tokens_and_changes_nothing():
    model = made("llama")
    prompts, responses = texts()
    with torch.no_grad():
        found, *_ = layout_logprobs(model, pack(prompts, responses))
        again, *_ = layout_logprobs(model, layout := pack([prompts[0], *prompts], [[], *responses]))
    assert (again - found).abs().max() < 1e-5
    assert layout.rows.tolist() == [row + 1 for row, response in enumerate(responses) for _ in response]


def test_texts_of_all_lengths_make_few_sizes():
    sizes = [len(_filled([1] * length)) for length in range(1, 3000)]
    assert len(set(sizes)) < 100
    assert all(length <= size < 1.07 * length + 8 for length, size in enumerate(sizes, 1))


def test_the_same_batch_gives_the_same_bits_with_and_without_gradients():
    model = made("llama")
    layout = pack(*texts())
    found, entropies, _ = layout_logprobs(model, layout, 1.0)
    with torch.no_grad():
        again, others, _ = layout_logprobs(model, layout, 1.0)
    assert torch.equal(found, again)
    assert torch.equal(entropies, others)


def test_what_the_passes_cannot_take_is_named():
    assert "float32" in unsupported(made("llama").bfloat16())
    hooked = made("llama")
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    assert "hooks" in unsupported(hooked)
    again = made("qwen2")
    again.gradient_checkpointing_enable()
    assert "again" in unsupported(again)
    dropping = made("llama")
    dropping.config.attention_dropout = 0.1
    assert "dropout" in unsupported(dropping)
    other = made("llama")
    other.model.layers[1].mlp.up_proj = type("Other", (torch.nn.Linear,), {})(48, 80, bias=False)
    assert "plain" in unsupported(other)
    assert "class of transformers" in unsupported(
        type("LlamaForCausalLM", (LlamaForCausalLM,), {})(LlamaConfig(**SHAPE))
    )
