"""What CPT and SFT share: TRL's SFTTrainer over rows tokenised once, written to a run directory.

The whole schedule of rows is laid out before training as a one-epoch data set read in order, so a resumed run sees
exactly the rows the unbroken one would have seen.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook)

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from presat.config.schema import SupervisedConfig
from presat.errors import ConfigError, RunError
from presat.training.optim import make_optimizer, make_schedule

IGNORED = -100
"""Label of tokens that carry no loss."""


@dataclass(frozen=True)
class Row:
    """One tokenised sequence; `labels` are `IGNORED` where there is no loss."""

    input_ids: np.ndarray
    labels: np.ndarray


def as_dataset(rows: Sequence[Row], order: Sequence[int]) -> Dataset:
    """Return the rows in the order training reads them, as the kind of data set TRL takes."""
    columns = {
        "input_ids": [rows[index].input_ids for index in order],
        "labels": [rows[index].labels for index in order],
    }
    return Dataset.from_dict(columns)


def row(prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> Row:
    """Return a row whose loss is on the completion only (on everything when there is no prompt)."""
    labels = [IGNORED] * len(prompt_ids) + list(completion_ids)
    return Row(np.array([*prompt_ids, *completion_ids], dtype=np.int64), np.array(labels, dtype=np.int64))


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


def schedule_rows(count: int, needed: int, seed: int) -> list[int]:
    """Return `needed` row indices: one shuffled pass over `count` rows after another."""
    passes = math.ceil(needed / count)
    return np.concatenate([np.random.default_rng([seed, p]).permutation(count) for p in range(passes)])[
        :needed
    ].tolist()


def bits_per_token(model: Any, rows: Sequence[Row], pad_id: int, batch: int = 32) -> float:
    """Return the mean cross-entropy of the labelled tokens of `rows`, in bits."""
    collate, total, tokens = Collate(pad_id), 0.0, 0
    training = model.training
    model.eval()
    with torch.inference_mode():
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


def fit(
    config: SupervisedConfig, model: Any, tokenizer: Any, rows: Sequence[Row], steps: int, batch: int, writer: Any
) -> Path:
    """Train `model` on `rows` for `steps` updates of `batch` rows; return the final checkpoint.

    Args:
        config: optimiser, checkpoints, resume.
        model: a causal language model.
        tokenizer: its tokenizer, saved with every checkpoint.
        rows: the tokenised data.
        steps: updates.
        batch: rows an update, over all processes.
        writer: the run directory's writer.

    Raises:
        ConfigError: `batch` is not a multiple of the rows all processes take at once.
        RunError: the loss is not a number.
    """
    run = Path(writer.path)
    folder = run / "checkpoints"
    micro = min(config.micro_batch, batch)
    at_once = micro * int(os.environ.get("WORLD_SIZE", "1"))
    if batch % at_once:
        raise ConfigError(f"batch ({batch}) must be a multiple of micro_batch x processes ({at_once}).")
    arguments = SFTConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // at_once,
        max_grad_norm=config.optim.max_grad_norm,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        save_strategy="steps" if config.save_every else "no",
        save_steps=config.save_every or steps,
        logging_steps=min(config.log_every, steps),
        logging_nan_inf_filter=False,
        seed=config.seed,
        report_to=config.report_to or "none",
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        max_length=None,
    )
    optimizer = make_optimizer(model, config.optim)
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=as_dataset(rows, schedule_rows(len(rows), steps * batch, config.seed)),
        data_collator=Collate(tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=[_Log(writer), _Checkpoints(folder, config.keep_checkpoints)],
        optimizers=(optimizer, make_schedule(optimizer, steps, config.optim)),
    )
    trainer.remove_callback(_printer())
    last = newest_checkpoint(folder) if config.resume else None
    if last is not None:
        writer.truncate_after(step_of(last))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return save_final(trainer, tokenizer, folder / f"step_{steps}")


def save_final(trainer: Any, tokenizer: Any, target: Path) -> Path:
    """Save model and tokenizer as `target` unless a checkpoint of that step is already there."""
    if not target.is_dir():
        part = target.with_name(target.name + ".part")
        trainer.save_model(str(part))
        tokenizer.save_pretrained(part)
        if trainer.is_world_process_zero():
            part.rename(target)
    return target


def step_of(checkpoint: Path) -> int:
    """The step a `step_N` folder was saved at."""
    return int(checkpoint.name.removeprefix("step_"))


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest `step_N` of `folder` that training can go on from; None when there is none."""
    complete = [path for path in folder.glob("step_*") if (path / "trainer_state.json").is_file()]
    return max(complete, key=step_of, default=None)


def set_threads(threads: int) -> None:
    """Use `threads` CPU threads; 0 leaves torch's choice."""
    if threads:
        torch.set_num_threads(threads)


def _printer() -> type:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


class _Log(TrainerCallback):
    """Writes TRL's logs to the run directory and stops on a loss that is not a number."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Append the numbers of `logs` at the current step."""
        values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if state.is_world_process_zero:
            self.writer.append(state.global_step, values)
        if not math.isfinite(values.get("loss", 0.0)):
            raise RunError(
                f"The loss became {values['loss']} at step {state.global_step}. Lower `optim.lr` and go on from the "
                "last checkpoint with `resume: true`."
            )


class _Checkpoints(TrainerCallback):
    """Gives a complete checkpoint its name (`step_N`, atomically) and removes the oldest ones."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Rename TRL's `checkpoint-N` and rotate."""
        if not state.is_world_process_zero:
            return
        target = self.folder / f"step_{state.global_step}"
        shutil.rmtree(target, ignore_errors=True)
        (self.folder / f"checkpoint-{state.global_step}").rename(target)
        steps = sorted(self.folder.glob("step_*"), key=step_of)
        for old in steps[: -self.keep] if self.keep else []:
            shutil.rmtree(old)
