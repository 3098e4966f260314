"""Hashes of what a model is made of: its files, its tokenizer, its chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from presat.errors import RunError

RESUME_STATE = (
    "resume_files.json",  # what the others are (`presat.tracking.checkpoints`)
    "rng_state*.pth",  # of every process, under every launcher
    "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt",
    "pytorch_model_fsdp*",  # FSDP's own copy of the weights
    "global_step*", "latest", "zero_to_fp32.py",  # DeepSpeed
)  # fmt: skip
"""What a checkpoint holds beside the model, so that training can go on from it; no part of which model it is."""


def hash_path(path: Path | str, ignore: Sequence[str] = ()) -> str:
    """SHA-256 of a file, or of a folder's files with their relative names (hidden files left out).

    Args:
        path: the file or folder.
        ignore: patterns of the names in the folder that are left out too.

    Raises:
        RunError: nothing is there, or it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"Cannot hash {path}: there is no such file or folder.")
    digest = hashlib.sha256()
    for file in files_of(path, ignore):
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise RunError(f"Cannot read {file}: {error.strerror}.") from error
    return digest.hexdigest()


def files_of(path: Path, ignore: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the file, or a folder's files in a fixed order: those that `hash_path` reads."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        parts = file.relative_to(path).parts
        if not any(part.startswith(".") for part in parts) and not any(fnmatch(parts[0], own) for own in ignore):
            yield file


def hub_revision(name: str) -> str | None:
    """The commit of a hub model in the local cache; None where there is none."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, "config.json")
    return Path(cached).parent.name if isinstance(cached, str) else None


def hash_tokenizer(tokenizer: Any) -> str:
    """SHA-256 over all that decides which ids a text gets, and the end-of-sequence token; not the chat template."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if hasattr(backend, "to_str"):
        rules = json.loads(backend.to_str())
        rules.pop("padding", None)  # left behind by whoever used it last
        rules.pop("truncation", None)
    else:
        rules = [type(tokenizer).__name__, repr(tokenizer), tokenizer.get_vocab()]
    return _hash_json([rules, tokenizer.eos_token_id])


def hash_template(tokenizer: Any) -> str | None:
    """SHA-256 of the chat template in force, the model's own or the one it was given; None without one."""
    return _hash_json(tokenizer.chat_template) if getattr(tokenizer, "chat_template", None) else None


def _hash_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
