from __future__ import annotations

import pytest
import torch
from tests.device import DEVICE, SLACK, same_draws
from tests.rollouts.conftest import SMALL, build

from presat.errors import ConfigError, DataError
from presat.rollouts import fused, loop, make_engine, seed_for
from presat.rollouts.loop import draw
from presat.types import Problem, Sampling

pytestmark = pytest.mark.device

SAMPLING = Sampling(1.0, 90, 64)  # more than one block of draws and one growth of the cache
SEEDS = [seed_for(1, i) for i in range(5)]


def tokens(groups):
    return [[c.token_ids for c in group.completions] for group in groups]


def forced_logprobs(model, group, completion, temperature=1.0):
    """The model's own log-probability of each response token, unpadded and uncached."""
    ids = torch.tensor([[*group.prompt_ids, *completion.token_ids]], device=model.device)
    with torch.no_grad():
        logprobs = (model(input_ids=ids).logits.float() / temperature).log_softmax(-1)
    start = len(group.prompt_ids)
    return logprobs[0, start - 1 : -1].gather(1, ids[0, start:, None])[:, 0].cpu()


@pytest.mark.parametrize("kind", ["small", "transformers"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_the_models_own(kind, temperature, model, tokenizer, problems):
    sampling = Sampling(temperature, 90, 64)
    groups = make_engine(model, tokenizer, kind).generate(problems, 4, sampling, SEEDS)
    gaps = [
        (forced_logprobs(model, group, c, temperature) - torch.tensor(c.logprobs)).abs().max()
        for group in groups
        for c in group.completions
    ]
    assert max(gaps) < 1e-5 * SLACK
    assert max(len(c.token_ids) for group in groups for c in group.completions) > 70


def test_both_engines_draw_the_same_responses(model, tokenizer, problems):
    small = make_engine(model, tokenizer, "small").generate(problems, 6, SAMPLING, SEEDS)
    general = make_engine(model, tokenizer, "transformers").generate(problems, 6, SAMPLING, SEEDS)
    assert same_draws(tokens(small), tokens(general))


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_draws_do_not_depend_on_batching_or_company(kind, llama, tokenizer, problems):
    whole = make_engine(llama, tokenizer, kind, rows=64).generate(problems, 6, SAMPLING, SEEDS)
    pieces = make_engine(llama, tokenizer, kind, rows=4).generate(problems, 6, SAMPLING, SEEDS)
    alone = make_engine(llama, tokenizer, kind).generate([problems[3]], 3, SAMPLING, [SEEDS[3]])
    assert same_draws(tokens(whole), tokens(pieces))
    assert same_draws(tokens(alone), [tokens(whole)[3][:3]])


def test_responses_of_a_group_and_of_other_seeds_differ(llama, tokenizer, problems):
    engine = make_engine(llama, tokenizer)
    first = tokens(engine.generate(problems[:1], 8, SAMPLING, [1]))[0]
    other = tokens(engine.generate(problems[:1], 8, SAMPLING, [2]))[0]
    assert len(set(first)) == 8
    assert not set(first) & set(other)


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_temperature_zero_is_greedy_decoding(kind, model, tokenizer, problems):
    group = make_engine(model, tokenizer, kind).generate(problems[:1], 2, Sampling(0.0, 30, 64), [5])[0]
    ids = torch.tensor([group.prompt_ids], device=model.device)
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30)
    wanted = expected[0, ids.shape[1] :].tolist()
    assert [list(c.token_ids) for c in group.completions] == [wanted, wanted]
    assert torch.allclose(
        forced_logprobs(model, group, group.completions[0]),
        torch.tensor(group.completions[0].logprobs),
        atol=1e-5 * SLACK,
    )


def test_a_response_ends_at_eos_or_at_the_limit(llama, tokenizer, problems):
    groups = make_engine(llama, tokenizer).generate(problems, 16, Sampling(1.0, 20, 64), SEEDS)
    completions = [c for group in groups for c in group.completions]
    assert {c.finished for c in completions} == {True, False}
    for c in completions:
        assert (c.token_ids[-1] == tokenizer.eos_token_id) == c.finished
        assert tokenizer.eos_token_id not in c.token_ids[:-1]
        assert c.finished or len(c.token_ids) == 20
        assert len(c.logprobs) == len(c.token_ids)
        assert c.text == tokenizer.decode(c.token_ids, skip_special_tokens=True)


def test_the_live_weights_are_sampled(tokenizer, problems):
    model = build("llama", tokenizer)
    engine = make_engine(model, tokenizer, "small")
    before = engine.generate(problems, 2, SAMPLING, SEEDS)
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight.mul_(1.5)
    after = engine.generate(problems, 2, SAMPLING, SEEDS)
    assert tokens(before) != tokens(after)
    assert (
        forced_logprobs(model, after[0], after[0].completions[0]) - torch.tensor(after[0].completions[0].logprobs)
    ).abs().max() < 1e-5 * SLACK


def test_training_mode_is_kept(tokenizer, problems):
    model = build("llama", tokenizer).train()
    make_engine(model, tokenizer, "transformers").generate(problems[:1], 1, Sampling(1.0, 4, 64), [0])
    assert model.training


def test_bfloat16_stays_near_the_models_own(tokenizer, problems):
    model = build("llama-gqa", tokenizer, "bfloat16")
    groups = make_engine(model, tokenizer, "small").generate(problems, 4, SAMPLING, SEEDS)
    gaps = torch.cat(
        [forced_logprobs(model, g, c) - torch.tensor(c.logprobs) for g in groups for c in g.completions]
    ).abs()
    assert gaps.mean() < 0.05


def test_an_open_assistant_turn_is_continued(llama, tokenizer):
    asked = Problem("q", ({"role": "user", "content": "1 a +2"},), "3", "lab", "lab")
    opened = Problem("o", (*asked.messages, {"role": "assistant", "content": "<think> 1"}), "3", "lab", "lab")
    engine = make_engine(llama, tokenizer)
    tail = tokenizer.convert_tokens_to_ids(["<think>", "1"])
    assert engine.encode(opened) == (*engine.encode(asked), *tail)


def test_too_long_a_prompt_is_refused(llama, tokenizer, problems):
    with pytest.raises(DataError, match=r"'p2' has 12 prompt tokens"):
        make_engine(llama, tokenizer).generate(problems, 1, Sampling(1.0, 4, 11), SEEDS)


def test_unknown_or_unfit_engines_are_refused(llama, tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    with pytest.raises(ConfigError, match="Did you mean 'small'"):
        make_engine(llama, tokenizer, "smal")
    other = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64))
    with pytest.raises(ConfigError, match="GPT2LMHeadModel"):
        make_engine(other, tokenizer, "small")
    assert type(make_engine(other, tokenizer)).__name__ == "TransformersEngine"


