"""LoRA adapters: which layers get them, and how a saved adapter becomes an ordinary model again.

A run with `lora.rank` saves PEFT adapter folders, a few megabytes each, from which it resumes. The first time one is
loaded it is merged with the model it was trained on into `merged/` inside it: an ordinary Hugging Face folder that
every other tool reads too (TRL's KL reference and vLLM among them).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from presat.config.schema import LoraConfig
from presat.errors import ConfigError, ModelError, nearest
from presat.files import atomically
from presat.models.packaged import quiet

ADAPTER = "adapter_config.json"
"""The file that makes a folder an adapter."""
MERGED = "merged"


def is_adapter(folder: str | Path) -> bool:
    """Whether `folder` holds a saved adapter."""
    return (Path(folder) / ADAPTER).is_file()


def peft_config(model: Any, settings: LoraConfig) -> Any:
    """Return PEFT's configuration of the adapters for a trainer, None when every weight is trained (rank 0).

    Raises:
        ConfigError: `targets` names a layer that the model has not.
    """
    if not settings.rank:
        return None
    import peft
    from torch import nn

    # PEFT looks on the hub whether the vocabulary grew, which it never does here, and says so when there is no network
    warnings.filterwarnings("ignore", message="Unable to fetch remote file")
    head = model.get_output_embeddings()
    linear = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer is not head}
    known = sorted({name.rpartition(".")[2] for name in linear})
    for target in settings.targets:
        if target not in known:
            raise ConfigError(
                f"No linear layer of the model is called '{target}' (`lora.targets`).{nearest(target, known)}"
            )
    return peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets) or known,
        task_type="CAUSAL_LM",
    )


def base_of(folder: str | Path) -> str:
    """Return the model an adapter was trained on: a packaged name, a folder or a Hugging Face id.

    Raises:
        ModelError: the adapter's configuration cannot be read or names none.
    """
    try:
        base = json.loads((Path(folder) / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The adapter in {folder} does not say which model it belongs to ({error!r}).") from error
    if not base:
        raise ModelError(f"The adapter in {folder} does not say which model it belongs to.")
    return base


def merged_folder(folder: str, base: Any) -> str:
    """Return `folder/merged`, making it at the first call: `base` with the adapter in `folder` added to its weights.

    The weights are written in float32, so that nothing of the adapter is rounded away. Safe under any number of
    processes; an interrupted merge leaves nothing that could be taken for a model.

    Args:
        folder: holds the adapter and its tokenizer.
        base: called without arguments, returns the model the adapter was trained on, in float32.

    Raises:
        ModelError: the adapter does not fit the model, or the folder cannot be written.
    """
    from filelock import FileLock

    merged = Path(folder) / MERGED
    if (merged / "config.json").is_file():
        return str(merged)
    try:
        with FileLock(merged.with_name("merged.lock")):
            if not (merged / "config.json").is_file():
                _merge(folder, base(), merged)
    except OSError as error:
        raise ModelError(
            f"The adapter in {folder} cannot be merged there ({error}): it needs room for a model."
        ) from error
    return str(merged)


def _merge(folder: str, base: Any, merged: Path) -> None:
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    try:
        model: Any = PeftModel.from_pretrained(base, folder)
    except (ValueError, RuntimeError, KeyError, SafetensorError) as error:
        detail = " ".join(str(error).split())[:300]
        raise ModelError(f"The adapter in {folder} does not fit {base_of(folder)} ({detail}).") from error
    with atomically(merged) as draft:
        with quiet():
            model.merge_and_unload().save_pretrained(draft)
        AutoTokenizer.from_pretrained(folder).save_pretrained(draft)
