"""Asks a language model behind any OpenAI-compatible server: many questions at once, each once, whatever happens.

Every answer is appended to a file the moment it is there and never asked for again: the key is what was asked, of
which model and how. The client of `openai` tries again, with growing pauses, after a time-out, a 429 or a 5xx. A
question that still has no answer is left without one; where the server is gone, refuses the key or does not have the
model, one sentence says so and what was answered is kept.

The key is taken from PRESAT_JUDGE_KEY or OPENAI_API_KEY and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from presat.config.schema.chat import ChatConfig
from presat.errors import ConfigError, JudgeError, nearest
from presat.files import expanded
from presat.models.packaged import cache_folder
from presat.rollouts.protocol import import_openai, told
from presat.text import brief
from presat.tracking.keyed import KEY, KeyedLines
from presat.tracking.responses import file_name

INSTALL = "pip install 'presat[judge]'"
KEY_NAMES = ("PRESAT_JUDGE_KEY", "OPENAI_API_KEY")
_CHARACTERS_A_TOKEN = 3.5
"""Of English and LaTeX, roughly: for estimates."""
_TOKENS_AN_ANSWER = 250
_GIVE_UP = 3
"""So many questions in a row without an answer, beyond those asked at the same time, are enough."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.

    Attributes:
        text: what the model said; None where it did not answer.
        fault: why there is no text.
        cut: whether it was cut at the longest length.
        tokens: read and written, as the server counts; 0 where it does not.
        asked: whether the server was asked, now or earlier.
        refused: whether the server lives and would not take this question: too long, mostly.
    """

    text: str | None
    fault: str = ""
    cut: bool = False
    tokens: int = 0
    asked: bool = True
    refused: bool = False


class ChatClient:
    """Asks one model.

    Attributes:
        model: its name.
        calls: questions asked so far.
    """

    def __init__(self, settings: ChatConfig) -> None:
        """Read what is known. The server is asked for nothing but the name of its model, where none is given.

        Raises:
            ConfigError: the package `openai` is not installed, or a key is missing.
            JudgeError: the server does not say which model it has.
            RunError: the file of the answers cannot be read.
        """
        self._settings = settings
        self._openai = import_openai("The LLM judge", INSTALL)
        key = next((os.environ[name] for name in KEY_NAMES if os.environ.get(name)), "")
        if not key and (urlsplit(settings.server).hostname or "").endswith("openai.com"):
            raise ConfigError(
                f"{settings.server} wants a key: put it into {' or '.join(KEY_NAMES)} in the environment."
            )
        self._client = self._openai.OpenAI(
            base_url=settings.server, api_key=key or "none", timeout=settings.timeout_s, max_retries=settings.retries
        )
        self._temperature = settings.temperature
        self.model = settings.model or self._only_model()
        folder = expanded(settings.cache) if settings.cache else cache_folder() / "judges"
        self._known = KeyedLines(folder / f"{file_name(self.model)}.jsonl")
        self._lock = threading.Lock()
        self.calls = 0
        self._unanswered = 0  # one after the other
        self._stopped: JudgeError | None = None

    def ask(self, questions: Sequence[str]) -> list[Answer]:
        """Return the answers, in order; the same question twice is asked once.

        Raises:
            JudgeError: the server is gone, refuses the key, or does not have the model. What was answered is kept.
            RunError: an answer cannot be written down.
        """
        wanted = {self._key(question): question for question in questions}
        found = {key: answer for key in wanted if (answer := self._remembered(key)) is not None}
        missing = {key: question for key, question in wanted.items() if key not in found}
        if self._stopped is not None:  # what ended the last questions may be mended
            self._stopped, self._unanswered = None, 0
        with ThreadPoolExecutor(self._settings.concurrent) as pool:
            try:
                found.update(zip(missing, pool.map(self._answer, missing.items()), strict=True))
            except BaseException:
                self._stopped = self._stopped or JudgeError("The questions were broken off.")
                pool.shutdown(cancel_futures=True)
                raise
        faults = [found[key].fault for key in missing if found[key].asked and found[key].text is None]
        if not self._known.rows and faults:  # this model never answered
            raise JudgeError(f"The server {self._settings.server} answered no question. {faults[0]}")
        return [found[self._key(question)] for question in questions]

    def knows(self, question: str) -> bool:
        """Whether the answer is known, so that asking costs nothing."""
        return self._key(question) in self._known.rows

    def tokens_for(self, question: str) -> int:
        """About how many tokens a question and its answer take."""
        return round(len(question) / _CHARACTERS_A_TOKEN) + min(_TOKENS_AN_ANSWER, self._settings.max_tokens)

    def _key(self, question: str) -> str:
        asked = json.dumps([self.model, question, self._settings.max_tokens, self._settings.temperature])
        return hashlib.sha256(asked.encode()).hexdigest()

    def _remembered(self, key: str) -> Answer | None:
        row = self._known.rows.get(key, {})
        text, cut, tokens = row.get("text"), row.get("cut"), row.get("tokens")
        if not isinstance(text, str) or not isinstance(cut, bool) or not isinstance(tokens, int):
            return None
        return Answer(text, cut=cut, tokens=tokens)

    def _answer(self, missing: tuple[str, str]) -> Answer:
        """Ask one question and write the answer down; what ends the work is raised in every thread."""
        key, question = missing
        with self._lock:
            if self._stopped is not None:
                raise self._stopped
            most = self._settings.max_calls
            if most is not None and self.calls >= most:
                return Answer(None, f"It was not asked about: `max_calls` allows {most}.", asked=False)
            self.calls += 1
        try:
            answer = self._call(question)
        except JudgeError as error:
            self._stopped = error
            raise
        with self._lock:
            if answer.text is not None:
                self._unanswered = 0
                self._known.add([{KEY: key, **{name: asdict(answer)[name] for name in ("text", "cut", "tokens")}}])
            else:
                self._note(answer)
        return answer

    def _note(self, fault: Answer) -> None:
        """Count a question without an answer; stop where there is nothing else any more.

        Questions that are too long may come one after the other: refusals count until the model has answered once.
        """
        if fault.refused and self._known.rows:
            return
        self._unanswered += 1
        if self._unanswered >= self._settings.concurrent + _GIVE_UP:
            self._stopped = JudgeError(
                f"The server {self._settings.server} left {self._unanswered} questions in a row without an answer "
                f"(of the last: {fault.fault}) What was answered is kept: mend the server and start again."
            )
            raise self._stopped

    def _call(self, question: str) -> Answer:
        openai, server = self._openai, self._settings.server
        try:
            return self._read(self._request(question))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise JudgeError(
                f"The server {server} refuses the key ({_shown(error)}): put the right one into "
                f"{' or '.join(KEY_NAMES)} in the environment."
            ) from error
        except openai.NotFoundError as error:
            raise JudgeError(
                f"The server {server} has no model {brief(self.model)}, or is not at this address ({_shown(error)}): "
                "check both; the address mostly ends in /v1."
            ) from error
        except openai.APITimeoutError:
            return Answer(None, f"The server did not answer within {self._settings.timeout_s:g} s.")
        except openai.APIConnectionError as error:
            raise JudgeError(
                f"No server answers at {server} ({_shown(error)}). What was answered is kept: check the address, "
                "start the server, and start again."
            ) from error
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return Answer(None, f"The server refused the question: {_shown(error)}.", refused=True)
        except openai.OpenAIError as error:
            return Answer(None, f"The server failed: {_shown(error)}.")
        except (ValueError, TypeError, AttributeError):  # of the client, over what it takes for an answer
            return Answer(None, "The server answered with something else than a chat completion.")

    def _request(self, question: str) -> Any:
        """One request. A model that thinks refuses a temperature; it is then left out from now on."""
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": question.encode(errors="replace").decode()}],
            "max_completion_tokens": self._settings.max_tokens,
        }
        if self._temperature is None:
            return self._client.chat.completions.create(**asked)
        try:
            return self._client.chat.completions.create(**asked, temperature=self._temperature)
        except self._openai.BadRequestError as error:
            if getattr(error, "param", None) != "temperature":
                raise
            self._temperature = None
            return self._client.chat.completions.create(**asked)

    def _read(self, response: Any) -> Answer:
        choices = getattr(response, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        text = getattr(getattr(choice, "message", None), "content", None)
        if not isinstance(text, str):
            return Answer(None, "The server answered with something else than a chat completion.")
        tokens = getattr(getattr(response, "usage", None), "total_tokens", None)
        cut = getattr(choice, "finish_reason", None) == "length"
        return Answer(text, cut=cut, tokens=tokens if isinstance(tokens, int) else 0)

    def _only_model(self) -> str:
        server = self._settings.server
        try:
            names = [str(model.id) for model in self._client.models.list()]
        except self._openai.OpenAIError as error:
            raise JudgeError(
                f"The server {server} does not say which models it has ({_shown(error)}): check the address and the "
                "key, or name the model (`model`)."
            ) from error
        except (ValueError, AttributeError, TypeError) as error:
            raise JudgeError(
                f"The server {server} answered with something else than a list of models: is it OpenAI-compatible?"
            ) from error
        if len(names) != 1:
            raise JudgeError(f"The server {server} has {len(names)} models; name one (`model`).{nearest('', names)}")
        return names[0]


def _shown(error: Exception) -> str:
    return brief(told(error)).strip("'\"")
