"""Problems for training and evaluation, cut to what fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from presat.config.schema import CheckConfig, EvalConfig, SampleConfig, ServerConfig, TrainConfig
from presat.errors import DataError
from presat.models import model_note
from presat.models.pretrained import runs_own_code
from presat.rollouts.batching import BatchEngine
from presat.tasks.noise import NOISE_COLUMN
from presat.tasks.rows import is_labelled
from presat.tasks.subsets import COUNT_COLUMN
from presat.text import printable
from presat.tracking import hash_problems, model_identity
from presat.tracking.identity import draw_identity
from presat.types import Problem, Sampling

LOG = logging.getLogger("presat")

OWN_CODE = "{name} ran code of its own, which its files brought along (`model.trust_remote_code`)."
"""What is said beside the scores of such a model."""


def drop_too_long(engine: BatchEngine, problems: Sequence[Problem], limit: int) -> tuple[list[Problem], int]:
    """Return the problems whose prompt has at most `limit` tokens, and how many do not (the paper drops those).

    Raises:
        DataError: none is left.
    """
    kept = [problem for problem in problems if len(engine.encode(problem)) <= limit]
    if not kept:
        raise DataError(f"Each of the {len(problems)} prompts is longer than max_prompt_tokens ({limit}); raise it.")
    return kept, len(problems) - len(kept)


def describe(problems: Sequence[Problem], dropped: int) -> dict[str, Any]:
    """Return what provenance says about a set of problems."""
    return {"count": len(problems), "hash": hash_problems(problems), "dropped_too_long": dropped}


def describe_model(model: Any) -> dict[str, Any]:
    """Return what provenance says about a loaded model: which it is exactly, and what to say beside its scores."""
    name = model.config._name_or_path
    notes = [model_note(name), OWN_CODE.format(name=name) if runs_own_code(model, model.config) else None]
    note = " ".join(item for item in notes if item)
    return {**model_identity(name), **({"note": note} if note else {})}


def describe_engine(engine: BatchEngine, server: ServerConfig) -> dict[str, Any]:
    """Return what provenance says about the model an engine samples: the one loaded here, or the server's."""
    return describe_model(engine.model) if engine.model is not None else {"name": engine.served, "server": server.url}


def identity_of(
    engine: BatchEngine,
    config: CheckConfig | EvalConfig | SampleConfig | TrainConfig,
    described: Mapping[str, Any],
    samples: int,
) -> dict[str, Any]:
    """Return what decides the draws of a verb (`presat.tracking.identity`).

    Args:
        engine: the engine.
        config: the verb's settings; of `train` those of the training responses.
        described: what `describe_engine` says of the model; of one that trains, what it started from.
        samples: responses a problem.
    """
    return draw_identity(
        model=described,
        tokenizer=engine.tokenizer,
        engine=engine.kind,
        sampling=Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens),
        samples=samples,
        seed=config.seed,
        extraction=config.verify.extraction,
        chat_template=config.model.chat_template,
        tokenizer_name=config.model.name,
        dtype=config.model.dtype if engine.model is not None else None,
        vllm_dtype=(config.vllm.dtype or config.model.dtype) if engine.kind == "vllm" else None,
    )


def refuse_unlabelled(
    problems: Sequence[Problem],
    needed_by: str = "which the verifiable reward needs",
    instead: str = "use a reward without labels",
) -> None:
    """Refuse problems that no answer can be checked against, for what needs one (all scores would be missing).

    Args:
        problems: the problems.
        needed_by: what needs the answers, as the message says it.
        instead: what else can be done.

    Raises:
        DataError: some problem has no gold answer.
    """
    bare = [problem.id for problem in problems if not is_labelled(problem)]
    if bare:
        first = printable(bare[0])
        raise DataError(
            f"{len(bare)} of {len(problems)} problems have no gold answer (the first: {first}), {needed_by}. Name the "
            f"answer's column in `data.columns`, or {instead}."
        )


def warn_of_other_extraction(problems: Sequence[Problem], extraction: str) -> None:
    """Warn, once, of problems whose solve counts or wrong labels were read in another mode than this run reads in.

    Lab and multiple-choice answers are read the same in both modes, and files that say nothing are let be.
    """
    for column, what in ((COUNT_COLUMN, "solve counts"), (NOISE_COLUMN, "wrong labels")):
        notes = [p.metadata.get(column) for p in problems if p.verifier in ("math", "reasoning_gym")]
        modes = {note["extraction"] for note in notes if isinstance(note, Mapping) and note.get("extraction")}
        other = sorted(modes - {extraction})
        if other:
            LOG.warning(
                "The %s of the training problems (column `%s`) come from answers read with verify.extraction: %s, and "
                "this run reads with %s. Make them anew with --verify.extraction %s, or train with %s.",
                what, column, other[0], extraction, extraction, other[0],
            )  # fmt: skip
            return
