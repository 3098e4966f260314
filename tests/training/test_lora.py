"""LoRA: the adapter is what is trained, sampled from, saved, resumed and loaded; without it stands the KL reference."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.runs import kill_at, lines

from presat.cli import run
from presat.config.schema import CorpusConfig, CptConfig, LoraConfig, ModelConfig, SftConfig, SupervisedOptimConfig
from presat.config.schema import TaskConfig as Task
from presat.errors import ConfigError, ModelError
from presat.models import load_model_and_tokenizer, resolve_model
from presat.models.adapters import peft_config
from presat.rollouts import make_engine
from presat.tasks.lab import lab_problems
from presat.tracking import model_identity
from presat.training import run_cpt, run_sft, run_train
from presat.types import Sampling

LORA = LoraConfig(rank=4, alpha=8)


def sft(model, folder, **changes) -> SftConfig:
    settings = {
        "run": folder,
        "model": ModelConfig(name=str(model)),
        "lora": LORA,
        "data": Task(source="lab/chains", count=32, options={"operands": [2, 5]}),
        "optim": SupervisedOptimConfig(lr=1e-2),
        "epochs": 3,
        "batch": 8,
        "save_every": 5,
        "threads": 1,
    }
    return SftConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def sft_run(toy_model, tmp_path_factory) -> SftConfig:
    config = sft(toy_model, tmp_path_factory.mktemp("lora") / "sft")
    run_sft(config, quiet=True)
    return config


def adapter(config, step: int) -> dict[str, torch.Tensor]:
    return load_file(config.run / "checkpoints" / f"step_{step}" / "adapter_model.safetensors")


def texts(engine, temperature: float = 1.0) -> list[list[int]]:
    groups = engine.generate(
        lab_problems("chains", 3, seed=1, operands=[3, 5]), 4, Sampling(temperature, 16, 64), range(3)
    )
    return [list(c.token_ids) for group in groups for c in group.completions]


def test_checkpoints_are_adapters_of_the_base_model(sft_run, toy_model):
    folder = sft_run.run / "checkpoints" / "step_12"
    assert not (folder / "model.safetensors").exists()
    described = json.loads((folder / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str(toy_model.resolve())
    assert (described["r"], described["lora_alpha"]) == (4, 8)
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert {name.split(".")[-3] for name in adapter(sft_run, 12)} == set(layers)


def test_a_loaded_run_is_the_base_model_with_the_adapter_added(sft_run, toy_model):
    base, _ = load_model_and_tokenizer(str(toy_model))
    merged, _ = load_model_and_tokenizer(str(sft_run.run))
    assert type(merged) is type(base)
    found, saved = merged.state_dict(), adapter(sft_run, 12)
    for name, weight in base.state_dict().items():
        key = f"base_model.model.{name.removesuffix('.weight')}"
        a, b = (saved.get(f"{key}.lora_{half}.weight") for half in "AB")
        expected = weight if a is None else weight + 8 / 4 * b @ a
        assert a is None or not torch.equal(expected, weight)  # it learned
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=1e-6)
    merged_folder = sft_run.run / "checkpoints" / "step_12" / "merged"  # an ordinary folder, for any other tool
    assert (merged_folder / "model.safetensors").is_file()
    assert (merged_folder / "tokenizer_config.json").is_file()
    assert resolve_model(str(sft_run.run)) == str(merged_folder.parent)  # the run's newest checkpoint, by its step


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_every_engine_samples_from_the_adapted_weights(toy_model, kind):
    import peft

    model, tokenizer = load_model_and_tokenizer(str(toy_model))
    engine = make_engine(model, tokenizer, kind)  # before the adapter is there, as in training
    before, greedy_before = texts(engine), texts(engine, 0.0)
    adapted = peft.get_peft_model(model, peft_config(model, LORA))
    assert texts(engine) == before  # a fresh adapter adds nothing
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    sampled, greedy = texts(engine), texts(engine, 0.0)
    assert sampled != before
    assert greedy != greedy_before
    with adapted.disable_adapter():
        assert texts(engine) == before
    merged = adapted.merge_and_unload()
    assert texts(make_engine(merged, tokenizer, "transformers")) == sampled
    assert texts(make_engine(merged, tokenizer, "transformers"), 0.0) == greedy


def test_adapters_beside_bfloat16_weights_are_sampled_as_they_are_trained(toy_config, monkeypatch):
    from presat.rollouts.batching import BatchEngine

    used, generate = set(), BatchEngine.generate
    monkeypatch.setattr(BatchEngine, "generate", lambda self, *a: used.add(self.kind) or generate(self, *a))
    model = {"model": toy_config.model.model_copy(update={"dtype": "bfloat16"}), "lora": LORA, "steps": 2}
    config = toy_config.model_copy(update=model)
    run_train(config, quiet=True)
    assert len([row for row in lines(config.run) if "reward" in row]) == 2
    assert used == {"transformers"}
    with pytest.raises(ConfigError, match="rounds most of what they have learned away"):
        run_train(config.model_copy(update={"engine": "small", "run": config.run.with_name("small")}), quiet=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_small_engine_adds_adapters_in_the_type_of_the_weights(toy_model, dtype):
    import peft

    model, tokenizer = load_model_and_tokenizer(str(toy_model), str(dtype).removeprefix("torch."))
    adapted = peft.get_peft_model(model, peft_config(model, LORA))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.1)
    sampled = texts(make_engine(model, tokenizer, "small"))
    merged = adapted.merge_and_unload()
    assert merged.dtype == dtype
    assert texts(make_engine(merged, tokenizer, "small")) == sampled


def test_a_killed_run_resumes_to_the_same_adapter(sft_run, toy_model, tmp_path):
    config = sft(toy_model, tmp_path / "run", log_every=1)
    kill_at(config, "sft", tmp_path, after=7)
    run_sft(config.model_copy(update={"resume": True}), quiet=True)
    one, other = adapter(sft_run, 12), adapter(config, 12)
    assert one.keys() == other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, atol=1e-6, rtol=1e-5)


def test_rl_trains_the_adapter_against_the_model_it_started_from(sft_run, toy_config):
    model = {"model": ModelConfig(name=str(sft_run.run)), "lora": LORA}
    config = toy_config.model_copy(update={**model, "optim": toy_config.optim.model_copy(update={"lr": 3e-2})})
    run_train(config, quiet=True)
    kl = [row["kl"] for row in lines(config.run) if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-7)  # the SFT model, its own adapter included, and not the one below
    assert kl[-1] > 1e-4
    described = json.loads((config.run / "checkpoints" / "step_7" / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str((sft_run.run / "checkpoints" / "step_12").resolve())
    rewards = [row["eval/held_out/length"] for row in lines(config.run) if "eval/held_out/length" in row]
    start, _ = load_model_and_tokenizer(str(sft_run.run))
    trained, tokenizer = load_model_and_tokenizer(str(config.run))
    assert texts(make_engine(trained, tokenizer)) != texts(make_engine(start, tokenizer))
    assert rewards[0] != rewards[-1]  # what the run itself sampled moved with the adapter


def test_rl_resumes_with_its_adapter(toy_config, tmp_path):
    whole = toy_config.model_copy(update={"lora": LORA, "run": tmp_path / "whole"})
    run_train(whole, quiet=True)
    short = whole.model_copy(update={"run": tmp_path / "short", "steps": 3})
    run_train(short, quiet=True)
    run_train(short.model_copy(update={"steps": 7, "resume": True}), quiet=True)
    one, other = adapter(whole, 7), adapter(short, 7)
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-6


def test_eval_and_train_take_a_run_with_adapters_by_its_name(sft_run, tmp_path, capsys):
    folder = str(sft_run.run)
    sets = "sets: [{source: lab/chains, name: few, count: 3}]\nsamples: 2\nmax_new_tokens: 8\n"
    (tmp_path / "eval.yaml").write_text(sets)
    words = ["--config", str(tmp_path / "eval.yaml"), "--run", str(tmp_path / "eval"), "--json"]
    assert run(["eval", *words, "--model.name", folder]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["step"] == 12


def test_cpt_takes_lora_with_either_optimizer(toy_model, tmp_path):
    for optimizer in ("adamw", "muon"):
        config = CptConfig(
            run=tmp_path / optimizer,
            model=ModelConfig(name=str(toy_model)),
            lora=LoraConfig(rank=2, targets=["q_proj", "v_proj"], dropout=0.1),
            data=CorpusConfig(source="lab/cpt", held_out_rows=8),
            optim=SupervisedOptimConfig(optimizer=optimizer, lr=0.02),
            sequence_length=24,
            batch=8,
            steps=15,
            threads=1,
        )
        run_cpt(config, quiet=True)
        bits = [
            row["eval/held_out/bits_per_token"] for row in lines(config.run) if "loss" not in row or row["step"] == 15
        ]
        assert bits[-1] < bits[0]
        assert {name.split(".")[-3] for name in adapter(config, 15)} == {"q_proj", "v_proj"}


@pytest.fixture
def stack(sft_run, toy_model, tmp_path):
    """An adapter, the model it stands on, and a function that loads it: the sum of one layer, and the model's hash."""
    base, folder = shutil.copytree(toy_model, tmp_path / "base"), tmp_path / "adapter"
    shutil.copytree(sft_run.run / "checkpoints" / "step_12", folder, ignore=shutil.ignore_patterns("merged*"))
    described = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**described, "base_model_name_or_path": str(base)}))

    def look() -> tuple[float, str | None]:
        model, _ = load_model_and_tokenizer(str(folder))
        layer = model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
        return float(layer.abs().sum()), model_identity(str(folder))["sha256"]

    return folder, base, look


