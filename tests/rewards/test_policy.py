"""Self-certainty and entropy against their definitions in float64, for any cut into micro-batches and pieces."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import pytest
import torch
from tests.device import DEVICE
from tests.rewards.conftest import MakeGroup

from presat.errors import RunError
from presat.rewards import NegativeEntropy, SelfCertainty, Statistic
from presat.rewards.policy import PolicyScorer, token_values
from presat.types import Completion, Problem, RolloutGroup

pytestmark = pytest.mark.device

NEEDS = [Statistic("self_certainty"), Statistic("entropy"), Statistic("entropy", 0.25)]


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,  # peaked distributions: far from uniform
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).to(DEVICE).train()


@pytest.fixture(scope="module")
def groups() -> list[RolloutGroup]:
    """Three prompts of different lengths, one of a single token; responses of 1 to 20 tokens, and one of none."""
    rng = random.Random(1)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.choices(range(97), k=count))

    made = []
    for prompt, lengths in ((1, [1, 20, 7]), (9, [3, 3, 12]), (14, [5, 0, 17])):
        completions = tuple(Completion("", tokens(n), None, finished=True, stats={"kept": 1.0}) for n in lengths)
        made.append(RolloutGroup(Problem("p", (), None, "lab", "lab"), tokens(prompt), completions))
    return made


def by_definition(model: Any, prompt: tuple[int, ...], response: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """KL(U || p) and H(p) per response token, term by term over the vocabulary, in float64, without a cache."""
    with torch.no_grad():
        logits = model.double()(torch.tensor([[*prompt, *response]], device=DEVICE)).logits[0]
    model.float()
    certainty, entropy = [], []
    for position in range(len(prompt) - 1, len(prompt) + len(response) - 1):
        p = torch.softmax(logits[position], -1).tolist()
        u = 1 / len(p)
        certainty.append(math.fsum(u * (math.log(u) - math.log(q)) for q in p))
        entropy.append(-math.fsum(q * math.log(q) for q in p))
    return certainty, entropy


@pytest.mark.parametrize(("rows", "max_logits"), [(8, 2**25), (1, 2**25), (3, 97 * 3 * 4), (2, 1)])
def test_against_the_definitions(model: Any, groups: list[RolloutGroup], rows: int, max_logits: int) -> None:
    scored = PolicyScorer(model, rows, max_logits)(groups, NEEDS)
    assert model.training  # as it was
    spread = []
    for before, after in zip(groups, scored, strict=True):
        for plain, completion in zip(before.completions, after.completions, strict=True):
            assert dataclasses.replace(completion, stats=plain.stats) == plain
            if not plain.token_ids:
                assert completion.stats == {"kept": 1.0}
                continue
            certainty, entropy = by_definition(model, before.prompt_ids, plain.token_ids)
            last = entropy[-math.ceil(len(entropy) / 4) :]
            expected = {
                "kept": 1.0,
                "self_certainty": sum(certainty) / len(certainty),
                "entropy": sum(entropy) / len(entropy),
                "entropy/last_0.25": sum(last) / len(last),
            }
            assert completion.stats == pytest.approx(expected, rel=2e-5)
            spread.append(completion.stats["self_certainty"])
    assert max(spread) > 1.2 * min(spread) > 0.6  # the responses differ, and none is uniform


def test_logits_are_bounded_and_only_what_is_asked_for_is_computed(model: Any, groups: list[RolloutGroup]) -> None:
    sizes: list[int] = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
    try:
        scored = PolicyScorer(model, rows=4, max_logits=97 * 4 * 5)(groups, NEEDS[1:2])
    finally:
        hook.remove()
    assert max(sizes) == 97 * 4 * 5
    assert set(scored[0].completions[0].stats) == {"kept", "entropy"}


def test_a_prompt_is_read_once_for_its_responses(model: Any, groups: list[RolloutGroup]) -> None:
    sizes: list[int] = []
    hook = model.model.embed_tokens.register_forward_hook(
        lambda module, inputs, output: sizes.append(inputs[0].numel())
    )
    try:
        PolicyScorer(model, rows=3)(groups[1:2], NEEDS)
    finally:
        hook.remove()
    prompt, longest = len(groups[1].prompt_ids), 12
    assert sizes == [prompt - 1, 3 * longest]  # of the prompt all but what predicts the first token, of the last none


def test_a_cache_of_an_unknown_kind_is_not_shared(model: Any, groups: list[RolloutGroup], monkeypatch: Any) -> None:
    expected = PolicyScorer(model, rows=3)(groups[1:], NEEDS)
    monkeypatch.setattr("presat.rewards.policy._PLAIN", ())
    for one, other in zip(expected, PolicyScorer(model, rows=3)(groups[1:], NEEDS), strict=True):
        for a, b in zip(one.completions, other.completions, strict=True):
            assert a.stats == pytest.approx(b.stats, rel=1e-5)


def test_a_uniform_policy_has_no_certainty_and_all_entropy() -> None:
    values = token_values(torch.zeros(1, 1, 50, dtype=torch.float64) + 3, ["self_certainty", "entropy"])
    assert float(values["self_certainty"]) == pytest.approx(0, abs=1e-12)
    assert float(values["entropy"]) == pytest.approx(math.log(50))


def test_bfloat16_logits_are_read_in_float32() -> None:
    logits = torch.randn(2, 3, 5000, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = token_values(logits.double(), ["self_certainty", "entropy"])
    for kind, values in token_values(logits, ["self_certainty", "entropy"]).items():
        assert values.dtype == torch.float32
        assert torch.allclose(values.double(), exact[kind], rtol=1e-5)


def test_a_policy_that_has_diverged_is_an_error(model: Any, groups: list[RolloutGroup]) -> None:
    import copy

    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.lm_head.weight[3] = math.nan
    with pytest.raises(RunError, match="logits are not finite"):
        PolicyScorer(broken)(groups, NEEDS)


def with_stats(group: RolloutGroup, *stats: dict[str, float]) -> RolloutGroup:
    completions = zip(group.completions, stats, strict=True)
    return dataclasses.replace(group, completions=tuple(dataclasses.replace(c, stats=s) for c, s in completions))


def test_the_rewards_hand_on_the_statistics(group: MakeGroup) -> None:
    made = with_stats(group(["a", "b"]), {"self_certainty": 2.5, "entropy": 1.0, "entropy/last_0.5": 0.25}, {})
    empty = dataclasses.replace(made.completions[1], token_ids=())
    made = dataclasses.replace(made, completions=(made.completions[0], empty))
    assert SelfCertainty()(made, []) == [2.5, None]
    assert NegativeEntropy()(made, []) == [-1.0, None]
    assert NegativeEntropy(last=0.5)(made, []) == [-0.25, None]


def test_responses_without_the_statistic_are_refused(group: MakeGroup) -> None:
    with pytest.raises(RunError, match=r"without its self_certainty, which the reward reads.*PolicyScorer"):
        SelfCertainty()(group(["a"]), [])


def test_the_last_part_is_rounded_up_to_whole_tokens() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert Statistic("entropy").of(values) == 3.0
    assert Statistic("entropy", 0.3).of(values) == 4.5
    assert Statistic("entropy", 0.01).of(values) == 5.0
    assert Statistic("entropy", 0.07).of([0.0] * 92 + [7.0] + [0.0] * 7) == 0.0  # 0.07 * 100 is 7.000000000000001
