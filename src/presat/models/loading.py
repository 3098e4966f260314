"""From a model's name to a model and tokenizer that training and sampling can rely on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from presat.config.schema import ModelConfig
from presat.errors import ModelError, nearest
from presat.files import expanded
from presat.models.adapters import base_of, is_adapter, merged_folder
from presat.models.checks import check_vocabulary, check_weights
from presat.models.fresh import is_new, new_folder
from presat.models.hub import reachable
from presat.models.packaged import ORIGIN_KEY, PACKAGED, packaged_folder
from presat.models.pretrained import own_code, read_model, read_tokenizer, runs_own_code
from presat.models.templates import check_template

LOG = logging.getLogger("presat")

_NO_TEMPLATE = (
    "The tokenizer of '{name}' has no chat template, so prompts cannot be written. Set `model.chat_template` to the "
    "instruct model of the same family, or to a Jinja file."
)


def resolve_model(name: str) -> str:
    """Return the folder a model name stands for, or the Hugging Face id unchanged.

    An existing folder comes first (a run directory stands for its newest checkpoint), then the packaged names and those
    of new lab models, and anything else is taken for a hub id, which transformers loads from its cache or downloads.

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
    if is_new(name):
        return str(new_folder(name))
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
    steps = {item: item.name.removeprefix("step_") for item in (path / "checkpoints").glob("step_*")}
    checkpoints = {item: int(step) for item, step in steps.items() if step.isdecimal() and _holds_model(item)}
    if checkpoints:
        return max(checkpoints, key=lambda item: checkpoints[item])
    raise ModelError(f"The folder {path} holds no model: there is no config.json and no finished checkpoint in it.")


def _holds_model(path: Path) -> bool:
    return (path / "config.json").is_file() or is_adapter(path)