def double(file) -> None:
    """Train again in place, as far as anyone can see: the same names and sizes, other numbers."""
    save_file({name: weight * 2 for name, weight in load_file(file).items()}, file, metadata={"format": "pt"})


def test_an_adapter_trained_again_in_place_is_loaded_anew_and_so_is_one_on_such_a_model(stack):
    folder, base, look = stack
    before = look()
    merged = folder / "merged" / "model.safetensors"
    first = merged.stat().st_ino
    assert look() == before
    assert merged.stat().st_ino == first  # nothing was made again
    times = (folder / "adapter_model.safetensors").stat()
    double(folder / "adapter_model.safetensors")
    os.utime(folder / "adapter_model.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))
    again = look()
    assert abs(again[0] - before[0]) > 1e-3
    assert again[1] != before[1]
    double(base / "model.safetensors")
    below = look()
    assert below[0] > 1.5 * again[0]
    assert below[1] not in (before[1], again[1])
    on_top = shutil.copytree(folder, folder.with_name("on top"), ignore=shutil.ignore_patterns("merged*"))
    described = json.loads((on_top / "adapter_config.json").read_text())
    (on_top / "adapter_config.json").write_text(json.dumps({**described, "base_model_name_or_path": str(folder)}))
    tops = []
    for _ in range(2):  # what an adapter on an adapter stands on is both of them
        tops.append(load_model_and_tokenizer(str(on_top))[0].state_dict()["model.layers.0.self_attn.q_proj.weight"])
        double(base / "model.safetensors")
    assert not torch.allclose(*tops)


def test_a_merged_adapter_is_kept_while_its_parts_are_the_same(stack):
    folder, base, look = stack
    before = look()
    merged = folder / "merged" / "model.safetensors"
    first = merged.stat().st_ino
    (folder / "optimizer.pt").write_bytes(b"state")  # no part of the model
    for file in base.iterdir():
        os.utime(file)  # copied, or fetched again
    assert look() == before
    shutil.rmtree(base)
    assert look() == before  # `merged` does not need it
    assert merged.stat().st_ino == first
    (folder / "merged" / ".made_from.json").unlink()  # merged by an earlier version
    assert look()[0] == before[0]
    double(folder / "adapter_model.safetensors")
    (folder / "merged" / ".made_from.json").write_text('{"adapter": "other", "base": [], "seen": []}')
    with pytest.raises(ModelError, match="no model folder"):
        look()


def test_layers_that_are_not_there_are_refused(toy_model, tmp_path):
    config = sft(toy_model, tmp_path / "run", lora=LoraConfig(rank=2, targets=["q_prj"]))
    with pytest.raises(ConfigError, match=r"called 'q_prj' \(`lora.targets`\). Did you mean 'q_proj'\?"):
        run_sft(config, quiet=True)
    with pytest.raises(ConfigError, match="called 'lm_head'"):  # TRL reads the head's weight past any adapter
        run_sft(sft(toy_model, tmp_path / "head", lora=LoraConfig(rank=2, targets=["lm_head"])), quiet=True)


def test_an_adapter_without_its_base_model_says_so(sft_run, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(sft_run.run / "checkpoints" / "step_12", folder, ignore=shutil.ignore_patterns("merged*"))
    described = json.loads((folder / "adapter_config.json").read_text())
    for base, says in (("/gone/away", "no model folder '/gone/away'"), ("", "does not say which model")):
        (folder / "adapter_config.json").write_text(json.dumps({**described, "base_model_name_or_path": base}))
        with pytest.raises(ModelError, match=says):
            load_model_and_tokenizer(str(folder))
    assert not (folder / "merged").exists()
