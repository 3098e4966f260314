"""The one place that opens what others made: configurations, tokenizers, weights and adapters.

Code that comes with a model runs only where `model.trust_remote_code` says so, and nobody is asked at a prompt. Pickled
weights are read as tensors and nothing else. Whatever a damaged file makes the libraries raise is one `ModelError`.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from presat.errors import ModelError, PresatError
from presat.models.hub import not_had
from presat.models.libraries import quiet
from presat.text import brief, printable

MOST_LAYERS = 1000
"""More layers than any model has; building as many as a damaged configuration names would never end."""
MOST_LABELS = 30_000
"""More labels than any classifier has."""
MOST_PER_BYTE = 8
"""More parameters than a byte of weights can hold: two of 4 bits, and room for what is made of others."""

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_DETAIL = 300
"""Most characters quoted of what a library says."""


def read_tokenizer(name: str, folder: str, trust_remote_code: bool) -> Any:
    """Return the tokenizer in a folder, or of a Hugging Face id.

    Args:
        name: what the user calls the model.
        folder: a folder or a Hugging Face id.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        ModelError: it cannot be had or is damaged, or it wants to run its own code and may not.
    """
    from transformers import AutoTokenizer

    with opening("tokenizer", name, folder), quiet():
        _refuse_impossible_values(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        json.dumps(tokenizer.init_kwargs, ensure_ascii=False, default=str).encode()  # or no checkpoint could be saved
    return tokenizer


def read_model(
    name: str, folder: str, dtype: str, attention: str, trust_remote_code: bool
) -> tuple[Any, dict[str, Any]]:
    """Return a causal language model, and which weights its files lack or have beside those it needs.

    Args:
        name: what the user calls the model.
        folder: a folder or a Hugging Face id.
        dtype: type of the weights in memory.
        attention: attention implementation.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        ModelError: see `read_tokenizer`, or there is no such attention implementation.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with opening("model", name, folder), quiet():
        _refuse_impossible_values(folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if not trust_remote_code:
            _refuse_impossible_sizes(folder, config)
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                attn_implementation=attention,
                output_loading_info=True,
                weights_only=True,
                trust_remote_code=trust_remote_code,
            )
        except (ImportError, ValueError) as error:
            if refused := _no_attention(name, attention, error):
                raise refused from error
            raise
    return loaded


def read_encoder(name: str, folder: str) -> tuple[Any, Any]:
    """Return an encoder of texts and its tokenizer; code that comes with it never runs.

    Args:
        name: what the user calls the model.
        folder: a folder or a Hugging Face id.

    Raises:
        ModelError: it cannot be had or is damaged, or it wants to run its own code.
    """
    from transformers import AutoModel

    tokenizer = read_tokenizer(name, folder, trust_remote_code=False)
    with opening("model", name, folder), quiet():
        return AutoModel.from_pretrained(folder, trust_remote_code=False).eval(), tokenizer


def read_adapter(base: Any, folder: str, base_name: str) -> Any:
    """Return `base` with the adapter in `folder` on it.

    Raises:
        ModelError: it is damaged or does not fit the model: it lacks weights, or has some for layers that are not
            there.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    with opening(f"adapter on {base_name}", folder, folder), quiet():
        model: Any = PeftModel.from_pretrained(base, folder)
        kept, wanted = set(load_peft_weights(folder, device="cpu")), set(get_peft_model_state_dict(model))
    if other := sorted(kept ^ wanted):
        raise ModelError(
            f"The adapter in {folder} does not fit {base_name}: {len(wanted - kept)} of the weights it should have are "
            f"not in its file and {len(kept - wanted)} are there for layers that the model has not (the first: "
            f"{brief(other[0])})."
        )
    return model


def read_gguf(gguf: Path, dtype: str) -> tuple[Any, Any]:
    """Return the model of a GGUF file, its weights unpacked, and the tokenizer as transformers makes it.

    To be called within `opening`: what the file makes transformers raise is raised.
    """
    import torch
    import transformers

    # older versions always unpack, and have no such setting
    quantization = getattr(transformers, "GgufConfig", None)
    unpacked = {} if quantization is None else {"quantization_config": quantization(dequantize=True)}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=getattr(torch, dtype), trust_remote_code=False, **unpacked
    )
    return model, transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)


@contextmanager
def opening(what: str, name: str, folder: str) -> Iterator[None]:
    """Turn whatever reading somebody's files raises within the block into one sentence.

    The libraries check little of what they read: a garbled file makes them raise anything, the bare `Exception` of the
    tokenizers' and a panic of Rust code, which is no `Exception` at all, included.
    """
    try:
        yield
    except PresatError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _said(what, name, folder, error) from error


def own_code(folder: str, first: str = "config.json") -> tuple[str, str] | None:
    """Return which file of a model names code of its own, and that code; None where none does.

    Args:
        folder: a folder, or a Hugging Face id whose files are in the local cache.
        first: the file to look at first.
    """
    from huggingface_hub import try_to_load_from_cache

    place = Path(folder)
    if not place.is_dir():
        try:
            cached = [try_to_load_from_cache(folder, item) for item in ("config.json", "tokenizer_config.json")]
        except ValueError:  # no id at all
            return None
        place = next((Path(item).parent for item in cached if isinstance(item, str)), place)
    for file in sorted(place.glob("*.json"), key=lambda item: (item.name != first, item.name)):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(found, dict) and (mapping := found.get("auto_map")):
            value = next(iter(mapping.values())) if isinstance(mapping, dict) else mapping
            value = next((item for item in value if item), "") if isinstance(value, list) else value
            repository, _, module = str(value).rpartition("--")
            code = f"{module.partition('.')[0]}.py"
            return file.name, printable(f"{code} of {repository}" if repository else code)
    return None


def runs_own_code(*parts: Any) -> bool:
    """Whether one of these (a model, a tokenizer, a configuration) is of a class that came with a model's files."""
    return any(type(part).__module__.startswith("transformers_modules") for part in parts)