def model_note(name: str) -> str | None:
    """Return what to say beside the scores of a model, None when there is nothing to say.

    Args:
        name: a packaged name, or a folder; for a folder the note follows models and adapters trained from a packaged
            one.
    """
    seen: set[str] = set()
    while name not in PACKAGED and name not in seen and is_adapter(name):
        seen.add(name)
        name = base_of(name)
    if name in PACKAGED:
        return PACKAGED[name].note
    try:
        config = json.loads((Path(name) / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    origin = config.get(ORIGIN_KEY) if isinstance(config, dict) else None
    return PACKAGED[origin].note if isinstance(origin, str) and origin in PACKAGED else None


def open_model(settings: ModelConfig, chat: bool = True) -> tuple[Any, Any]:
    """Load the model and tokenizer of a verb's settings: see `load_model_and_tokenizer`."""
    return load_model_and_tokenizer(
        settings.name,
        settings.dtype,
        settings.attention,
        chat,
        settings.chat_template,
        settings.trust_remote_code,
    )


def open_tokenizer(settings: ModelConfig, chat: bool = True) -> Any:
    """Load the tokenizer of a verb's settings: see `load_tokenizer`."""
    return load_tokenizer(settings.name, chat, settings.chat_template, settings.trust_remote_code)


def load_model_and_tokenizer(
    name: str,
    dtype: str = "float32",
    attention: str = "sdpa",
    chat: bool = True,
    template: str = "",
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, or say in a sentence why that is not possible.

    A LoRA adapter is loaded as the whole model it makes (see `presat.models.adapters`).

    Args:
        name: see `resolve_model`.
        dtype: type of the weights in memory, `float32` or `bfloat16`.
        attention: attention implementation (`sdpa`, `eager`, `flash_attention_2`).
        chat: whether a chat template is needed (pre-training on plain text does without).
        template: see `load_tokenizer`.
        trust_remote_code: whether code that comes with the model (`auto_map` in its files) may run.

    Raises:
        ModelError: not found, not a causal language model, damaged or incomplete weights, a vocabulary larger than its
            embedding, code that may not run, an attention implementation that is not available, or as `load_tokenizer`.
    """
    tokenizer = load_tokenizer(name, chat, template, trust_remote_code)
    folder = resolve_model(name)
    model = _load_model(name, _ordinary(folder, trust_remote_code), dtype, attention, trust_remote_code)
    check_vocabulary(name, model, tokenizer)
    model.name_or_path = _lasting(name, folder)  # what adapters trained on it will name as their base
    return model, tokenizer


def to_gpu(model: Any) -> Any:
    """Return the model on this process's GPU where there is one: for verbs that sample; a trainer moves its model."""
    import torch

    return model.to("cuda") if torch.cuda.is_available() else model


def _ordinary(folder: str, trust_remote_code: bool) -> str:
    """Return `folder`, or for an adapter the folder of the model it makes; adapters may stand on adapters."""
    if not is_adapter(folder):
        return folder
    base = base_of(folder)
    below = stands_on(folder)

    def load_base() -> Any:
        ordinary = _ordinary(resolve_model(base), trust_remote_code)
        return _load_model(base, ordinary, "float32", "sdpa", trust_remote_code)

    return merged_folder(folder, below, load_base, trust_remote_code)


def stands_on(folder: str) -> list[str] | None:
    """Return what an adapter stands on, nearest first: adapters, and last a model; None where it is not to be found.

    Raises:
        ModelError: it stands on itself.
    """
    below: list[str] = []
    seen = {Path(folder).resolve()}
    while is_adapter(folder):
        try:
            folder = resolve_model(base_of(folder))
        except ModelError:
            return None
        if Path(folder).resolve() in seen:
            raise ModelError(
                f"The adapter in {folder} stands on itself: the `base_model_name_or_path` in its adapter_config.json "
                "leads back to it."
            )
        seen.add(Path(folder).resolve())
        below.append(folder)
    return below


def _lasting(name: str, folder: str) -> str:
    """Return a name of the model that holds from any working directory, and after its run has gone on."""
    if name in PACKAGED and not expanded(name).is_dir():
        return name
    return str(Path(folder).resolve()) if Path(folder).is_dir() else folder


def load_tokenizer(name: str, chat: bool = True, template: str = "", trust_remote_code: bool = False) -> Any:
    """Load a model's tokenizer alone.

    One without a padding token pads with its end-of-sequence token: every loss and mask here goes by lengths.

    Args:
        name: see `resolve_model`.
        chat: whether a chat template is needed.
        template: the chat template to use in place of the model's own: a Jinja file, or a model that has one.
        trust_remote_code: see `load_model_and_tokenizer`.

    Raises:
        ModelError: not found, damaged, code that may not run, no end-of-sequence token, or no chat template, or one
            that cannot be used.
    """
    tokenizer = _load_tokenizer(name, trust_remote_code)
    if template:
        _set_template(tokenizer, template, trust_remote_code)
    if chat and not tokenizer.chat_template:
        raise ModelError(_NO_TEMPLATE.format(name=name))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _set_template(tokenizer: Any, source: str, trust_remote_code: bool) -> None:
    """Give the tokenizer the chat template of a Jinja file or of another model; it is saved with it from then on."""
    path = expanded(source)
    try:
        if path.is_file():
            tokenizer.chat_template = path.read_text(encoding="utf-8")
        elif path.suffix == ".jinja":
            raise ModelError(f"There is no file '{source}' (`model.chat_template`).")
        else:
            tokenizer.chat_template = _load_tokenizer(source, trust_remote_code).chat_template
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"The chat template of '{source}' (`model.chat_template`) cannot be read: {error}.") from error
    if not tokenizer.chat_template:
        raise ModelError(f"'{source}' (`model.chat_template`) has no chat template either.")
    try:
        check_template(tokenizer)
    except ModelError as error:
        raise ModelError(f"The chat template of '{source}' (`model.chat_template`) cannot be used. {error}") from error


def _load_tokenizer(name: str, trust_remote_code: bool) -> Any:
    tokenizer = read_tokenizer(name, reachable(resolve_model(name)), trust_remote_code)
    if tokenizer.eos_token is None:
        raise ModelError(
            f"The tokenizer of '{name}' has no end-of-sequence token, so responses could not end. Set `eos_token` in "
            "its tokenizer_config.json."
        )
    return tokenizer


def _load_model(name: str, folder: str, dtype: str, attention: str, trust_remote_code: bool) -> Any:
    folder = reachable(folder)
    model, info = read_model(name, folder, dtype, attention, trust_remote_code)
    if not runs_own_code(model) and (found := own_code(folder)):
        LOG.warning("'%s' brings code of its own (%s), which was not run: transformers has its kind.", name, found[1])
    check_weights(name, model, info)
    return model
