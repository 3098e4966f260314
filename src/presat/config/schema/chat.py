"""Settings of judges that ask a language model behind a server."""

from __future__ import annotations

from pydantic import Field

from presat.config.schema.kinds import AnyPath, Seconds, Settings, Temperature, Tokens, Url


class ChatConfig(Settings):
    """A model behind an OpenAI-compatible server.

    Its key, if it needs one, is read from PRESAT_JUDGE_KEY, else OPENAI_API_KEY.
    """

    server: Url = Field(default="", validate_default=True)
    """Where it is, `http://HOST:PORT/v1`: without user name, password or key. There is no default: nothing is sent
    anywhere unasked."""
    model: str = ""
    """What the server calls the model; the only one it has when empty."""
    concurrent: int = Field(default=8, ge=1, le=2**12)
    """Most questions at the same time."""
    timeout_s: Seconds = 120.0
    """Longest wait for one answer."""
    retries: int = Field(default=6, ge=0, le=100)
    """How often a question is asked again, after longer and longer pauses, when the server does not answer in time, has
    too much to do (429) or fails (5xx)."""
    max_calls: int | None = Field(default=None, ge=0)
    """Most questions asked in all; no bound when None. Answers that are known already do not count."""
    max_tokens: Tokens = 1024
    """Longest answer; a model that thinks first needs more."""
    temperature: Temperature | None = 0.0
    """0 asks for the likeliest answer; None leaves it to the server."""
    rubric: AnyPath | None = None
    """A file that is asked in the place of ours."""
    cache: AnyPath | None = None
    """Folder where answers are kept; `judges` in the cache (`PRESAT_CACHE`, else `~/.cache/presat`) when None."""
