"""The loss of supervised training through passes without padding, in place of the model's forward, where they fit."""

from __future__ import annotations

from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

from presat.models.examples import IGNORED
from presat.training.passes.decoder import layout_logprobs
from presat.training.passes.layout import pack_texts


class Packed:
    """Stands for a model where TRL asks it for the log-probabilities of labels.

    Args:
        model: a model that fits `presat.training.passes`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(
        self, input_ids: torch.Tensor, labels: torch.Tensor, attention_mask: torch.Tensor, **_: Any
    ) -> FusedCausalLMOutput:
        """Return what TRL's head returns: of each label but a row's first, 0 where it is ignored.

        Args:
            input_ids: rows padded on the right.
            labels: of the same tokens.
            attention_mask: 1 at tokens.
        """
        scored = labels != IGNORED
        scored[:, 0] = False
        layout = pack_texts(input_ids.numpy(), attention_mask.sum(1).numpy(), scored.numpy())
        logprobs_N, entropies_N, first_N = layout_logprobs(self.model, layout)
        at = (layout.rows, layout.columns - 1)
        empty = logprobs_N.new_zeros(labels[:, 1:].shape)
        return FusedCausalLMOutput(
            log_probs=empty.index_put(at, logprobs_N),
            entropy=empty.index_put(at, entropies_N),
            is_top1=empty.bool().index_put(at, first_N),
            label_mask=scored[:, 1:],
        )
