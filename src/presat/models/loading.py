"""From a model's name to a model and tokenizer that training and sampling can rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from presat.errors import ModelError, nearest
from presat.files import expanded
from presat.models.adapters import base_of, is_adapter, merged_folder
from presat.models.hub import reachable
from presat.models.packaged import ORIGIN_KEY, PACKAGED, packaged_folder, quiet

_NO_TEMPLATE = (
    "The tokenizer of '{name}' has no chat template, so prompts cannot be written. Set `model.chat_template` to the "
    "instruct model of the same family, or to a Jinja file."
)


def resolve_model(name: str) -> str:
    """Return the folder a model name stands for, or the Hugging Face id unchanged.

    An existing folder comes first (a run directory stands for its newest checkpoint), then the packaged names, and
    anything else is taken for a hub id, which transformers loads from its own cache or downloads.

    Raises:
        ModelError: a path to nothing, a folder that holds no model, a packaged name almost spelled right, or a packaged
            model whose package is not installed (with the install line).
    """
    if not name:
        raise ModelError("No model is named: set `model.name` to a Hugging Face id, a folder or a packaged name.")
    path = expanded(name)
    if path.is_dir():
        return str(_model_folder(path))
    if name in PACKAGED:
        return str(packaged_folder(name))
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or path.exists():
        raise ModelError(f"There is no model folder '{name}'. Check the path, or give a Hugging Face id.")
    hint = nearest(name.lower(), PACKAGED)
    if "/" not in name and hint.startswith(" Did you mean"):
        raise ModelError(f"There is no model '{name}'.{hint}")
    return name


def _model_folder(path: Path) -> Path:
    """Return `path` when it holds a model, the newest checkpoint when it is a run directory."""
    if _holds_model(path):
        return path
    checkpoints = [item for item in (path / "checkpoints").glob("step_*") if _holds_model(item)]
    if checkpoints:
        return max(checkpoints, key=lambda item: int(item.name.removeprefix("step_")))
    raise ModelError(f"The folder {path} holds no model: there is no config.json and no finished checkpoint in it.")


def _holds_model(path: Path) -> bool:
    return (path / "config.json").is_file() or is_adapter(path)


def model_note(name: str) -> str | None:
    """Return what to say beside the scores of a model, None when there is nothing to say.

    Args:
        name: a packaged name, or a folder; for a folder the note follows models and adapters trained from a packaged
            one.
    """
    if name in PACKAGED:
        return PACKAGED[name].note
    try:
        origin = json.loads((Path(name) / "config.json").read_text("utf-8")).get(ORIGIN_KEY, "")
    except (OSError, ValueError):
        return model_note(base_of(name)) if is_adapter(name) else None
    return PACKAGED[origin].note if origin in PACKAGED else None


def load_model_and_tokenizer(
    name: str, dtype: str = "float32", attention: str = "sdpa", chat: bool = True, template: str = ""
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, or say in a sentence why that is not possible.

    A LoRA adapter is loaded as the whole model it makes (see `presat.models.adapters`).

    Args:
        name: see `resolve_model`.
        dtype: type of the weights in memory, `float32` or `bfloat16`.
        attention: attention implementation (`sdpa`, `eager`, `flash_attention_2`).
        chat: whether a chat template is needed (pre-training on plain text does without).
        template: see `load_tokenizer`.

    Raises:
        ModelError: not found, not a causal language model, damaged or incomplete weights, an attention implementation
            that is not available, or as `load_tokenizer`.
    """
    tokenizer = load_tokenizer(name, chat, template)
    folder = resolve_model(name)
    model = _load_model(name, _ordinary(folder), dtype, attention)
    model.name_or_path = _lasting(name, folder)  # what adapters trained on it will name as their base
    return model, tokenizer


def to_gpu(model: Any) -> Any:
    """Return the model on this process's GPU where there is one: for verbs that sample; a trainer moves its model."""
    import torch

    return model.to("cuda") if torch.cuda.is_available() else model


def _ordinary(folder: str) -> str:
    """Return `folder`, or for an adapter the folder of the model it makes; adapters may stand on adapters."""
    if not is_adapter(folder):
        return folder
    base = base_of(folder)
    return merged_folder(
        folder, stands_on(folder), lambda: _load_model(base, _ordinary(resolve_model(base)), "float32", "sdpa")
    )


