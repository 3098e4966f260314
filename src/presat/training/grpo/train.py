"""GRPO on TRL's trainer, with the paper's objective (section 3, appendix B) and nothing left to TRL's defaults.

Strictly on-policy: one generation and one AdamW update a step, so the probability ratio is 1 where the gradient is
taken. The advantages are `advantages.advantages`. Under the baselines of appendix E (`advantage: grpo_pos | grpo_neg`)
every token weighs 1 / `max_new_tokens` in place of 1/|o|: the paper drops the length term and names no other, and a
constant keeps the size of the gradient, which AdamW does not see but clipping does. Responses come from
`groups.GroupRollouts`; evaluation, log and checkpoints from `callbacks.Monitor`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from presat.config.batches import Batches, plan_batches
from presat.config.schema import TrainConfig
from presat.evaluation.problems import (
    describe,
    describe_model,
    drop_too_long,
    identity_of,
    refuse_unlabelled,
    warn_of_other_extraction,
)
from presat.evaluation.sets import load_sets, warn_of_left_out, warn_of_shared, warn_of_unlabelled
from presat.metrics import OnlineSaturation
from presat.models.adapters import peft_config
from presat.models.checks import check_reference
from presat.models.loading import open_model
from presat.models.templates import opens_thinking
from presat.rewards import THINKING_IS_OPEN, needs_of, reward_of, votes_of, with_thinking_open
from presat.rewards.policy import PolicyScorer
from presat.rollouts.batching import BatchEngine
from presat.rollouts.opening import live_engine
from presat.tasks import load_task
from presat.tasks.doubts import warn_of_doubts
from presat.tracking import hash_problems, open_run
from presat.tracking.evaluated import comparable_scores
from presat.tracking.questions import note_questions
from presat.tracking.responses import RolloutStore
from presat.tracking.state import stop_of
from presat.training.grpo import passes
from presat.training.grpo.advantages import BASELINES, advantages
from presat.training.grpo.callbacks import EvalSet, Evaluator, Monitor, RolloutSink, eval_sampling, main_metric
from presat.training.grpo.earned import FirstSteps
from presat.training.grpo.groups import GroupRollouts, StepRollouts, place_key, reward_function
from presat.training.grpo.schedule import make_schedule
from presat.training.passes.decoder import Fit
from presat.training.runtime.launch import engine_kind, process_count
from presat.training.runtime.safe import SafeTrainer
from presat.training.runtime.session import Session, open_session
from presat.training.runtime.trackers import prepare_trackers
from presat.types import Problem, Reward, Sampling
from presat.verify import Verifier

LOG = logging.getLogger("presat")
STAYS = (
    "%s is stopped at step %d and nothing is trained. %s To train on, resume it with other settings of `stop`: "
    "`--stop.when never`, or a longer `--stop.patience`."
)
OTHERWISE = (
    "%s was evaluated otherwise up to step %d (%s). Its held-out scores of then are not compared with those to come: "
    "the early stop counts its patience from there."
)


ROW = "row"
"""Name of the column of a batch that says which response of the step a row is."""


class Trainer(SafeTrainer, GRPOTrainer):
    """TRL's trainer, made safe, with our advantages.

    Attributes:
        baseline: b of the advantage r - b; None compares responses within their group.
    """

    token_means = ("kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean")
    extremes = MappingProxyType({"clip_ratio/low_min": min, "clip_ratio/high_max": max})
    baseline: float | None = None
    _rewards_BF: torch.Tensor

    @cached_property
    def _fit(self) -> Fit:
        return Fit(self)

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Return a micro-batch; those of a step have its responses in their order, groups together."""
        held = self._buffered_inputs
        batch = super()._prepare_inputs(inputs)
        if self._buffered_inputs is held or self._buffered_inputs is None:
            return batch
        self._buffered_inputs = passes.in_order(self._buffered_inputs, ROW)
        return self._buffered_inputs[self._step % len(self._buffered_inputs)]

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> Any:
        """Return log-probabilities, entropies and no loss of experts, each prompt read once where that is possible."""
        rows = kwargs.get("batch_size") or len(input_ids)
        if not self._fit(model, rows, logits_to_keep, input_ids.shape[1]):
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
            )
        found = passes.batch_logprobs(model, input_ids, attention_mask, logits_to_keep, rows, self.temperature)
        return *found, None

    def _compute_loss(self, model: Any, inputs: Any) -> torch.Tensor:
        """Return the loss of a micro-batch."""
        self.note_tokens(inputs["completion_mask"].sum())
        return super()._compute_loss(model, inputs)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the rewards of all processes, [responses, reward functions], and keep them for the advantage."""
        self._rewards_BF = super()._calculate_rewards(*args, **kwargs)
        return self._rewards_BF

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Return TRL's batch with our advantages of this process's responses."""
        batch = super()._generate_and_score_completions(inputs)
        first = self.accelerator.process_index * len(inputs)
        found_B = advantages(self._rewards_BF[:, 0], cast(GRPOConfig, self.args).num_generations or 1, self.baseline)
        batch["advantages"] = found_B[first : first + len(inputs)]
        batch[ROW] = torch.arange(len(inputs))
        return batch


