"""Whether the Hugging Face hub answers, asked once and before anything is loaded from it."""

from __future__ import annotations

from pathlib import Path

from presat.errors import ModelError
from presat.models.packaged import PACKAGED


def reachable(name: str) -> str:
    """Return `name`; where the hub does not answer, the folder of the model's files in the hub's local cache.

    Left to itself the hub's client asks six times for every file, which takes most of a minute. Its own session is
    used here, so proxies, certificates, `HF_ENDPOINT` and `HF_HUB_ETAG_TIMEOUT` hold as they do there.

    Args:
        name: a folder or a Hugging Face id.

    Raises:
        ModelError: the hub does not answer, and the model is not in the cache.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import get_session, httpx

    if Path(name).is_dir() or constants.HF_HUB_OFFLINE:
        return name
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except httpx.TransportError as error:
        try:
            return snapshot_download(name, local_files_only=True)
        except (OSError, ValueError):  # not there; no id at all
            raise ModelError(
                f"The model '{name}' is no folder here and could not be had from the Hugging Face hub: "
                f"{constants.ENDPOINT} cannot be reached ({error}), and its local cache does not hold it. Check the "
                f"spelling and the network; packaged models need none: {', '.join(PACKAGED)}."
            ) from error
    return name  # whatever it answered
