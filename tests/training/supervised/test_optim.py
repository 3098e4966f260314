"""Learning-rate schedules pinned by hand, and which weights Muon takes."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from presat.config.schema import SupervisedOptimConfig
from presat.errors import ConfigError
from presat.models import load_model_and_tokenizer
from presat.training.supervised.optim import MuonAdamW, lr_factor, make_optimizer, make_schedule


def factors(steps: int, **settings) -> list[float]:
    config = SupervisedOptimConfig(**settings)
    return [round(lr_factor(step, steps, config), 4) for step in range(steps)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "constant", "warmup": 0.0}, [1.0] * 8),
        ({"schedule": "constant", "warmup": 0.25}, [0.3333, 0.6667, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "linear", "warmup": 0.0}, [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ({"schedule": "linear", "warmup": 0.5, "final_lr": 0.2}, [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4]),
        ({"schedule": "cosine", "warmup": 0.0}, [1.0, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381]),
        ({"schedule": "cosine", "warmup": 0.5, "final_lr": 0.5}, [0.2, 0.4, 0.6, 0.8, 1.0, 0.9268, 0.75, 0.5732]),
        ({"warmup": 1.0}, [0.1111, 0.2222, 0.3333, 0.4444, 0.5556, 0.6667, 0.7778, 0.8889]),
    ],
)
def test_the_schedule_is(settings, expected):
    assert factors(8, **settings) == expected


def test_the_default_is_the_papers_cpt():
    config = SupervisedOptimConfig()
    assert (config.lr, config.schedule, config.warmup, config.weight_decay, config.max_grad_norm) == (
        2e-5, "cosine", 0.05, 0.01, 1.0,
    )  # fmt: skip


def test_the_schedule_drives_every_group_of_both_halves(toy_model):
    model, _ = load_model_and_tokenizer(str(toy_model))
    optimizer = make_optimizer(model, SupervisedOptimConfig(optimizer="muon", lr=0.5))
    schedule = make_schedule(optimizer, 4, SupervisedOptimConfig(schedule="linear", warmup=0.0))
    assert isinstance(optimizer, MuonAdamW)
    for expected in (0.5, 0.375, 0.25, 0.125):
        for half in (optimizer, optimizer.muon, optimizer.adamw):
            assert {group["lr"] for group in half.param_groups} == {expected}
        optimizer.step()
        schedule.step()


def groups_by_name(model, optimizer) -> dict[str, dict]:
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {names[id(weight)]: group for group in optimizer.param_groups for weight in group["params"]}


def test_muon_takes_the_matrices_of_the_blocks_and_nothing_else(toy_model):
    model = LlamaForCausalLM.from_pretrained(toy_model)
    optimizer = make_optimizer(model, SupervisedOptimConfig(optimizer="muon", weight_decay=0.1))
    assert isinstance(optimizer, MuonAdamW)
    muon = {id(weight) for group in optimizer.muon.param_groups for weight in group["params"]}
    taken = {name for name, weight in model.named_parameters() if id(weight) in muon}
    kinds = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip
    assert taken == {f"model.layers.{layer}.{kind}.weight" for layer in (0, 1) for kind in kinds}
    groups = groups_by_name(model, optimizer)
    assert groups.keys() == {name for name, _ in model.named_parameters()}
    assert {name for name, group in groups.items() if group["weight_decay"] == 0.0} == {
        "model.norm.weight",
        *(f"model.layers.{layer}.{norm}.weight" for layer in (0, 1) for norm in
          ("input_layernorm", "post_attention_layernorm")),
    }  # fmt: skip


def test_adamw_decays_matrices_only_and_leaves_frozen_weights_out(toy_model):
    model = LlamaForCausalLM.from_pretrained(toy_model)
    model.lm_head.weight.requires_grad_(False)
    groups = groups_by_name(model, make_optimizer(model, SupervisedOptimConfig(weight_decay=0.1)))
    assert "lm_head.weight" not in groups
    assert groups["model.embed_tokens.weight"]["weight_decay"] == 0.1
    assert groups["model.norm.weight"]["weight_decay"] == 0.0


def test_a_muon_step_is_muons_and_adamws_and_survives_saving(toy_model):
    def fresh():
        model = LlamaForCausalLM.from_pretrained(toy_model)
        return model, make_optimizer(model, SupervisedOptimConfig(optimizer="muon", lr=0.01, weight_decay=0.0))

    def step(model, optimizer, seed):
        torch.manual_seed(seed)
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight)
        optimizer.step()

    model, optimizer = fresh()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    step(model, optimizer, 1)
    moved = {name: weight.detach() - before[name] for name, weight in model.named_parameters()}
    # AdamW's first step is lr in every entry; Muon's is lr times a nearly orthogonal matrix
    assert torch.allclose(moved["lm_head.weight"].abs(), torch.full_like(moved["lm_head.weight"], 0.01), rtol=1e-3)
    values = torch.linalg.svdvals(moved["model.layers.0.self_attn.q_proj.weight"]) / 0.01
    assert 0.5 < values.min() < values.max() < 1.5

    step(model, optimizer, 2)
    resumed, again = fresh()
    step(resumed, again, 1)
    state = again.state_dict()
    resumed_later, restored = fresh()
    resumed_later.load_state_dict(resumed.state_dict())
    restored.load_state_dict(state)
    step(resumed_later, restored, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed_later.parameters(), strict=True))


def test_muon_needs_matrices_in_blocks():
    other = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=64))
    assert isinstance(make_optimizer(other, SupervisedOptimConfig(optimizer="muon")), MuonAdamW)
    with pytest.raises(ConfigError, match=r"no trainable matrices in transformer blocks"):
        make_optimizer(torch.nn.Linear(3, 3), SupervisedOptimConfig(optimizer="muon"))
