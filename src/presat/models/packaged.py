"""Real models without a hub: GGUF weights inside ordinary Python packages, made once into Hugging Face folders.

A packaged name stands for the file (or the parts of one) that an installed package ships. The first use makes a folder
in the cache (`PRESAT_CACHE`, else `~/.cache/presat`) with safetensors in bfloat16, the tokenizer and the chat template;
every later use finds it there. Nothing is ever downloaded here: a missing package is answered by its install line.

The weights were rounded to 4 bits by whoever packaged them, so scores are a little below the original model's.
`model_note` says so, and stays with models trained from them: it is read from the folder's `config.json`.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import sys
from contextlib import redirect_stderr
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from presat.errors import ModelError
from presat.files import atomically
from presat.models.catalogue import PACKAGED, Packaged
from presat.models.libraries import quiet, saving
from presat.models.pretrained import opening, read_gguf

DType = Literal["bfloat16", "float32"]

ORIGIN_KEY = "presat_origin"
"""Entry of `config.json` that names the packaged model the weights come from."""

_FORMAT = 2  # of the cache folder's name: raise it when conversion or packages change, so that old folders are let be
_SMOLLM_PRETOKENIZER = "smollm"


def cache_folder() -> Path:
    """Where converted models are kept: `PRESAT_CACHE`, else `~/.cache/presat`."""
    return Path(os.environ.get("PRESAT_CACHE") or "~/.cache/presat").expanduser()


def packaged_folder(name: str, dtype: DType = "bfloat16") -> Path:
    """Return the Hugging Face folder of a packaged model, converting it first where that has not been done.

    Safe under any number of processes: one converts, the others wait; an interrupted conversion leaves nothing behind
    that could be taken for a model.

    Args:
        name: a key of `PACKAGED`.
        dtype: type of the weights on disk. bfloat16 rounds far more finely than the 4 bits they come from.

    Raises:
        ModelError: a package is missing or of another version (with the install line), or its file is damaged.
    """
    from filelock import FileLock

    model = PACKAGED[name]
    folder = cache_folder() / "models" / f"{name}-{dtype}-v{_FORMAT}"
    if folder.is_dir():
        return folder
    parts = _find_parts(model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                print(f"Making {name} from its package, once, in {folder}", file=sys.stderr)
                _convert(model, parts, dtype, folder)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise ModelError(
            f"Cannot write to {folder.parent}: set PRESAT_CACHE to a folder that can be written."
        ) from error
    return folder


def _find_parts(model: Packaged) -> list[Path]:
    """Return the paths of the GGUF file's parts, without importing the packages that hold them."""
    parts = []
    for (package, version), file in zip(model.packages, model.files, strict=True):
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise _missing(model, f"the package {package} is not installed") from None
        if found != version:
            raise _missing(model, f"{package} is installed in version {found} instead of {version}")
        spec = importlib.util.find_spec(package.replace("-", "_"))
        roots = list(spec.submodule_search_locations or []) if spec else []
        path = next((Path(root) / file for root in roots if (Path(root) / file).is_file()), None)
        if path is None:
            raise _missing(model, f"the package {package} has no file {file} (reinstall it with --force-reinstall)")
        parts.append(path)
    size = sum(path.stat().st_size for path in parts)
    if size != model.size:
        raise _missing(model, f"its file has {size} bytes instead of {model.size} (reinstall with --force-reinstall)")
    if importlib.util.find_spec("gguf") is None:
        raise _missing(model, "the package gguf is not installed")
    return parts


def _missing(model: Packaged, reason: str) -> ModelError:
    return ModelError(f"Model '{model.name}' cannot be made: {reason}. Install it with:\n  {model.install_line}")


def _convert(model: Packaged, parts: list[Path], dtype: DType, folder: Path) -> None:
    """Make `folder` from the parts, under another name until it is whole."""
    with atomically(folder) as draft:
        source = draft / "source"
        source.mkdir(parents=True)
        gguf = source / "model.gguf"
        if len(parts) == 1:
            gguf.symlink_to(parts[0])
        else:
            _concatenate(parts, gguf)
        gguf_to_folder(gguf, draft, dtype, origin=model.name)
        shutil.rmtree(source)


def _concatenate(parts: list[Path], target: Path) -> None:
    with target.open("wb") as whole:
        for path in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, length=1 << 24)


def gguf_to_folder(gguf: Path, folder: Path, dtype: DType = "bfloat16", origin: str = "") -> Path:
    """Write a GGUF file's model, tokenizer and chat template as an ordinary Hugging Face folder.

    transformers reads the file; the loaded model still carries a quantisation it no longer has and refuses to be saved,
    so a plain model is built from its configuration and given its weights.

    Args:
        gguf: the file; its tensors are unpacked whole, so memory for them at `dtype` is needed twice.
        folder: where to; made when absent.
        dtype: type of the weights written.
        origin: packaged name kept in `config.json` (see `model_note`).

    Raises:
        ModelError: transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM

    kind = getattr(torch, dtype)
    # the bar of the unpacking has no switch
    with opening("GGUF model", gguf.name, str(gguf)), quiet(), redirect_stderr(io.StringIO()):
        loaded, tokenizer = read_gguf(gguf, dtype)
        _put_right(tokenizer, gguf)
        config = loaded.config
        for key in ("quantization_config", "_pre_quantization_dtype"):
            config.__dict__.pop(key, None)
        config.dtype = kind
        config.name_or_path = ""
        if origin:
            setattr(config, ORIGIN_KEY, origin)
        plain: Any = AutoModelForCausalLM.from_config(config, dtype=kind, trust_remote_code=False)
        plain.load_state_dict(loaded.state_dict())
        plain.tie_weights()
        plain.generation_config.eos_token_id = _end_ids(config, tokenizer)
        plain.generation_config.pad_token_id = tokenizer.pad_token_id
    with quiet(), saving(folder):
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _put_right(tokenizer: Any, gguf: Path) -> None:
    """Put those parts of the tokenizer back that transformers does not take from the file."""
    from gguf import GGUFReader  # pyright: ignore[reportMissingImports] (an extra)
    from tokenizers import normalizers, pre_tokenizers

    fields = GGUFReader(gguf)
    for name, key in (("bos_token", "bos_token_id"), ("eos_token", "eos_token_id"), ("pad_token", "padding_token_id")):
        found = fields.get_field(f"tokenizer.ggml.{key}")
        if found is not None:  # some versions of transformers take others: then no response would end where it should
            setattr(tokenizer, name, tokenizer.convert_ids_to_tokens(int(found.contents())))
    splitting = fields.get_field("tokenizer.ggml.pre")
    kind = splitting.contents() if splitting is not None else ""
    backend = tokenizer.backend_tokenizer
    if kind == _SMOLLM_PRETOKENIZER:
        # digits stand alone before anything else is split: otherwise the blank lines before a number fall apart
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif kind == "qwen2":
        backend.normalizer = normalizers.NFC()


def _end_ids(config: Any, tokenizer: Any) -> int | list[int]:
    """Tokens that end a response, as the models' makers set them: the end of a turn, for Qwen also of a text."""
    ids = [tokenizer.eos_token_id]
    if config.model_type == "qwen2" and tokenizer.pad_token_id not in ids:
        ids.append(tokenizer.pad_token_id)  # <|endoftext|>
    return ids if len(ids) > 1 else ids[0]
