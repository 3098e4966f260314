"""vLLM against the models' own numbers, before and after their weights change."""

from __future__ import annotations

import copy

import pytest
import torch

from presat.config.schema import LoraConfig, VllmConfig
from presat.errors import DataError
from presat.models import load_model_and_tokenizer, make_lab_model
from presat.models.adapters import peft_config
from presat.rollouts import make_engine, seed_for
from presat.types import Problem, Sampling

pytest.importorskip("vllm")

LAB = Sampling(1.0, 40, 64)
SMOLLM = Sampling(1.0, 24, 64)
SEEDS = [seed_for(1, i) for i in range(5)]


def tokens(groups):
    return [[c.token_ids for c in group.completions] for group in groups]


def forced_logprobs(model, group, completion, temperature):
    """The model's own log-probability of each response token, unpadded and uncached."""
    ids = torch.tensor([[*group.prompt_ids, *completion.token_ids]])
    with torch.no_grad():
        logprobs = (model(input_ids=ids).logits.float() / temperature).log_softmax(-1)
    start = len(group.prompt_ids)
    return logprobs[0, start - 1 : -1].gather(1, ids[0, start:, None])[:, 0]


def gaps(model, groups, temperature=1.0):
    """|log-probability by vLLM - by transformers| of every response token."""
    rows = [
        forced_logprobs(model, group, c, temperature) - torch.tensor(c.logprobs)
        for group in groups
        for c in group.completions
    ]
    return torch.cat(rows).abs()


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
def test_logprobs_are_the_lab_models_own(temperature, lab, lab_problems):
    model, _, engine = lab
    groups = engine.generate(lab_problems, 4, Sampling(temperature, 40, 64), SEEDS)
    assert gaps(model, groups, temperature or 1.0).max() < 2e-5
    assert max(len(c.token_ids) for group in groups for c in group.completions) > 20


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_smollms_own(temperature, smollm, questions):
    model, _, engine = smollm
    groups = engine.generate(questions, 2, Sampling(temperature, 24, 64), SEEDS[:3])
    assert gaps(model, groups, temperature).max() < 3e-4


def test_a_changed_head_is_sampled_though_it_is_tied_to_the_embedding(smollm, questions):
    model, _, engine = smollm
    kept = copy.deepcopy(model.state_dict())
    before = engine.generate(questions, 1, SMOLLM, SEEDS[:3])
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 0.05 * torch.randn_like(weight))
    assert gaps(model, before).mean() > 0.05  # the old numbers would not do
    assert gaps(model, engine.generate(questions, 2, SMOLLM, SEEDS[:3])).max() < 3e-4
    model.load_state_dict(kept)
    assert tokens(engine.generate(questions, 1, SMOLLM, SEEDS[:3])) == tokens(before)


def test_weights_are_handed_over_when_they_changed_and_only_then(lab, lab_problems):
    model, _, engine = lab
    engine.generate(lab_problems, 1, LAB, SEEDS)
    served = engine._served(104)
    assert not served.sync(model)
    weight = model.model.layers[1].self_attn.k_proj.weight
    kept = weight.detach().clone()
    weight.data[0] += 0.5  # no version counter sees this
    changed = engine.generate(lab_problems, 2, LAB, SEEDS)
    assert gaps(model, changed).max() < 2e-5
    weight.data.copy_(kept)
    assert gaps(model, changed).max() > 1e-3
    assert served.sync(model)
    assert not served.sync(model)


def test_adapters_are_sampled_and_so_are_their_changes(lab, lab_problems):
    import peft

    model, tokenizer, plain = lab
    adapted = copy.deepcopy(model)
    engine = make_engine(adapted, tokenizer, "vllm")  # before the adapters are there, as in training
    wrapped = peft.get_peft_model(adapted, peft_config(adapted, LoraConfig(rank=4, alpha=8)))
    assert engine._served(104) is plain._served(104)
    started = engine.generate(lab_problems, 2, LAB, SEEDS)
    assert tokens(started) == tokens(plain.generate(lab_problems, 2, LAB, SEEDS))  # a fresh adapter adds nothing
    torch.manual_seed(0)
    for _ in range(2):
        with torch.no_grad():
            for name, weight in wrapped.named_parameters():
                if ".lora_B." in name:
                    weight.add_(0.2 * torch.randn_like(weight))
        assert gaps(adapted, started).max() > 1e-2  # the old numbers would not do
        assert gaps(adapted, engine.generate(lab_problems, 2, LAB, SEEDS)).max() < 5e-5


def test_bfloat16_is_as_close_to_float32_as_the_models_own(smollm, questions):
    model, tokenizer, _ = smollm
    rounded = copy.deepcopy(model).bfloat16()
    exact = copy.deepcopy(rounded).float()
    settings = VllmConfig(dtype="bfloat16")
    groups = make_engine(model, tokenizer, "vllm", vllm=settings).generate(questions, 4, SMOLLM, SEEDS[:3])
    own = torch.cat(
        [
            forced_logprobs(rounded, group, c, 1.0) - forced_logprobs(exact, group, c, 1.0)
            for group in groups
            for c in group.completions
        ]
    ).abs()
    found = gaps(exact, groups)
    assert 0 < found.mean() < 2 * own.mean() < 0.2
    again = make_engine(rounded, tokenizer, "vllm").generate(questions, 4, SMOLLM, SEEDS[:3])
    assert tokens(again) == tokens(groups)  # the same weights, rounded by whoever held them


