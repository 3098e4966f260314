"""presat in a stock TRL `GRPOTrainer` script, one line each: rewards with votes and gates, and the saturation watch.

    GRPOTrainer(..., reward_funcs=TRLReward("majority_vote", gate="think"), callbacks=[SaturationCallback(stop=True)])

TRL hands a reward function the rows of its own process, in which a group may be cut in two. A `TRLReward` gathers the
rows of all processes first, which TRL's sampler lays out group after group, and judges whole groups only; that is the
same fold TRL itself makes of the rewards.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook)

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from presat.config.load import build
from presat.config.schema import Gate, RewardConfig
from presat.errors import ConfigError, DataError, RunError
from presat.evaluation.evaluate import score_groups
from presat.metrics import GOLD_ACCURACY, OnlineSaturation
from presat.models.templates import opens_thinking
from presat.rewards import (
    THINKING_IS_OPEN,
    Outcome,
    Verifiable,
    judge,
    make_reward,
    needs_of,
    with_thinking_open,
)
from presat.rewards.labels import count_labels, label_metrics, true_scores
from presat.rewards.policy import PolicyScorer
from presat.rollouts import seed_for
from presat.rollouts.batching import eos_ids
from presat.tasks.rows import is_labelled, is_verl, problem_of_plain, problem_of_verl
from presat.types import Completion, Problem, Reward, RolloutGroup, Score
from presat.verify import Mode, Verifier

LOG = logging.getLogger("presat")
EVERYBODY = 2**16
"""Votes in a stock trainer, the most that `votes` takes: the responses that train are all there are, and all vote."""
EVAL_GOLD, EVAL_REWARD = f"eval_{GOLD_ACCURACY}", "eval_reward"
_ARGUMENTS = ("prompt", "completion", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")


class TRLReward:
    r"""A TRL reward function over any reward of presat.

    Besides the rewards it logs `labels/gold_accuracy` (where the data set has an answer column), what there is to know
    of a vote, the kinds of groups, and the parts of a weighted sum, under the names of presat's own runs.

    Args:
        source: a reward's name, the user's own (`package.module:name`), a `RewardConfig` or a reward.
        gate: format gate.
        answer: the data set's column with the gold answer; usual names and the verl format are found by themselves.
        domain: how bare questions are verified (`math` when empty); Reasoning Gym rows say it themselves.
        extraction: how an answer is read, a format, or `any`.
        workers: processes that check answers.
        timeout_s: seconds one check may take.
        seed: seed of whatever is random about the reward.
        options: settings of the source.

    Raises:
        ConfigError: unknown source, gate or option.
    """

    def __init__(
        self,
        source: str | RewardConfig | Reward = "verifiable",
        gate: Gate = "none",
        *,
        answer: str = "",
        domain: str = "",
        extraction: Mode = "auto",
        workers: int = 1,
        timeout_s: float = 5.0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if isinstance(source, str):
            given = {"source": source, "gate": gate, "votes": EVERYBODY, "options": options}
            source = build(RewardConfig, given, "the arguments of TRLReward")
        elif gate != "none" or options:
            raise ConfigError("A gate and options go with the name of a reward; what was given has its own.")
        reading = {"extraction": extraction, "workers": workers, "timeout_s": timeout_s}
        self.reward = make_reward(source, seed=seed, **reading) if isinstance(source, RewardConfig) else source
        self.verifier = Verifier(extraction, workers, timeout_s)
        self.answer, self.domain, self.seed = answer, domain, seed
        self.__name__ = self.reward.name  # what TRL logs it under
        self._looked = False

    def __call__(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **columns: Any
    ) -> list[float | None]:
        """Return one reward per row of this process.

        Raises:
            RunError: not called by TRL's trainer, or the rows of all processes are not whole groups.
            DataError: the verifiable reward, and a row without an answer.
        """
        trainer = _trainer_of(columns)
        self._look_at(prompts, trainer)
        rows = self._rows(prompts, completions, completion_ids, columns, trainer)
        groups = self._groups(gather_object(rows), trainer)
        accelerator = trainer.accelerator
        mine = range(accelerator.process_index, len(groups), accelerator.num_processes)
        scores_PN = score_groups(self.verifier, [groups[i] for i in mine])
        truth_PN = true_scores(self.verifier, [groups[i] for i in mine], scores_PN)
        outcomes_P = [judge(self.reward, groups[i], scores) for i, scores in zip(mine, scores_PN, strict=True)]
        judged: list[tuple[int, list[Score], Outcome]] = gather_object(
            list(zip(mine, truth_PN, outcomes_P, strict=True))
        )
        judged.sort(key=lambda item: item[0])
        outcomes = [outcome for _, _, outcome in judged]
        totals = count_labels(groups, [truth for _, truth, _ in judged], outcomes, _group_size(trainer))
        for name, value in label_metrics(totals).items():
            if not math.isnan(value):
                columns["log_metric"](name, value)
        first = accelerator.process_index * len(prompts)
        values = [value for outcome in outcomes for value in outcome.values_N]
        return values[first : first + len(prompts)]

    def _look_at(self, prompts: list[Any], trainer: Any) -> None:
        """Find out once whether the model's template opens `<think>`, where a gate waits for it."""
        if self._looked or not prompts:
            return
        self._looked, opened = True, with_thinking_open(self.reward)
        if opened == self.reward:
            return
        if all(opens_thinking(trainer.processing_class, ids) for ids in trainer._tokenize_prompts(prompts)[0]):
            self.reward = opened
            if trainer.accelerator.process_index == 0:
                LOG.warning(THINKING_IS_OPEN)

    def _rows(
        self, prompts: list[Any], completions: list[Any], ids: list[list[int]], columns: dict[str, Any], trainer: Any
    ) -> list[tuple[Problem, tuple[int, ...], Completion]]:
        """Return (problem, prompt tokens, response) for every row; statistics of the policy are added here, at home."""
        names = [name for name, value in columns.items() if isinstance(value, list) and name not in _ARGUMENTS]
        problems = [
            self._problem({**{name: columns[name][i] for name in names}, "prompt": prompt}, i)
            for i, prompt in enumerate(prompts)
        ]
        ends = _ends(trainer)
        responses = [
            Completion(_text(completion), tuple(tokens), None, bool(tokens) and tokens[-1] in ends)
            for completion, tokens in zip(completions, ids, strict=True)
        ]
        needs = needs_of(self.reward)
        if not needs:
            return [(problem, (), response) for problem, response in zip(problems, responses, strict=True)]
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise RunError(
                f"The reward {self.reward.name} reads the policy's distribution, which needs the whole weights in "
                "every process; this trainer shards them. Train with plain data parallelism, or use another reward."
            )
        encoded = trainer._tokenize_prompts(prompts)[0]
        alone = [
            RolloutGroup(problem, tuple(tokens), (response,))
            for problem, tokens, response in zip(problems, encoded, responses, strict=True)
        ]
        scorer = PolicyScorer(trainer.accelerator.unwrap_model(trainer.model), trainer.args.per_device_train_batch_size)
        return [(one.problem, one.prompt_ids, one.completions[0]) for one in scorer(alone, needs)]

    def _problem(self, row: dict[str, Any], index: int) -> Problem:
        where = f"row {index + 1} of TRL's batch"
        if is_verl(row) and not self.answer:
            problem = problem_of_verl(row, where, self.domain, as_shown=True)
        else:
            columns = {"question": "prompt", "answer": self.answer}
            problem = problem_of_plain(row, where, columns, self.domain, as_shown=True)
        if not is_labelled(problem) and isinstance(self.reward, Verifiable):
            raise DataError(
                f"{where} has no answer, which the verifiable reward needs; its columns are {', '.join(row)}. "
                "Name the answer's column: TRLReward(..., answer=COLUMN)."
            )
        return problem

    def _groups(self, rows: Sequence[tuple[Problem, tuple[int, ...], Completion]], trainer: Any) -> list[RolloutGroup]:
        """Fold the rows of all processes into groups."""
        G = _group_size(trainer)
        cut = [rows[i : i + G] for i in range(0, len(rows), G)]
        if any(len(part) != G or any(p.messages != part[0][0].messages for p, _, _ in part) for part in cut):
            raise RunError(
                f"TRL passed {len(rows)} rows that are not whole groups of {G} responses to one prompt; a vote over "
                "part of a group would be wrong. Check the batch sizes, and that nothing reorders the rows."
            )
        step = trainer.state.global_step
        return [
            RolloutGroup(part[0][0], part[0][1], tuple(c for _, _, c in part), seed_for(self.seed, "trl", step, place))
            for place, part in enumerate(cut)
        ]


