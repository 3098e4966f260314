"""What CPT and SFT share: TRL's SFTTrainer over rows tokenised once, written to a run directory.

The whole schedule of rows is laid out before training as a one-epoch data set read in order, so a resumed run sees
exactly the rows the unbroken one would have seen. The rows stay on the disk until a batch needs them: the schedule
alone, 8 bytes a row, is in memory.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from presat.config.schema import CptConfig, SftConfig, SupervisedOptimConfig
from presat.errors import ConfigError
from presat.models.adapters import peft_config
from presat.models.examples import IGNORED, Row
from presat.rollouts.batching import no_gradients
from presat.tracking.checkpoints import complete_checkpoint
from presat.training.passes.decoder import Fit
from presat.training.runtime.safe import SafeTrainer
from presat.training.runtime.session import Session
from presat.training.runtime.trackers import prepare_trackers, tell_trackers
from presat.training.supervised.optim import make_optimizer, make_schedule
from presat.training.supervised.passes import Packed

Metrics = dict[str, float]


class StoredRows(Protocol):
    """Rows that are read, or gathered, when a batch asks for them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def batch(self, columns: Mapping[str, Sequence[int]]) -> dict[str, list[np.ndarray]]:
        """Return `input_ids` and `labels` of the rows listed under `row`."""
        ...


def as_dataset(rows: Sequence[Row] | StoredRows, order: np.ndarray) -> Dataset:
    """Return the rows in the order training reads them, as the kind of data set TRL takes: it holds their numbers."""

    def listed(columns: Mapping[str, Sequence[int]]) -> dict[str, list[np.ndarray]]:
        found = [rows[index] for index in columns["row"]]  # pyright: ignore[reportIndexIssue]
        return {"input_ids": [item.input_ids for item in found], "labels": [item.labels for item in found]}

    read = listed if isinstance(rows, Sequence) else rows.batch
    # a name of its own: to find one, datasets would copy and hash the whole order
    return Dataset(pa.table({"row": order}), fingerprint="schedule").with_transform(read)


class Collate:
    """Pads rows on the right to the longest of a batch."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, torch.Tensor]:
        """Return `input_ids`, `labels` and `attention_mask`, each (rows, longest)."""
        width = max(len(item["input_ids"]) for item in rows)
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        labels = np.full((len(rows), width), IGNORED, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for index, item in enumerate(rows):
            length = len(item["input_ids"])
            ids[index, :length], labels[index, :length], mask[index, :length] = item["input_ids"], item["labels"], 1
        return {
            "input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "attention_mask": torch.from_numpy(mask),
        }


def schedule_rows(count: int, needed: int, seed: int) -> np.ndarray:
    """Return `needed` row indices, int64: one shuffled pass over `count` rows after another."""
    order = np.empty(needed, dtype=np.int64)
    for number, start in enumerate(range(0, needed, count)):
        order[start : start + count] = np.random.default_rng([seed, number]).permutation(count)[: needed - start]
    return order


def bits_per_token(model: Any, rows: Sequence[Row], pad_id: int, batch: int) -> float:
    """Return the mean cross-entropy of the labelled tokens of `rows`, in bits.

    Args:
        model: a causal language model.
        rows: what is measured.
        pad_id: token that fills up shorter rows.
        batch: rows a forward pass. With those of a training pass, what fits in memory while training fits here.
    """
    collate, total, tokens = Collate(pad_id), 0.0, 0
    training = model.training
    model.eval()
    with no_gradients(model):
        for start in range(0, len(rows), batch):
            inputs = {
                key: value.to(model.device)
                for key, value in collate([vars(item) for item in rows[start : start + batch]]).items()
            }
            labels = inputs.pop("labels")[:, 1:]
            logits = model(**inputs).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            ).item()
            tokens += int((labels != IGNORED).sum())
    model.train(training)
    return total / tokens / math.log(2)


class Trainer(SafeTrainer, SFTTrainer):
    """TRL's trainer, made safe, with our optimiser and schedule.

    They are made when training starts: only then does FSDP or DeepSpeed hold the weights as they will be trained.

    Attributes:
        optim: optimiser and schedule.
    """

    token_means = ("entropy", "mean_token_accuracy")
    optim: SupervisedOptimConfig
    _total_train_tokens: int

    @cached_property
    def _fit(self) -> Fit:
        return Fit(self)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of a micro-batch."""
        self.note_tokens((inputs["labels"][:, 1:] != IGNORED).sum())  # the first token of a row is not predicted
        self._total_train_tokens = self.state.num_input_tokens_seen  # kept in checkpoints, as TRL's own count is not
        rows, width = inputs["input_ids"].shape
        taken = Packed(model) if self._fit(model, rows, width, width) else model
        loss = super().compute_loss(cast(nn.Module, taken), inputs, *args, **kwargs)
        self.state.num_input_tokens_seen = self._total_train_tokens
        return loss

    def create_optimizer(self, model: Any = None) -> Any:
        """Return the optimiser over the trainable weights."""
        if self.optimizer is None:
            self.optimizer = make_optimizer(model or cast(nn.Module, self.model), self.optim)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the learning-rate schedule of a run of `num_training_steps` updates."""
        if self.lr_scheduler is None:
            self.lr_scheduler = make_schedule(optimizer or self.optimizer, num_training_steps, self.optim)
        return self.lr_scheduler


def fit(
    config: CptConfig | SftConfig,
    run: Session,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row] | StoredRows,
    steps: int,
    batch: int,
    measure: Callable[[Any], Metrics] = lambda _: {},
    counts: Mapping[str, float] | None = None,
) -> None:
    """Train `model` on `rows` until `steps` updates of `batch` rows are done; the last one ends in a checkpoint.

    Args:
        config: optimiser, checkpoints.
        run: where to write, and the checkpoint to go on from; a run that has done `steps` is left as it is.
        model: a causal language model.
        tokenizer: its tokenizer, saved with every checkpoint.
        rows: the tokenised data.
        steps: updates.
        batch: rows an update, over all processes.
        measure: measures the model it is given, as it is held for training, in every process; what it returns is
            logged at step 0 and at the last step.
        counts: what else is logged at step 0.

    Raises:
        ConfigError: `batch` does not divide over the processes.
        RunError: the loss is not a number, or a checkpoint cannot be written.
    """
    micro = micro_batch(batch, config.micro_batch, run.processes)
    if run.done >= steps:
        run.leave(steps)
        return
    monitor = _Monitor(config, run, steps, measure, counts or {})
    trainer = Trainer(
        model=model,
        args=sft_config(config, run, steps, micro, batch // (micro * run.processes)),
        train_dataset=as_dataset(rows, schedule_rows(len(rows), steps * batch, config.seed)),
        data_collator=Collate(tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=[monitor],
        peft_config=peft_config(model, config.lora),
    )
    trainer.optim, monitor.trainer = config.optim, trainer
    trainer.remove_callback(PrinterCallback)
    prepare_trackers(trainer, config.run)
    trainer.train(resume_from_checkpoint=str(run.resume_from) if run.resume_from else None)


def micro_batch(batch: int, most: int, processes: int) -> int:
    """Return how many rows a process takes at once: the largest number up to `most` that divides its share of `batch`.

    Raises:
        ConfigError: `batch` does not divide over the processes.
    """
    if batch % processes:
        raise ConfigError(f"A batch of {batch} does not divide over {processes} processes: use a multiple of those.")
    share = batch // processes
    return max(rows for rows in range(1, max(1, min(most, share)) + 1) if share % rows == 0)


def sft_config(config: CptConfig | SftConfig, run: Session, steps: int, micro: int, passes: int) -> SFTConfig:
    """Return TRL's settings: the schedule of rows in its order, saving and logging as the monitor decides."""
    return SFTConfig(
        output_dir=str(run.checkpoints),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=passes,
        max_grad_norm=config.optim.max_grad_norm,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        save_strategy="no",  # the monitor decides
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        seed=config.seed,
        report_to=list(config.report_to) or "none",
        run_name=config.run.resolve().name,
        bf16=config.bf16,
        gradient_checkpointing=config.gradient_checkpointing,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        max_length=None,
    )


