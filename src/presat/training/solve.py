"""solve@k: how many of k responses to each problem are right, under the model that will be trained (section 2)."""

from __future__ import annotations

from collections.abc import Sequence

from presat.config.schema import ModelConfig, VerifyConfig
from presat.models import load_model_and_tokenizer
from presat.rollouts import make_engine, seed_for
from presat.training.evaluate import score_groups
from presat.training.libraries import quiet_libraries
from presat.types import Problem, Sampling
from presat.verify import Verifier


def solve_counts(
    model: ModelConfig, problems: Sequence[Problem], samples: int, sampling: Sampling, seed: int, verify: VerifyConfig
) -> list[int]:
    """Return solve_counts_P: right responses out of `samples` for each problem.

    A response whose verdict is missing is not right: the count says how often the reward would be 1.
    """
    with quiet_libraries(), Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier:
        engine = make_engine(*load_model_and_tokenizer(model.name, model.dtype, attention=model.attention))
        seeds = [seed_for(seed, "solve", index) for index in range(len(problems))]
        scores_PG = score_groups(verifier, engine.generate(problems, samples, sampling, seeds))
    return [sum(score.value == 1.0 for score in row) for row in scores_PG]