def stands_on(folder: str) -> list[str] | None:
    """Return what an adapter stands on, nearest first: adapters, and last a model; None where it is not to be found."""
    below: list[str] = []
    try:
        while is_adapter(folder):
            folder = resolve_model(base_of(folder))
            below.append(folder)
    except ModelError:
        return None
    return below


def _lasting(name: str, folder: str) -> str:
    """Return a name of the model that holds from any working directory, and after its run has gone on."""
    if name in PACKAGED and not expanded(name).is_dir():
        return name
    return str(Path(folder).resolve()) if Path(folder).is_dir() else folder


def load_tokenizer(name: str, chat: bool = True, template: str = "") -> Any:
    """Load a model's tokenizer alone.

    One without a padding token pads with its end-of-sequence token: every loss and mask here goes by lengths.

    Args:
        name: see `resolve_model`.
        chat: whether a chat template is needed.
        template: the chat template to use in place of the model's own: a Jinja file, or a model that has one.

    Raises:
        ModelError: not found, damaged, no end-of-sequence token, or no chat template, or one that cannot be used.
    """
    tokenizer = _load_tokenizer(name, resolve_model(name))
    if template:
        _set_template(tokenizer, template)
    if chat and not tokenizer.chat_template:
        raise ModelError(_NO_TEMPLATE.format(name=name))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _set_template(tokenizer: Any, source: str) -> None:
    """Give the tokenizer the chat template of a Jinja file or of another model; it is saved with it from then on."""
    from jinja2 import TemplateError

    path = expanded(source)
    try:
        if path.is_file():
            tokenizer.chat_template = path.read_text(encoding="utf-8")
        elif path.suffix == ".jinja":
            raise ModelError(f"There is no file '{source}' (`model.chat_template`).")
        else:
            tokenizer.chat_template = _load_tokenizer(source, resolve_model(source)).chat_template
        if not tokenizer.chat_template:
            raise ModelError(f"'{source}' (`model.chat_template`) has no chat template either.")
        tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True)
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise ModelError(f"The chat template of '{source}' (`model.chat_template`) cannot be used: {error}.") from error


def _load_tokenizer(name: str, folder: str) -> Any:
    from transformers import AutoTokenizer

    folder = reachable(folder)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise _not_loaded(name, folder, "tokenizer", error) from error
    if tokenizer.eos_token is None:
        raise ModelError(
            f"The tokenizer of '{name}' has no end-of-sequence token, so responses could not end. Set `eos_token` in "
            "its tokenizer_config.json."
        )
    return tokenizer


def _load_model(name: str, folder: str, dtype: str, attention: str) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    folder = reachable(folder)
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, dtype), attn_implementation=attention, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise _no_attention(name, attention, error) or _not_loaded(name, folder, "model", error) from error
    model, info = loaded
    lost = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lost:
        raise ModelError(
            f"'{name}' lacks weights a causal language model needs ({len(lost)}, the first is {lost[0]}): it is "
            "another kind of model, or its files are incomplete. Use a causal language model."
        )
    broken = [key for key, value in model.state_dict().items() if not value.is_meta and not value.sum().isfinite()]
    if broken:
        raise ModelError(
            f"The weights of '{name}' are not finite numbers ({len(broken)} tensors, the first is {broken[0]})."
        )
    return model


def _no_attention(name: str, attention: str, error: Exception) -> ModelError | None:
    """Say that it is the attention implementation that is not to be had; None where it is something else."""
    if isinstance(error, ImportError) and attention.startswith("flash_attention"):
        return ModelError(
            f"`model.attention` is {attention}, whose package (flash-attn) is not installed or does not run here: "
            "install it, or set `model.attention` to sdpa."
        )
    if isinstance(error, ValueError) and "attn_implementation" in str(error):
        return ModelError(
            f"'{name}' has no attention implementation '{attention}': set `model.attention` to sdpa, or to eager, "
            "which every model has."
        )
    return None


def _not_loaded(name: str, folder: str, what: str, error: Exception) -> ModelError:
    """Say why loading failed, told by what is on disk."""
    detail = " ".join(str(error).split())
    if not Path(folder).is_dir():
        known = ", ".join(PACKAGED)
        return ModelError(
            f"The {what} '{name}' is no folder here and could not be had from the Hugging Face hub. Check the "
            "spelling, the network and, for a gated model, your token; packaged models need neither network nor token: "
            f"{known}. ({detail[:300]})"
        )
    return ModelError(f"The {what} in {folder} cannot be loaded ({type(error).__name__}: {detail[:400]}).")
