"""Rollouts by a server that speaks the OpenAI completions protocol (vLLM, SGLang, llama.cpp, ...).

The weights are the server's. For a model that trains they are handed over whenever they changed: process 0 writes them
to a folder that the server sees too and has the server load them, which vLLM's can (in development mode).

Prompts go out as our own token ids. What a server would add of its own (top-k, a repetition penalty: vLLM takes them
from the model's generation_config.json) is switched off, so that responses are drawn from the model's distribution.
Draws are reproducible as far as the server's are. Log-probabilities are not asked for: servers differ in whether they
come before or after the temperature.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch.distributed as dist

from presat.config.schema import ServerConfig
from presat.errors import ConfigError, ModelError, UnfinishedError, nearest
from presat.rollouts.batching import BatchEngine, decode
from presat.rollouts.protocol import import_openai, told
from presat.rollouts.scoring import Scored, Tree
from presat.rollouts.weights import fingerprint, save_weights, whole_weights
from presat.types import Completion, Problem, RolloutGroup, Sampling

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
_SEED_BITS = 31  # servers take a signed 32-bit seed at least


class ServerEngine(BatchEngine):
    """Asks a running server.

    Attributes:
        served: the name the server gives the model.
    """

    kind = "server"

    def __init__(self, tokenizer: Any, server: ServerConfig, model: Any = None, folder: Path | None = None) -> None:
        """Find the model on the server.

        Args:
            tokenizer: the tokenizer of the model that is served, with a chat template.
            server: where it is.
            model: the live model, where one trains; without it the server's weights are left as they are.
            folder: where the live model's weights are written for the server.

        Raises:
            ConfigError: the package `openai` is not installed.
            ModelError: no server answers, or it does not serve the model.
        """
        super().__init__(model, tokenizer, rows=sys.maxsize)  # all at once: the server batches them
        openai = import_openai("engine: server", "pip install openai")
        self._errors, self._not_found = openai.OpenAIError, openai.NotFoundError
        self._url, self._concurrent = server.url, server.concurrent
        key = os.environ.get("OPENAI_API_KEY", "none")
        self._client = openai.OpenAI(base_url=server.url, api_key=key, timeout=server.timeout_s)
        self._folder, self._updates, self._loaded = folder, 0, ()
        self.served = self._find(server.model)

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        """Draw as `BatchEngine.generate` does; of processes that train together all must call it."""
        if self._folder is not None:
            self._hand_over(self._folder)
        return super().generate(problems, n, sampling, seeds)

    def score(self, trees: Sequence[Tree]) -> list[Scored]:
        """Refuse: what servers call the log-probability of a given text differs from one to the next.

        Raises:
            ConfigError: always.
        """
        del trees
        raise ConfigError(
            "A server does not score given texts (log-probabilities differ between servers): take engine: auto or vllm."
        )

    def _load(self, folder: Path) -> None:
        """Have the server take the weights in `folder` and forget the prompts computed with the old ones.

        Args:
            folder: the weights, a head that is tied to the embedding among them: of a checkpoint, which leaves that
                out, the server would keep its old head without an error.

        Raises:
            ModelError: the server cannot load weights, or not these.
        """
        root = self._url.rstrip("/").removesuffix("/v1")
        try:
            body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder.resolve())}}
            self._client.post(f"{root}/collective_rpc", cast_to=object, body=body)
            self._client.post(f"{root}/reset_prefix_cache", cast_to=object)
        except self._not_found as error:
            raise ModelError(
                f"The server {self._url} takes no new weights: start vLLM's with VLLM_SERVER_DEV_MODE=1 in its "
                "environment (docs/vllm.md)."
            ) from error
        except self._errors as error:
            raise ModelError(
                f"The server {self._url} could not load the weights in {folder} ({told(error)}). It must see this "
                "folder, under this path, and serve a model of the same shape."
            ) from error

    def _hand_over(self, folder: Path) -> None:
        """Give the server the live weights if they changed since last time; process 0 does, the others wait."""
        found = fingerprint(whole_weights(self.model))
        if found != self._loaded:
            weights = whole_weights(self.model)
            if dist.is_initialized() and dist.get_rank() > 0:
                for _ in weights:  # what is split is gathered with all processes
                    pass
            else:
                # never a name twice: over a network a file of the same name may still be the old one to the server
                update = folder / f"{os.getpid()}-{self._updates}"
                save_weights(weights, update)
                self._load(update)
                shutil.rmtree(update)
            self._loaded, self._updates = found, self._updates + 1
        if dist.is_initialized():
            dist.barrier()

    def _find(self, wanted: str) -> str:
        """Return the name of the model on the server: the one asked for, or its only one."""
        try:
            names = [str(model.id) for model in self._client.models.list()]
        except self._errors as error:
            raise ModelError(f"The server {self._url} did not answer ({told(error)}).") from error
        except (AttributeError, TypeError, ValueError) as error:  # of the client, over what it takes for an answer
            raise ModelError(self._not("a list of models")) from error
        if wanted in names:
            return wanted
        if wanted:
            raise ModelError(f"The server {self._url} does not serve '{wanted}'.{nearest(wanted, names)}")
        if len(names) != 1:
            raise ModelError(f"The server {self._url} has {len(names)} models; set `server.model` to one of {names}.")
        return names[0]

    def _decode(
        self, prompts: list[tuple[int, ...]], rows: range, n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """Draw n responses for every prompt, one request a prompt.

        Raises:
            UnfinishedError: the server refuses, fails or is gone, or answers with something else.
        """
        del rows  # all of them
        with ThreadPoolExecutor(self._concurrent) as pool:
            groups = pool.map(lambda prompt, seed: self._draw(prompt, seed, n, sampling), prompts, seeds)
            return [completion for group in groups for completion in group]

    def _draw(self, prompt: tuple[int, ...], seed: int, n: int, sampling: Sampling) -> list[Completion]:
        try:
            answer = self._client.completions.create(
                model=self.served,
                prompt=list(prompt),
                n=n,
                temperature=sampling.temperature,
                top_p=1.0,
                max_tokens=sampling.max_new_tokens,
                seed=seed % 2**_SEED_BITS,
                extra_body={**_NEUTRAL, "return_token_ids": True},
            )
        except self._errors as error:
            raise UnfinishedError(f"The server {self._url} did not answer ({told(error)}). Start it again.") from error
        except ValueError as error:  # no JSON
            raise UnfinishedError(self._not("responses")) from error
        choices = getattr(answer, "choices", None)
        if not isinstance(choices, list) or not all(map(_is_response, choices)):
            raise UnfinishedError(self._not("responses"))
        choices = sorted(choices, key=lambda choice: choice.index)
        if len(choices) != n:
            raise UnfinishedError(f"The server {self._url} gave {len(choices)} responses where {n} were asked for.")
        return [self._completion(choice) for choice in choices]

    def _completion(self, choice: Any) -> Completion:
        """A response, read as the other engines read theirs; without token ids from the server, by its text."""
        ids = getattr(choice, "token_ids", None)
        text = choice.text.encode(errors="replace").decode()  # it may be cut within a character
        if ids is None:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            text = decode(self.tokenizer, [ids])[0]
        return Completion(text, tuple(ids), None, choice.finish_reason == "stop")

    def _not(self, wanted: str) -> str:
        """Say that the client took for an answer what is none: a proxy's page, or that of another server."""
        return (
            f"The server {self._url} answered with something else than {wanted}: is `server.url` the address of an "
            "OpenAI-compatible server, and does it still run?"
        )


def _is_response(choice: Any) -> bool:
    """Whether one of the choices of an answer is one: the client takes whatever JSON there is."""
    ids = getattr(choice, "token_ids", None)
    return (
        isinstance(getattr(choice, "text", None), str)
        and isinstance(getattr(choice, "index", None), int)
        and (ids is None or (isinstance(ids, list) and all(isinstance(number, int) for number in ids)))
    )