def test_a_long_prompt_is_read_anew_with_new_weights(lab):
    model, _, engine = lab
    long = Problem("long", ({"role": "user", "content": "1 a +3 " * 70},), "1", "lab", "lab")
    sampling = Sampling(1.0, 8, 240)  # more than one block of vLLM's cache, which is kept from prompt to prompt
    engine.generate([long], 2, sampling, [1])
    weight = model.model.layers[0].self_attn.v_proj.weight
    kept = weight.detach().clone()
    weight.data.mul_(-1)
    changed = engine.generate([long], 4, sampling, [1])
    gap = gaps(model, changed).max()
    weight.data.copy_(kept)
    assert gap < 2e-5
    assert gaps(model, changed).max() > 1e-3


def test_more_prompts_than_vllm_reads_at_once(lab):
    model, _, engine = lab
    long = Problem("long", ({"role": "user", "content": "1 a +3 " * 30},), "1", "lab", "lab")
    groups = engine.generate([long], 100, Sampling(1.0, 2, 240), [1])
    assert 100 * len(groups[0].prompt_ids) > 2 * 4096  # the tokens of one round of reading
    assert gaps(model, groups).max() < 2e-5


def test_models_of_one_shape_share_a_vllm_and_not_their_weights(lab, lab_problems, tmp_path):
    model, tokenizer, engine = lab
    other, _ = load_model_and_tokenizer(str(make_lab_model(tmp_path / "other", seed=5)))
    others = make_engine(other, tokenizer, "vllm")
    assert others._served(104) is engine._served(104)
    for _ in range(2):
        assert gaps(other, others.generate(lab_problems, 2, LAB, SEEDS)).max() < 2e-5
        assert gaps(model, engine.generate(lab_problems, 2, LAB, SEEDS)).max() < 2e-5


def test_greedy_texts_are_the_transformers_engines(smollm, questions):
    model, tokenizer, engine = smollm
    sampling = Sampling(0.0, 24, 64)
    ours = make_engine(model, tokenizer, "transformers").generate(questions, 1, sampling, SEEDS[:3])
    theirs = engine.generate(questions, 1, sampling, SEEDS[:3])
    assert [g.prompt_ids for g in theirs] == [g.prompt_ids for g in ours]
    assert [c.text for g in theirs for c in g.completions] == [c.text for g in ours for c in g.completions]
    assert [c.finished for g in theirs for c in g.completions] == [c.finished for g in ours for c in g.completions]
    assert tokens(theirs) == tokens(ours)


def test_a_response_is_a_function_of_its_seed_and_its_index(lab, lab_problems):
    _, _, engine = lab
    whole = tokens(engine.generate(lab_problems, 6, LAB, SEEDS))
    assert tokens(engine.generate(lab_problems, 6, LAB, SEEDS)) == whole
    assert tokens(engine.generate([lab_problems[3]], 3, LAB, [SEEDS[3]]))[0] == whole[3][:3]
    neighbours = tokens(engine.generate([lab_problems[3]] * 2, 6, LAB, [7, 8]))
    assert not {ids for ids in neighbours[0] if len(ids) > 4} & {ids for ids in neighbours[1] if len(ids) > 4}
    assert len({ids for ids in whole[3] if len(ids) > 4}) == sum(len(ids) > 4 for ids in whole[3])


def test_first_tokens_are_drawn_in_proportion(lab, lab_problems):
    model, _, engine = lab
    count = 2000
    group = engine.generate(lab_problems[:1], count, Sampling(0.8, 1, 64), [3])[0]
    drawn = torch.bincount(torch.tensor([c.token_ids[0] for c in group.completions]), minlength=len(lab[1]))
    with torch.no_grad():
        probs = (model(input_ids=torch.tensor([group.prompt_ids])).logits[0, -1] / 0.8).softmax(-1)
    wanted = count * probs
    seen = wanted > 5  # tokens rare enough for a normal approximation to fail are left out
    assert seen.sum() >= 5
    z = (drawn[seen] - wanted[seen]) / (wanted[seen] * (1 - probs[seen])).sqrt()
    assert z.abs().max() < 4.5


def test_a_response_ends_at_eos_or_at_the_limit(lab, lab_problems):
    _, tokenizer, engine = lab
    groups = engine.generate(lab_problems, 16, LAB, SEEDS)
    completions = [c for group in groups for c in group.completions]
    assert {c.finished for c in completions} == {True, False}
    for c in completions:
        assert (c.token_ids[-1] == tokenizer.eos_token_id) == c.finished
        assert tokenizer.eos_token_id not in c.token_ids[:-1]
        assert c.finished or len(c.token_ids) == LAB.max_new_tokens
        assert len(c.logprobs) == len(c.token_ids)
        assert c.text == tokenizer.decode(c.token_ids, skip_special_tokens=True)


def test_too_long_a_prompt_is_refused(lab, lab_problems):
    _, _, engine = lab
    with pytest.raises(DataError, match="more than the 11"):
        engine.generate(lab_problems, 1, Sampling(1.0, 4, 11), SEEDS)


def test_responses_end_at_the_models_last_position(lab, lab_problems):
    model, _, engine = lab
    group = engine.generate(lab_problems[:1], 8, Sampling(1.0, 600, 64), [1])[0]
    room = model.config.max_position_embeddings - len(group.prompt_ids)
    assert all(c.finished or len(c.token_ids) == room for c in group.completions)
    long = Problem("long", ({"role": "user", "content": "1 " * 260},), "1", "lab", "lab")
    with pytest.raises(DataError, match="256 positions"):
        engine.generate([long], 1, Sampling(1.0, 600, 300), [1])


def test_the_number_of_threads_stays_ours(lab, lab_problems):
    _, _, engine = lab
    engine.generate(lab_problems[:1], 1, LAB, [1])
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
