"""Whether the Hugging Face hub answers, asked once and before anything is loaded from it."""

from __future__ import annotations


def hub_error() -> Exception | None:
    """Return why the hub does not answer; None when it does, whatever it says, or when it may not be asked.

    Left to itself the hub's client asks six times for every file, which takes most of a minute. Its own session is
    used here, so proxies, certificates, `HF_ENDPOINT` and `HF_HUB_ETAG_TIMEOUT` hold as they do there.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session, httpx

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except httpx.TransportError as error:
        return error
    return None
