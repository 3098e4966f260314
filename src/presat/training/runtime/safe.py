"""What every trainer of ours adds to TRL's: no update from infinite or undefined numbers, whole checkpoints, resume.

These are the places where transformers offers no callback; `tests/training` holds each of them. How the numbers of a
step's micro-batches become one is in `means.py`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LambdaLR

from presat.errors import RunError, UnfinishedError
from presat.training.runtime.means import TokenMeans


class SafeTrainer(TokenMeans):
    """Mixed in before a TRL trainer (`class Ours(SafeTrainer, SFTTrainer)`)."""

    _bad_loss: float | None = None

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward-backward pass; remembers a loss that is not finite until the update would be made."""
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            self._bad_loss = loss.item()
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        """Return the gradient's norm, the last thing known before an update.

        The check stands here and not in `training_step` because the norm is the same in all processes: they all stop.

        Raises:
            UnfinishedError: the loss or the norm is not finite; the update is not made.
        """
        norm = super()._get_grad_norm(*args, **kwargs)
        what, value = ("gradient norm", norm) if self._bad_loss is None else ("loss", self._bad_loss)
        if value is not None and not math.isfinite(value):
            raise UnfinishedError(
                f"The {what} became {float(value)} at step {self.state.global_step + 1}; the update was not made. The "
                "last checkpoint and the log up to the step before are whole. Choose a lower `optim.lr`."
            )
        return norm

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save, and wait until every process has added its part: then the checkpoint may be given its name.

        Raises:
            UnfinishedError: it cannot be written.
        """
        try:
            super()._save_checkpoint(*args, **kwargs)
        except (OSError, SafetensorError) as error:
            raise UnfinishedError(
                f"Checkpoint {self.state.global_step} cannot be written to {self.args.output_dir} ({error}). "
                "Make room there."
            ) from error
        self.accelerator.wait_for_everyone()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Restore the optimizer's moments and the place in the schedule, but keep the settings this run asks for.

        Left to itself the checkpoint would also bring back the old learning rate, and a lower `optim.lr` no effect.

        Raises:
            RunError: the checkpoint was made by another kind of optimizer.
        """
        optimizer: Any = self.optimizer
        scheduler = self.lr_scheduler
        decays = [group["weight_decay"] for group in getattr(optimizer, "param_groups", [])]
        rates = list(scheduler.base_lrs) if isinstance(scheduler, LambdaLR) else []
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
        except (KeyError, ValueError) as error:
            raise RunError(
                f"The optimizer state in {checkpoint} does not fit the settings under `optim` ({error}). Resume with "
                "the optimizer the run had."
            ) from error
        if checkpoint is None or not isinstance(scheduler, LambdaLR):
            return
        scheduler.base_lrs = rates
        scheduler._last_lr = []
        for group, rate, decay, share in zip(optimizer.param_groups, rates, decays, scheduler.lr_lambdas, strict=True):
            now = rate * share(scheduler.last_epoch)
            group.update(initial_lr=rate, lr=now, weight_decay=decay)
            scheduler._last_lr.append(now)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Leave checkpoints without TRL's README: the run directory says what was done."""