@pytest.mark.parametrize(("vocabulary", "device", "gpu", "chosen"), [
    (300_000, "cpu", False, "SmallEngine"), (300_000, "meta", False, "TransformersEngine"),
    (1_100_000, "cpu", False, "TransformersEngine"), (300_000, "cpu", True, "TransformersEngine"),
])  # fmt: skip
def test_auto_takes_the_small_engine_up_to_a_size(vocabulary, device, gpu, chosen, tokenizer, monkeypatch):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 1024, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 16}
    with torch.device("meta"):  # 0.6B or 2.3B parameters, most of them in the embedding and the head
        model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **shape)).to(torch.bfloat16)
    if device == "cpu":
        model = model.to_empty(device="cpu")  # reserved, never touched
    monkeypatch.setattr(
        torch.cuda, "is_available", lambda: gpu
    )  # where there is one, the trainer moves the model there
    assert type(make_engine(model, tokenizer)).__name__ == chosen


def test_the_general_engine_runs_other_architectures(tokenizer, problems):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    other = (
        GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.5)
        )
        .to(DEVICE)
        .eval()
    )
    groups = make_engine(other, tokenizer).generate(problems, 3, Sampling(1.0, 30, 64), SEEDS)
    gaps = [
        (forced_logprobs(other, g, c) - torch.tensor(c.logprobs)).abs().max() for g in groups for c in g.completions
    ]
    assert max(gaps) < 1e-4 * SLACK