def _trainer_of(columns: dict[str, Any]) -> Any:
    """Return the trainer that calls: TRL passes its method `log_metric` along, and no other trace of itself."""
    trainer = getattr(columns.get("log_metric"), "__self__", None)
    if not hasattr(trainer, "num_generations"):
        raise RunError("A TRLReward is called by TRL's GRPOTrainer (1.16 or newer); elsewhere use presat.rewards.")
    return trainer


def _ends(trainer: Any) -> frozenset[int]:
    """Every token that ends a response: the tokenizer's, and all that the model's generation settings name."""
    return frozenset(eos_ids(trainer.model, trainer.processing_class))


def _group_size(trainer: Any) -> int:
    return trainer.num_generations if trainer.model.training else trainer.num_generations_eval


def _text(completion: Any) -> str:
    """Return a response's text; of a conversation the assistant's turns."""
    if isinstance(completion, str):
        return completion
    return "\n".join(turn["content"] for turn in completion if turn["role"] == "assistant")


class SaturationCallback(TrainerCallback, ExportableState):
    """Online t_sat in any GRPO run, gold accuracy beside the reward, and an early stop if asked for.

    `saturation/t_sat` and `saturation/saturated` join the trainer's log (its `log_history`, and what is printed). Where
    the trainer evaluates, it does so before a stop is decided: a held-out score that still rises holds the stop back.
    A stop is kept in the checkpoint it ends with; resumed from there, the run ends again without changing the model.

    Args:
        stop: stop (and save) once the reward has saturated and the held-out score is flat too.
        window: steps of the trailing mean that the reward is judged on.
        patience: steps that must follow t_sat and the best held-out score.
        min_reward: never saturated below this smoothed reward.
        held_out: the logged metric that is the held-out score. None takes true accuracy where it is logged
            (`eval_labels/gold_accuracy`), else the reward on the evaluation set; without either the reward decides.

    Attributes:
        saturation: the online t_sat.
        stop_reason: why the run was stopped, as a sentence.
        stopped_at: the step it was stopped at.
    """

    def __init__(
        self,
        stop: bool = False,
        window: int = 5,
        patience: int = 50,
        min_reward: float = 0.0,
        held_out: str | None = None,
    ) -> None:
        self.stop, self.held_out = stop, held_out
        self._settings = {"window": window, "patience": patience, "min_reward": min_reward}
        self._start_anew()

    def _start_anew(self) -> None:
        self.saturation = OnlineSaturation(**self._settings)
        self.stop_reason: str | None = None
        self.stopped_at: int | None = None
        self._gold: dict[int, float] = {}
        self._knows_gold = False  # whether true accuracy is logged on the evaluation set
        self._asked = False  # for an evaluation before the stop is decided
        self._over = False  # the run had stopped where it is resumed
        self._others = (False, False)  # what the control said before the stop

    def state(self) -> dict[str, Any]:
        """What the trainer keeps of this in a checkpoint: the settings, and the stop if there is one."""
        return {
            "args": {"stop": self.stop, **self._settings, "held_out": self.held_out},
            "attributes": {"stop_reason": self.stop_reason, "stopped_at": self.stopped_at},
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start anew, or from the log of the run that is resumed, which may have been stopped there."""
        self._start_anew()
        for line in state.log_history:
            self._observe(line["step"], line)
        # the checkpoint may be from before this callback was there, and the trainer keeps no state it does not find
        kept = state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        if not (self.stop and state.global_step and isinstance(kept, dict) and kept["args"] == self.state()["args"]):
            return
        if kept["attributes"]["stopped_at"] == state.global_step:
            self.stop_reason, self.stopped_at = kept["attributes"]["stop_reason"], state.global_step
            self._over = control.should_training_stop = True
            LOG.warning("The run was stopped at step %d, so nothing is trained. %s", self.stopped_at, self.stop_reason)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the weights of a run that is over as they are: TRL's loop takes one step before it can be left."""
        if self._over:
            for group in kwargs["optimizer"].param_groups:
                group["lr"] = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave no trace of the step of a run that is over."""
        if self._over:
            control.should_log = control.should_evaluate = control.should_save = False

    on_epoch_end = on_step_end

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Judge saturation at every line with a reward; say so once when the run has saturated, and stop if asked."""
        before = self.saturation.saturated
        if not logs or not self._observe(state.global_step, logs):
            return
        found = {"saturation/saturated": float(self.saturation.saturated), "saturation/t_sat": self.saturation.t_sat}
        logs.update(found)
        state.log_history[-1].update(found)
        if self.saturation.saturated and not before:
            LOG.warning("%s", self._sentence())
        self._asked = False
        if self.stop and self.saturation.stop_reason():
            if args.eval_strategy == "no":
                self._decide(state, control)
            else:
                self._asked = control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Decide on the stop that the evaluation was waited for; the trainer calls this after every set."""
        if self._asked:
            self._decide(state, control)

    def _decide(self, state: Any, control: Any) -> None:
        """Stop, or take a stop back that a later set of the same evaluation speaks against."""
        before, self.stop_reason = self.stop_reason, self.saturation.stop_reason()
        self.stopped_at = state.global_step if self.stop_reason else None
        if self.stop_reason and not before:
            self._others = control.should_training_stop, control.should_save
            control.should_training_stop = control.should_save = True
        elif before and not self.stop_reason:
            control.should_training_stop, control.should_save = self._others

    def _observe(self, step: int, line: dict[str, Any]) -> bool:
        """Note what a log line says; returns whether it is a training step's."""
        self._observe_score(step, line)
        if line.get(GOLD_ACCURACY) is not None:
            self._gold[step] = line[GOLD_ACCURACY]
        reward = line.get("reward")
        if reward is not None:
            self.saturation.observe(step, reward)
        return reward is not None

    def _observe_score(self, step: int, line: dict[str, Any]) -> None:
        """Note the held-out score of a line; once true accuracy was seen, the reward beside it is none."""
        if self.held_out is not None:
            self.saturation.observe_score(step, line.get(self.held_out))
            return
        if not self._knows_gold and line.get(EVAL_GOLD) is not None:
            self._knows_gold = True
            self.saturation.forget_scores()
        self.saturation.observe_score(step, line.get(EVAL_GOLD if self._knows_gold else EVAL_REWARD))

    def _sentence(self) -> str:
        t_sat = self.saturation.t_sat
        said = f"The train reward saturated at step {t_sat} (now {self.saturation.smoothed_reward:.2f})."
        then = [value for step, value in sorted(self._gold.items()) if t_sat and step <= t_sat]
        if then:
            said += f" Gold accuracy was {then[-1]:.2f} then and is {self._gold[max(self._gold)]:.2f} now."
        return said
