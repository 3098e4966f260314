"""A model of the Hugging Face hub, or of its local cache where the hub does not answer."""

from __future__ import annotations

from pathlib import Path

from presat.errors import ModelError
from presat.models.catalogue import PACKAGED
from presat.tasks.hub import hub_error


def reachable(name: str) -> str:
    """Return `name`; where the hub does not answer, the folder of the model's files in the hub's local cache.

    Args:
        name: a folder or a Hugging Face id.

    Raises:
        ModelError: the hub does not answer, and the model is not in the cache.
    """
    from huggingface_hub import constants, snapshot_download

    error = None if Path(name).is_dir() else hub_error()
    if error is None:
        return name
    try:
        return snapshot_download(name, local_files_only=True)
    except (OSError, ValueError):  # not there; no id at all
        raise ModelError(
            f"The model '{name}' is no folder here and could not be had from the Hugging Face hub: "
            f"{constants.ENDPOINT} cannot be reached ({error}), and its local cache does not hold it. Check the "
            f"spelling and the network; packaged models need none: {', '.join(PACKAGED)}."
        ) from error


def not_had(what: str, name: str, detail: str) -> ModelError:
    """Return the error that says that a model is neither a folder nor to be had from the hub.

    Args:
        what: what was wanted of it.
        name: the model.
        detail: what the hub's client says.
    """
    return ModelError(
        f"The {what} '{name}' is no folder here and could not be had from the Hugging Face hub. Check the spelling, "
        "the network and, for a gated model, your token; packaged models need neither network nor token: "
        f"{', '.join(PACKAGED)}. ({detail})"
    )
