"""What accelerate and torchrun set, against the configuration: contradictions are refused before anything is loaded."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import yaml

from presat import open_run
from presat.config.schema import CorpusConfig, CptConfig, LoraConfig, ModelConfig, SftConfig, TrainConfig
from presat.errors import ConfigError
from presat.training import run_train
from presat.training.runtime.launch import launch_notes, refuse_contradictions

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "scaling").glob("*.yaml"))
ADAPTERS = LoraConfig(rank=4)
HALF = ModelConfig(dtype="bfloat16")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No launcher."""
    kinds = ("MIXED_PRECISION", "USE_FSDP", "USE_DEEPSPEED")
    for name in (*(f"ACCELERATE_{kind}" for kind in kinds), "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def fsdp(monkeypatch, version: str = "2", reshard: str = "false") -> None:
    """As `accelerate launch` sets it for two processes."""
    settings = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": version, "FSDP_RESHARD_AFTER_FORWARD": reshard}
    for name, value in {**settings, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def deepspeed(monkeypatch, stage: int, folder: Path | None = None) -> None:
    """The stage as a setting of accelerate, or in a file of DeepSpeed's."""
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    if folder is None:
        monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", str(stage))
    else:
        (folder / "zero.json").write_text(f'{{"zero_optimization": {{"stage": {stage}}}}}')
        monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(folder / "zero.json"))


def test_another_precision_than_ours_is_refused_before_a_run_directory_is_made(monkeypatch, toy_config):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match=r"mixed precision bf16 .* `bf16` is false.* or set presat's `bf16: true`"):
        run_train(toy_config, quiet=True)
    assert not toy_config.run.exists()


@pytest.mark.parametrize("config", [TrainConfig(), SftConfig(), CptConfig()])
def test_one_process_with_several_gpus_is_refused(config, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"One process sees 2 GPUs.*CUDA_VISIBLE_DEVICES=0"):
        refuse_contradictions(config)
    monkeypatch.setenv("LOCAL_RANK", "0")  # as every launcher sets it
    refuse_contradictions(config)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wandbb", r"no tracker 'wandbb' \(`report_to`\)\. Did you mean 'wandb'\?"),
        ("wandb", "The tracker wandb is not installed"),
        ("comet_ml", r"The tracker comet_ml cannot be used \(`report_to`\): CometCallback requires"),
    ],
)
def test_a_tracker_that_cannot_be_had_is_refused_before_a_run_directory_is_made(name, message, monkeypatch, toy_config):
    monkeypatch.setattr("presat.training.runtime.trackers.get_available_reporting_integrations", list)
    with pytest.raises(ConfigError, match=message):
        run_train(toy_config.model_copy(update={"report_to": [name]}), quiet=True)
    assert not toy_config.run.exists()


@pytest.mark.parametrize(
    ("asked", "bf16", "fine"),
    [
        ("no", False, True),
        ("no", True, True),
        ("", False, True),
        ("bf16", True, True),
        ("bf16", False, False),
        ("fp16", False, False),
        ("fp16", True, False),
        ("fp8", True, False),
    ],
)
@pytest.mark.parametrize("kind", [TrainConfig, SftConfig, CptConfig])
def test_which_precisions_agree(monkeypatch, kind, asked, bf16, fine):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
    if fine:
        refuse_contradictions(kind(bf16=bf16))
    else:
        with pytest.raises(ConfigError, match=f"mixed precision {asked} "):
            refuse_contradictions(kind(bf16=bf16))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
@pytest.mark.parametrize("bf16", [False, True])
def test_the_example_files_leave_the_precision_to_us(monkeypatch, file, bf16):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", yaml.safe_load(file.read_text()).get("mixed_precision", "no"))
    refuse_contradictions(TrainConfig(bf16=bf16))


@pytest.mark.parametrize("in_file", [False, True])
def test_zero_3_is_for_sft_and_for_cpt_that_measures_nothing(monkeypatch, tmp_path, in_file):
    deepspeed(monkeypatch, 3, tmp_path if in_file else None)
    refuse_contradictions(SftConfig())
    refuse_contradictions(CptConfig(data=CorpusConfig(held_out_rows=0)))
    with pytest.raises(ConfigError, match=r"set `data\.held_out_rows` to 0"):
        refuse_contradictions(CptConfig())
    with pytest.raises(ConfigError, match="Use ZeRO-2"):
        refuse_contradictions(TrainConfig())
    deepspeed(monkeypatch, 2, tmp_path if in_file else None)
    refuse_contradictions(CptConfig())
    refuse_contradictions(TrainConfig())


def test_the_small_engine_is_refused_under_fsdp(monkeypatch):
    fsdp(monkeypatch)
    with pytest.raises(ConfigError, match="engine: transformers"):
        refuse_contradictions(TrainConfig(engine="small"))


@pytest.mark.parametrize(("version", "reshard"), [("1", "false"), ("2", "true")])
def test_rl_under_fsdp_needs_weights_that_stay_together(monkeypatch, version, reshard):
    fsdp(monkeypatch, version, reshard)
    with pytest.raises(ConfigError, match="fsdp_reshard_after_forward: false"):
        refuse_contradictions(TrainConfig())
    refuse_contradictions(SftConfig())
    monkeypatch.setenv("WORLD_SIZE", "1")  # whole in the only process
    refuse_contradictions(TrainConfig())


def test_rl_with_adapters_under_fsdp_is_refused(monkeypatch):
    fsdp(monkeypatch)
    refuse_contradictions(TrainConfig())
    with pytest.raises(ConfigError, match="adapters in a way that cannot be sampled"):
        refuse_contradictions(TrainConfig(lora=ADAPTERS))


@pytest.mark.parametrize("kind", [TrainConfig, SftConfig, CptConfig])
def test_bfloat16_weights_are_warned_of_where_they_round_updates_away(monkeypatch, kind):
    assert "model.dtype: float32" in launch_notes(kind(model=HALF))[0]
    assert launch_notes(kind(model=HALF, bf16=True))  # autocast keeps no second copy
    assert not launch_notes(kind(model=HALF, lora=ADAPTERS))
    assert not launch_notes(kind())
    with monkeypatch.context() as patch:
        deepspeed(patch, 2)
        assert launch_notes(kind(model=HALF))
        assert not launch_notes(kind(model=HALF, bf16=True))
    fsdp(monkeypatch)
    assert not launch_notes(kind(model=HALF, bf16=True))


@pytest.mark.parametrize(("engine", "warned"), [("vllm", True), ("server", True), ("auto", False)])
def test_engines_that_are_given_sums_of_bfloat16_weights_and_adapters_are_warned_of(engine, warned):
    notes = launch_notes(TrainConfig(model=HALF, lora=ADAPTERS, engine=engine))
    assert [("rounds most of what the adapters learn" in note) for note in notes] == [True] * warned
    assert not launch_notes(TrainConfig(lora=ADAPTERS, engine=engine))


def test_the_warning_is_given_once_and_kept(toy_config, caplog):
    config = toy_config.model_copy(
        update={"steps": 1, "model": toy_config.model.model_copy(update={"dtype": "bfloat16"})}
    )
    with caplog.at_level(logging.WARNING, logger="presat"):
        run_train(config, quiet=True)
    notes = launch_notes(config)
    assert [record.getMessage() for record in caplog.records if record.name == "presat"] == notes
    assert [note for note in open_run(config.run).notes if note in notes] == notes
