"""What the launcher has set for this process, held against the configuration before anything is loaded.

`torchrun` and `accelerate launch` hand their settings down as environment variables. accelerate and transformers act on
those where their own arguments are silent, so a contradiction would go unnoticed, or end in processes that wait for
each other for ever.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from accelerate.utils import parse_flag_from_env

from presat.config.schema import CptConfig, Settings, SftConfig, TrainConfig
from presat.errors import ConfigError
from presat.training.runtime.trackers import refuse_missing_trackers

Config = TrainConfig | CptConfig | SftConfig

_ROUNDED = (
    "Every weight is trained in bfloat16 (`model.dtype`), which rounds away most of what AdamW changes in a step at "
    "the usual learning rates. Set `model.dtype: float32` (and `bf16: true` for speed on a GPU), or train adapters "
    "(`lora.rank`)."
)
_SUMS = (
    "vLLM is given the weights with the adapters added, and bfloat16 (`model.dtype`) rounds most of what the adapters "
    "learn in the first steps away: the policy that is sampled lags behind the trained one. Set `model.dtype: "
    "float32`, or `engine: transformers`."
)
_TRUSTED = "Code that the model brings along may run (`model.trust_remote_code`)."


def process_count() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def refuse_contradictions(config: Config) -> None:
    """Refuse a launch that would train otherwise than the configuration says, or not to the end.

    Raises:
        ConfigError: what contradicts what, and what to set.
    """
    _refuse_idle_gpus()
    _refuse_other_precision(config.bf16)
    refuse_missing_trackers(config.report_to)
    if isinstance(config, TrainConfig):
        _refuse_rl_over_split_weights(bool(config.lora.rank), config.engine)
        if config.engine == "small" and rounds_adapters(config):
            raise ConfigError(
                "The small engine adds adapters to the weights, and bfloat16 (`model.dtype`) rounds most of what they "
                "have learned away: use engine: transformers, which keeps them apart."
            )
    elif isinstance(config, CptConfig) and config.data.held_out_rows and _zero_stage() == 3:
        raise ConfigError(
            "DeepSpeed ZeRO-3 cannot train on once held-out text has been measured: set `data.held_out_rows` to 0, or "
            "use ZeRO-2 or FSDP2 (examples/scaling)."
        )


def launch_notes(config: Config) -> list[str]:
    """Return what the user should know about how this run is held in memory, one sentence each."""
    # under these two, autocast keeps float32 weights behind the bfloat16 ones
    masters = config.bf16 and (_zero_stage() is not None or splits_weights())
    notes = [_TRUSTED] if config.model.trust_remote_code else []
    if rounds_adapters(config):
        lagging = isinstance(config, TrainConfig) and config.engine in ("vllm", "server")
        return [*notes, _SUMS] if lagging else notes
    rounded = config.model.dtype == "bfloat16" and not config.lora.rank and not masters
    return [*notes, _ROUNDED] if rounded else notes


def _refuse_idle_gpus() -> None:
    """Alone with several GPUs the trainer would cut every batch over them, which groups of responses do not survive."""
    count = torch.cuda.device_count()
    if count > 1 and "LOCAL_RANK" not in os.environ:
        raise ConfigError(
            f"One process sees {count} GPUs, which it cannot train on together. Start a process for each, with "
            "`accelerate launch` or `torchrun` (examples/scaling), or let it see one: CUDA_VISIBLE_DEVICES=0."
        )


def _refuse_other_precision(bf16: bool) -> None:
    """`no` is what accelerate sets when nobody asked for anything: then `bf16` decides."""
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if asked not in ("", "no", "bf16" if bf16 else "no"):
        bfloat = ", or set presat's `bf16: true`" if asked == "bf16" else ""
        raise ConfigError(
            f"accelerate is set to mixed precision {asked} (its configuration file, `--mixed_precision` or "
            f"ACCELERATE_MIXED_PRECISION), but presat's `bf16` is {str(bf16).lower()}. Launch with "
            f"`--mixed_precision no`, which leaves the choice to `bf16`{bfloat}."
        )


def _refuse_rl_over_split_weights(adapters: bool, engine: str) -> None:
    """In RL processes call the model differently often, so none may have to gather weights for every call."""
    if _zero_stage() == 3:
        raise ConfigError(
            "DeepSpeed ZeRO-3 gathers the weights for every pass, in all processes at once; RL samples and scores with "
            "different numbers of passes in each. Use ZeRO-2, FSDP2 or DDP (examples/scaling)."
        )
    if not splits_weights():
        return
    if engine == "small":
        raise ConfigError("The small engine reads whole weights, and FSDP splits them: use engine: transformers.")
    if adapters:
        raise ConfigError(
            "FSDP splits a model with adapters in a way that cannot be sampled: use DDP or DeepSpeed ZeRO-2."
        )
    if os.environ.get("FSDP_VERSION", "1") != "2" or parse_flag_from_env("FSDP_RESHARD_AFTER_FORWARD", default=True):
        raise ConfigError(
            "RL under FSDP needs weights that stay together between passes: set `fsdp_version: 2` and "
            "`fsdp_reshard_after_forward: false` in accelerate's configuration (examples/scaling/fsdp2.yaml)."
        )


def rounds_adapters(config: Settings) -> bool:
    """Whether float32 adapters are trained beside bfloat16 weights, in whose type the sum is little but the weights."""
    return isinstance(config, TrainConfig) and bool(config.lora.rank) and config.model.dtype == "bfloat16"


def engine_kind(config: TrainConfig) -> str:
    """Return the engine that samples: `auto` is the general one where the small one cannot follow.

    The small engine reads whole weights, and adds adapters to them.
    """
    general = config.engine == "auto" and (splits_weights() or rounds_adapters(config))
    return "transformers" if general else config.engine


def splits_weights() -> bool:
    """Whether accelerate splits the weights over processes by FSDP; a single process holds them whole."""
    return process_count() > 1 and parse_flag_from_env("ACCELERATE_USE_FSDP")


def _zero_stage() -> int | None:
    """DeepSpeed's ZeRO stage, None without DeepSpeed."""
    if not parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        return None
    file = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if file == "none":
        return int(os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))["zero_optimization"]["stage"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # not readable, or it splits nothing: DeepSpeed says so itself