def _said(what: str, name: str, folder: str, error: BaseException) -> ModelError:
    """Say why opening failed, told by the error and by what is on disk."""
    detail = printable(" ".join(str(error).split()))[:_DETAIL]
    wants_code = "trust_remote_code" in str(error) or ("ecogni" in str(error) and isinstance(error, ValueError))
    first = "tokenizer_config.json" if what == "tokenizer" else "config.json"
    if wants_code and (found := own_code(folder, first)):
        file, code = found
        return ModelError(
            f"'{name}' wants to run its own code ({file} names {code}), which is not done unasked. Read that code; "
            "`model.trust_remote_code: true` allows it."
        )
    if isinstance(error, pickle.UnpicklingError):  # torch's own words advise to switch the safeguard off
        return ModelError(
            f"The {what} in {folder} cannot be loaded: its weights are a damaged pickle, or one that holds more than "
            "tensors, which could run code and is not read. Convert them to safetensors where you trust them."
        )
    if isinstance(error, MemoryError):
        return ModelError(f"The {what} in {folder} does not fit into memory, or its configuration is damaged.")
    if not Path(folder).exists():
        return not_had(what, name, detail)
    return ModelError(f"The {what} in {folder} cannot be loaded ({type(error).__name__}: {detail}).")


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


def _refuse_impossible_values(folder: str) -> None:
    """Refuse a number of labels for each of which transformers would make a name, and what is not a number at all."""
    file = Path(folder) / "config.json"
    text = file.read_text(encoding="utf-8") if file.is_file() else "{}"
    config = json.loads(text)
    labels = config.get("num_labels") if isinstance(config, dict) else None
    if isinstance(labels, int | float) and labels > MOST_LABELS:
        raise ModelError(f"The config.json of {folder} is damaged: num_labels is {brief(labels)}.")
    if nan := [name for name, value in config.items() if value != value] if isinstance(config, dict) else []:
        raise ModelError(f"The config.json of {folder} is damaged: {brief(nan[0])} is not a number.")


def _refuse_impossible_sizes(folder: str, config: Any) -> None:
    """Refuse a configuration that describes far more than the folder's files hold, before memory is asked for.

    Only code of transformers' is to be run here: the model is built without memory for its weights.
    """
    import torch
    from transformers import AutoModelForCausalLM

    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise ModelError(f"The config.json of {folder} is damaged: num_hidden_layers is {brief(layers)}.")
    if not Path(folder).is_dir():
        return
    held = sum(file.stat().st_size for file in Path(folder).iterdir() if file.suffix in _WEIGHTS)
    with torch.random.fork_rng(devices=[]), torch.device("meta"), quiet():
        shell: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    described = sum(weight.numel() for weight in shell.parameters())
    if described > MOST_PER_BYTE * held:
        raise ModelError(
            f"The config.json of {folder} describes a model of {described:,} parameters, and its files of weights hold "
            f"{held:,} bytes: one of them is damaged, or weights are missing."
        )