def run_train(config: TrainConfig, quiet: bool = False) -> Path:
    """Train with GRPO and return the run directory.

    The last checkpoint, `checkpoints/step_N`, is an ordinary Hugging Face folder. Under `torchrun` process 0 writes.

    Args:
        config: the resolved configuration.
        quiet: show no progress line.

    Raises:
        ConfigError: settings that contradict each other.
        DataError, ModelError: the problems or the model cannot be loaded.
        RunError: the run directory is busy or holds a run and `resume` is not set, or the loss is not a number.
    """
    batches, verify = plan_batches(config, process_count()), config.verify
    reward = reward_of(config)  # a misspelt one leaves no run directory
    with (
        open_session(config, "train", quiet) as run,
        Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier,
    ):
        stop_reason = _train(config, batches, reward, run, verifier)
        if run.writer is not None and stop_reason:
            run.writer.finish("stopped", stop_reason)
    return config.run


def _train(config: TrainConfig, batches: Batches, reward: Reward, run: Session, verifier: Verifier) -> str | None:
    """Train from the start or the newest complete checkpoint; returns why the run stopped early, if it did."""
    kept = _kept(config, run.done)
    if kept or run.done >= config.steps:
        return _stay(config, run, kept)
    # what is quick to refuse comes before the model
    asked, (held_out, left_out) = load_task(config.data), load_sets(config.eval.sets, config.eval.skip_missing)
    saturation = _saturation(config, run, held_out)
    if run.done and config.stop.when == "saturated" and (reason := saturation.stop_reason()):
        return _stay(config, run, reason)
    if run.writer is not None:
        run.writer.note_stop(None)
    if "verifiable" in config.reward.sources:
        refuse_unlabelled(asked)
    if run.writer is not None:
        warn_of_other_extraction(asked, config.verify.extraction)
        warn_of_doubts(asked, config.data.source)
    model, tokenizer = open_model(config.model)
    if config.beta and not config.lora.rank:
        check_reference(model)
    engine = live_engine(config, model, tokenizer, engine_kind(config))
    problems, dropped = drop_too_long(engine, asked, config.max_prompt_tokens)
    if all(opens_thinking(tokenizer, engine.encode(problem)) for problem in problems):
        reward = _opened(reward, run)
    sets = [
        EvalSet(name, *drop_too_long(engine, own, config.max_prompt_tokens), eval_settings(config, own))
        for name, own in held_out.items()
    ]
    store = None
    if run.writer is not None:
        warn_of_left_out(left_out)
        warn_of_unlabelled(held_out)
        described = {item.name: describe(item.problems, item.dropped) for item in sets}
        noted = {"train": describe(problems, dropped), "eval": described, "left_out": left_out}
        noted["shared"] = warn_of_shared(problems, {item.name: item.problems for item in sets})
        note_questions(config.run, problems)
        identity = describe_model(model)
        run.writer.note_provenance(problems=noted, model=identity)
        drawn = identity_of(engine, config, identity, max(config.group_size, votes_of(reward) or 0))
        store = RolloutStore(config.run / "rollouts", drawn)
        for item in sets:
            item.drawn = {**drawn, **item.drawn, "problems": described[item.name]["hash"]}
    sink = RolloutSink(store, config.save_rollouts_every, run.processes)
    scorer = PolicyScorer(model, config.micro_batch) if needs_of(reward) else None
    sinks = (sink, FirstSteps()) if run.writer is not None else (sink,)
    rollouts = make_rollouts(config, problems, engine, verifier, reward, _each(sinks), scorer)
    trainer = make_trainer(config, batches, model, tokenizer, rollouts, run.checkpoints)
    evaluator = Evaluator(config, sets, engine, verifier, store)
    monitor = Monitor(config, evaluator, saturation, run, trainer)
    trainer.add_callback(monitor)
    trainer.train(resume_from_checkpoint=str(run.resume_from) if run.resume_from else None)
    return monitor.stop_reason