def test_inverse_cdf_draws_in_proportion():
    logits = torch.tensor([[0.0, 2.0, float("-inf"), 1.0, -1.0]])
    places = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    drawn, logprobs = draw(logits.expand(2000, 5), places, 0.7)
    probs = (logits[0] / 0.7).softmax(-1)
    counts = torch.bincount(drawn, minlength=5)
    assert (counts - 2000 * probs).abs().max() <= 1
    assert counts[2] == 0
    assert torch.allclose(logprobs, probs.log()[drawn])


def test_a_large_vocabulary_is_drawn_from_as_a_small_one(monkeypatch):
    torch.manual_seed(0)
    logits = torch.randn(500, 1000) * 4
    logits[:, 200:700] = float("-inf")  # whole chunks without a probability
    logits[250:, 990:] = float("-inf")  # and the end
    places = torch.rand(500, dtype=torch.float64)
    places[:250:5], places[250::5] = 0.0, 1.0 - 2**-53
    tokens, logprobs = draw(logits, places, 0.7)
    monkeypatch.setattr(loop, "_LARGE", 1)
    assert all(map(torch.equal, draw(logits, places, 0.7), (tokens, logprobs)))
    assert logprobs.isfinite().all()


def test_matrices_in_onednns_layout_give_the_models_own(model, tokenizer, problems, monkeypatch):
    plain = make_engine(model, tokenizer, "small").generate(problems, 4, SAMPLING, SEEDS)
    products = []
    worth = fused._worth_packing
    monkeypatch.setattr(fused, "_PACKED", 1)
    monkeypatch.setattr(fused, "_worth_packing", lambda weight: (products.append(worth(weight)), products[-1])[1])
    groups = make_engine(model, tokenizer, "small").generate(problems, 4, SAMPLING, SEEDS)
    assert same_draws(tokens(groups), tokens(plain))
    gaps = [
        (forced_logprobs(model, g, c) - torch.tensor(c.logprobs)).abs().max() for g in groups for c in g.completions
    ]
    assert max(gaps) < 1e-5 * SLACK
    assert products == [DEVICE == "cpu" and torch.backends.mkldnn.is_available()] * (4 * SMALL["num_hidden_layers"] + 1)


def test_the_ends_of_the_unit_interval_draw_possible_tokens():
    logits = torch.tensor([[float("-inf"), 0.0, 0.0, float("-inf")]])
    drawn, _ = draw(logits.expand(2, 4), torch.tensor([0.0, 1.0 - 2**-53], dtype=torch.float64), 1.0)
    assert drawn.tolist() == [1, 2]


@pytest.mark.parametrize("rows", [None, 8])
@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_responses_are_told_of_as_they_end_and_the_draws_are_the_same(kind, rows, llama, tokenizer, problems):
    engine = make_engine(llama, tokenizer, kind, rows=rows)
    plain = engine.generate(problems, 6, SAMPLING, SEEDS)
    heard = []
    with engine.telling(heard.append):
        groups = engine.generate(problems, 6, SAMPLING, SEEDS)
    assert same_draws(tokens(groups), tokens(plain))
    told = {(problem.id, text) for pairs in heard for problem, text in pairs}
    ended = {(group.problem.id, c.text) for group in groups for c in group.completions if c.finished}
    drawn = {(group.problem.id, c.text) for group in groups for c in group.completions}
    assert len(heard) > 1
    assert ended <= told <= drawn
    before = len(heard)
    engine.generate(problems[:1], 2, SAMPLING, SEEDS[:1])
    assert len(heard) == before