@dataclass
class _Monitor(TrainerCallback):
    """The run's callback: log lines, checkpoints, progress.

    A line is logged at every checkpoint, so that the lines after it are the same whether the run went on or was
    resumed; what is measured at the end is in the last line, before the last checkpoint has its name. Measuring happens
    in every process: where the weights are split over processes, each is needed for it.
    """

    config: CptConfig | SftConfig
    run: Session
    steps: int
    measure: Callable[[Any], Metrics]
    counts: Mapping[str, float]
    measured: Metrics = field(default_factory=dict)
    trainer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the progress line; measure the model as it comes, unless the run is resumed."""
        self.run.progress.start(state.global_step, self.steps)
        if state.global_step == 0:
            self.run.progress.phase("first evaluation")
            measured = self.measure(kwargs["model"])
            if self.run.writer is not None:
                self.run.writer.append(0, {**self.counts, **measured})
            tell_trackers(self.trainer, {**self.counts, **measured})
        self.run.progress.phase("training")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Decide whether to save, and with it to log; measure at the end."""
        step, every = state.global_step, self.config.save_every
        if step >= self.steps:
            self.run.progress.phase("evaluation")
            self.measured = self.measure(kwargs["model"])
            tell_trackers(self.trainer, self.measured)
        control.should_save = step >= self.steps or (every > 0 and step % every == 0)
        control.should_log |= control.should_save

    def on_log(self, args: Any, state: Any, control: Any, logs: Metrics | None = None, **kwargs: Any) -> None:
        """Write a line: TRL's metrics, and at the end what was measured."""
        state.log_history.clear()  # every checkpoint would hold it anew; the lines are in the log
        if not logs or "loss" not in logs:  # the summary after training
            return
        if self.run.writer is not None:
            self.run.writer.append(state.global_step, {**logs, **self.measured})
        self.run.progress.show(state.global_step, logs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the finished checkpoint its name."""
        if state.is_world_process_zero:
            keep, keep_weights = self.config.keep_checkpoints, self.config.keep_weights
            complete_checkpoint(self.run.checkpoints, state.global_step, keep, keep_weights)