def _each(sinks: Sequence[Callable[[StepRollouts], None]]) -> Callable[[StepRollouts], None]:
    def take(drawn: StepRollouts) -> None:
        for sink in sinks:
            sink(drawn)

    return take


def _opened(reward: Reward, run: Session) -> Reward:
    """The reward for prompts that open `<think>`; what is changed is said, in the report too."""
    opened = with_thinking_open(reward)
    if opened != reward and run.writer is not None:
        LOG.warning(THINKING_IS_OPEN)
        run.writer.note_provenance(reward_note=THINKING_IS_OPEN)
    return opened


def make_rollouts(
    config: TrainConfig,
    problems: Sequence[Problem],
    engine: BatchEngine,
    verifier: Verifier,
    reward: Reward,
    sink: Callable[[StepRollouts], None],
    scorer: PolicyScorer | None = None,
) -> GroupRollouts:
    """Return the adapter that gives TRL its responses."""
    return GroupRollouts(
        problems,
        make_schedule(len(problems), config.steps, config.prompts_per_step, config.seed),
        engine,
        verifier,
        reward,
        Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens),
        config.group_size,
        votes_of(reward),
        config.seed,
        sink,
        scorer,
    )


def make_trainer(
    config: TrainConfig, batches: Batches, model: Any, tokenizer: Any, rollouts: GroupRollouts, checkpoints: Path
) -> Trainer:
    """Return TRL's trainer over the pre-built schedule: one data set row a place, one epoch, read in order."""
    places = [place_key(step, place) for step, row in enumerate(rollouts.schedule, 1) for place in range(len(row))]
    trainer = Trainer(
        model=model,
        reward_funcs=[reward_function(rollouts.reward.name)],
        args=grpo_config(config, batches, checkpoints),
        train_dataset=Dataset.from_dict({"prompt": places}),
        processing_class=tokenizer,
        rollout_func=rollouts,
        # TRL puts the adapters into `model` itself, which the engine samples from; with them off it is the KL reference
        peft_config=peft_config(model, config.lora),
    )
    trainer.baseline = BASELINES[config.advantage]
    trainer.remove_callback(PrinterCallback)
    prepare_trackers(trainer, config.run)
    return trainer


