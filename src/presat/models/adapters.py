"""LoRA adapters: which layers get them, and how a saved adapter becomes an ordinary model again.

A run with `lora.rank` saves PEFT adapter folders, a few megabytes each, from which it resumes. When one is first
loaded, or has changed since, it is merged with the model it was trained on into `merged/` inside it: an ordinary
Hugging Face folder that every other tool reads too (TRL's KL reference and vLLM among them).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from presat.config.schema import LoraConfig
from presat.errors import ConfigError, ModelError, RunError, nearest
from presat.files import atomically, write_atomically
from presat.jsons import read_json
from presat.models.hashes import RESUME_STATE, files_of, hash_path, hub_revision
from presat.models.libraries import quiet, saving
from presat.models.pretrained import read_adapter, read_tokenizer
from presat.text import brief

ADAPTER = "adapter_config.json"
"""The file that makes a folder an adapter."""
MERGED = "merged"
MADE_FROM = ".made_from.json"
"""File in `merged` that says what it was made from; hidden, so that no hash of the model counts it."""
_BESIDE = (*RESUME_STATE, f"{MERGED}*")
"""What a folder may hold that is no part of its model, or follows from it."""


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
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"The adapter in {folder} does not say which model it belongs to ({brief(error)}).") from error
    if not base or not isinstance(base, str):
        raise ModelError(f"The adapter in {folder} does not say which model it belongs to.")
    return base


def merged_folder(
    folder: str, below: Sequence[str] | None, base: Callable[[], Any], trust_remote_code: bool = False
) -> str:
    """Return `folder/merged`: `base` with the adapter in `folder` added to its weights, made where it is not there.

    It is made anew when the adapter, or what it stands on, is no longer what it was made from: an adapter may be
    trained again in place. The weights are written in float32, so that nothing of the adapter is rounded away. Safe
    under any number of processes; an interrupted merge leaves nothing that could be taken for a model.

    Args:
        folder: holds the adapter and its tokenizer.
        below: what it stands on, nearest first: folders of adapters, and of the model or its Hugging Face id. None
            where that is not to be found; `merged` does not need it.
        base: called without arguments, returns the model the adapter was trained on, in float32.
        trust_remote_code: whether code that comes with the adapter's tokenizer may run.

    Raises:
        ModelError: the adapter does not fit the model, the folder cannot be written, or holds a `merged` of another
            make.
    """
    from filelock import FileLock

    merged = Path(folder) / MERGED
    if _is_current(merged, below):
        return str(merged)
    if merged.exists() and not (merged / MADE_FROM).is_file():
        raise ModelError(
            f"{merged} is where the adapter goes that is merged with its model, and presat did not make what is there, "
            "so it is left as it is: move or delete it."
        )
    try:
        with FileLock(merged.with_name("merged.lock")):
            if not _is_current(merged, below):
                _merge(folder, base(), merged, below or [], trust_remote_code)
    except OSError as error:
        raise ModelError(
            f"The adapter in {folder} cannot be merged there ({error}): it needs room for a model."
        ) from error
    return str(merged)


def adapter_hash(folder: str, below: Sequence[str] | None) -> str:
    """SHA-256 of what decides the model an adapter makes: its own files, and those of what it stands on.

    Args:
        folder: the adapter.
        below: as for `merged_folder`.
    """
    merged = Path(folder) / MERGED
    if _is_current(merged, below) and (made := read_json(merged / MADE_FROM, _MadeFrom)).adapter:
        facts = [made.adapter, made.base]  # the model below need not be read
    else:
        facts = [_content(folder), [_content(item) for item in below or ()]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _is_current(merged: Path, below: Sequence[str] | None) -> bool:
    """Whether `merged` was made from the adapter beside it and from what is below that.

    The adapter is read; of what is below, which may be large, only if its files look otherwise than at the last time.
    """
    if not (merged / "config.json").is_file():
        return False
    made = read_json(merged / MADE_FROM, _MadeFrom)
    if not made.adapter:  # an earlier version's, which is all there is where it cannot be made anew
        return below is None
    if made.adapter != _content(str(merged.parent)):
        return False
    if below is None or made.seen == _look(below):
        return True
    if made.base != [_content(item) for item in below]:
        return False
    with contextlib.suppress(RunError):  # it may not be ours to write to
        write_atomically(merged / MADE_FROM, json.dumps({**made.model_dump(), "seen": _look(below)}))
    return True


class _MadeFrom(BaseModel):
    """What a merged model was made from: hashes of the adapter and of what is below it, and how that looked."""

    adapter: str = ""
    base: list[str] = []
    seen: list[Any] = []


def _content(item: str) -> str:
    """What a folder holds, or which commit of a Hugging Face id is here."""
    return hash_path(item, _BESIDE) if Path(item).is_dir() else f"{item}@{hub_revision(item)}"


def _look(below: Sequence[str]) -> list[Any]:
    """Names, sizes and times of change of the files of what is below an adapter."""
    seen: list[Any] = []
    for item in below:
        folder = Path(item)
        if not folder.is_dir():
            seen.append(_content(item))
            continue
        stats = [(file.relative_to(folder).as_posix(), file.stat()) for file in files_of(folder, _BESIDE)]
        seen.append([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])
    return seen


def _merge(folder: str, base: Any, merged: Path, below: Sequence[str], trust_remote_code: bool) -> None:
    # noted as it is before it is read: a change meanwhile shows at the next look
    made = {"adapter": _content(folder), "base": [_content(item) for item in below], "seen": _look(below)}
    model = read_adapter(base, folder, base_of(folder))
    tokenizer = read_tokenizer(folder, folder, trust_remote_code)
    with atomically(merged) as draft:
        with quiet(), saving(merged):
            model.merge_and_unload().save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        (draft / MADE_FROM).write_text(json.dumps(made), encoding="utf-8")
        if merged.exists():
            shutil.rmtree(merged)
