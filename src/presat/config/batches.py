"""How a step of GRPO is cut into batches, by its settings alone."""

from __future__ import annotations

from dataclasses import dataclass

from presat.config.schema import TrainConfig
from presat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Batches:
    """How one step is cut up.

    Attributes:
        prompts: prompts a process samples at a step.
        micro_batch: responses a process puts through one forward-backward pass.
        passes: forward-backward passes a step (gradient accumulation); one generation and one update a step.
    """

    prompts: int
    micro_batch: int
    passes: int


def plan_batches(config: TrainConfig, processes: int) -> Batches:
    """Return how a step is cut up over `processes`, or refuse what would split a group over processes.

    Raises:
        ConfigError: `prompts_per_step` does not divide over the processes, or `micro_batch` does not divide a process's
            responses.
    """
    if config.prompts_per_step % processes:
        raise ConfigError(
            f"prompts_per_step is {config.prompts_per_step}, which does not divide over {processes} processes, so a "
            f"group would be split between two of them. Use a multiple of {processes}."
        )
    prompts = config.prompts_per_step // processes
    rows = prompts * config.group_size
    if config.micro_batch < 1 or rows % config.micro_batch:
        fits = max(m for m in range(1, rows + 1) if rows % m == 0 and m <= max(config.micro_batch, 1))
        raise ConfigError(
            f"micro_batch is {config.micro_batch}, which does not divide the {rows} responses a process trains on at a "
            f"step ({prompts} prompts x {config.group_size}). The nearest that does is {fits}."
        )
    return Batches(prompts, config.micro_batch, rows // config.micro_batch)