def grpo_config(config: TrainConfig, batches: Batches, checkpoints: Path) -> GRPOConfig:
    """Return TRL's settings: section 3 and appendix B, each one that touches the objective set on purpose."""
    return GRPOConfig(
        output_dir=str(checkpoints),
        trust_remote_code=config.model.trust_remote_code,  # of the KL reference, which TRL loads
        # the objective
        loss_type="grpo" if config.advantage == "grpo" else "dr_grpo",  # 1/|o|, or a constant
        scale_rewards="group",
        beta=config.beta,
        use_bias_correction_kl=False,
        epsilon=config.epsilon,
        num_iterations=1,
        importance_sampling_level="token",
        mask_truncated_completions=False,
        vllm_importance_sampling_correction=False,
        top_entropy_quantile=1.0,
        disable_dropout=True,
        # sampling (our engine draws; TRL divides its logits by the temperature)
        num_generations=config.group_size,
        temperature=config.temperature,
        top_p=1.0,
        top_k=0,
        max_completion_length=config.max_new_tokens,
        # exactly one generation and one update a step, over the schedule in its order
        max_steps=config.steps,
        num_train_epochs=1,
        shuffle_dataset=False,
        per_device_train_batch_size=batches.micro_batch,
        steps_per_generation=batches.passes,
        gradient_accumulation_steps=batches.passes,
        # the optimiser
        optim="adamw_torch_fused",
        learning_rate=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        max_grad_norm=config.optim.max_grad_norm,
        lr_scheduler_type="constant",
        warmup_steps=0,
        bf16=config.bf16,
        fp16=False,
        gradient_checkpointing=config.gradient_checkpointing,
        # the run
        seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # the monitor decides
        eval_strategy="no",
        report_to=list(config.report_to) or "none",
        run_name=config.run.resolve().name,
        disable_tqdm=True,
        push_to_hub=False,
    )


def eval_settings(config: TrainConfig, problems: Sequence[Problem]) -> dict[str, Any]:
    """What decides the results of an evaluation set, as far as it is known before the model is loaded.

    Args:
        config: the run's configuration.
        problems: the set, whatever fits.
    """
    return {
        "samples": config.eval.samples,
        **asdict(eval_sampling(config)),
        "seed": config.seed,
        "extraction": config.verify.extraction,
        "dtype": config.model.dtype,
        "chat_template": config.model.chat_template,
        "set": hash_problems(problems),
    }


def _saturation(config: TrainConfig, run: Session, held_out: Mapping[str, Sequence[Problem]]) -> OnlineSaturation:
    """Return the online t_sat, brought up to the step a resumed run starts from.

    A held-out score counts if it was measured as it is now; the settings of evaluation may have changed on the way.
    """
    settings = config.stop.deciding
    if not run.done:
        return OnlineSaturation(**settings)
    before = open_run(config.run)
    metric = main_metric(held_out, config)
    now = eval_settings(config, held_out[metric.removeprefix("eval/").rpartition("/")[0]]) if metric else {}
    found = comparable_scores(before, metric, now, run.done)
    if found.otherwise is not None and run.writer is not None and config.stop.when == "saturated":
        LOG.warning(OTHERWISE, config.run, found.otherwise, found.how)
    saturation = OnlineSaturation.replay(before.train_rewards()[: run.done], found.scores, **settings)
    saturation.note_otherwise(found.otherwise)
    return saturation


def _kept(config: TrainConfig, done: int) -> str | None:
    """Return why a resumed run was stopped at step `done`, where that decision was kept and holds.

    It holds, however many steps the run is now to have, unless the settings that decided are changed; then, as where
    none was kept, the log up to `done` is judged by the settings there are.
    """
    kept = stop_of(config.run)
    if kept is None or kept.step != done:
        return None
    same = config.stop.when == "saturated" and kept.settings == config.stop.deciding
    return kept.reason if same or done >= config.steps else None


def _stay(config: TrainConfig, run: Session, stopped: str | None) -> str | None:
    """Leave a resumed run as it is; returns why it stopped early, if it did."""
    if stopped is None:
        run.leave(config.steps)
    elif run.writer is not None:
        run.writer.nothing_to_do()
        LOG.warning(STAYS, config.run, run.done, stopped)
    return stopped
