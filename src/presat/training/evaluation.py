"""`presat eval`: evaluate a model, or a checkpoint of a run, on named problem sets. Results are appended."""

from __future__ import annotations

from pathlib import Path

import torch

from presat.config.schema import EvalConfig
from presat.errors import ConfigError
from presat.models import load_model_and_tokenizer, resolve_model
from presat.rollouts import RolloutStore, make_engine, seed_for
from presat.tasks import load_task
from presat.tracking import RunWriter, model_identity
from presat.training.checkpoints import checkpoint_step
from presat.training.evaluate import evaluate_problems
from presat.training.libraries import quiet_libraries
from presat.training.problems import describe, drop_too_long
from presat.training.progress import Progress
from presat.types import Sampling
from presat.verify import Verifier


def run_eval(config: EvalConfig, quiet: bool = False) -> Path:
    """Evaluate a model on every set; metrics and responses are appended to the run directory, which is returned.

    A model named `.../checkpoints/step_N` is logged at step N, any other at step 0. With the seed of a training run,
    a checkpoint's numbers repeat the ones its training logged.

    Raises:
        ConfigError: no sets to evaluate on.
        DataError, ModelError, RunError: problems, model or run directory cannot be used.
    """
    if not config.sets:
        raise ConfigError("There is nothing to evaluate on: give `sets` at least one task.")
    if config.threads:
        torch.set_num_threads(config.threads)
    step = checkpoint_step(Path(resolve_model(config.model.name))) or 0
    verify = config.verify
    with (
        quiet_libraries(),
        RunWriter(config.run, config, "eval", resume=True) as writer,
        Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier,
        Progress("eval", quiet) as progress,
    ):
        asked = {task.label(): load_task(task) for task in config.sets}  # quick to refuse, so before the model
        model, tokenizer = load_model_and_tokenizer(
            config.model.name, config.model.dtype, attention=config.model.attention
        )
        engine = make_engine(model, tokenizer, config.engine)
        fitting = {name: drop_too_long(engine, own, config.max_prompt_tokens) for name, own in asked.items()}
        writer.note_provenance(
            model=model_identity(model.config._name_or_path),
            problems={"eval": {name: describe(*found) for name, found in fitting.items()}},
        )
        store = RolloutStore(config.run / "rollouts")
        sampling = Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens)
        progress.start(0, len(fitting))
        for done, (name, (problems, _)) in enumerate(fitting.items(), 1):
            seed = seed_for(config.seed, name)
            found = evaluate_problems(engine, verifier, problems, config.samples, sampling, seed, config.greedy)
            metrics = {f"eval/{name}/{metric}": value for metric, value in found.metrics.items()}
            writer.append(step, metrics)
            if config.save_rollouts:
                store.write("eval", step, found.groups, found.scores_PG, set_name=name, extra_PG=found.extra_PG)
            progress.show(done, metrics)
    return config.run
