"""What every training verb does around its training: one writer, a progress line, and where a resumed run goes on."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from presat.config.schema import CptConfig, SftConfig, TrainConfig
from presat.config.unused import refuse_unused
from presat.jsons import read_lines
from presat.models.cpu import use_cpu
from presat.models.libraries import quiet_libraries
from presat.tracking import RunWriter
from presat.tracking.checkpoints import checkpoint_step, discard_partial, newest_checkpoint
from presat.tracking.evaluated import METRICS
from presat.tracking.progress import Progress
from presat.tracking.settings import told
from presat.training.runtime.beforehand import refuse_unknown
from presat.training.runtime.launch import launch_notes, process_count, refuse_contradictions
from presat.training.runtime.restore import other_processes, refuse_damaged

LOG = logging.getLogger("presat")
CHANGED = "%s goes on with other settings than it had: %s"
NOTHING_LEFT = "%s has done %d steps of %d: nothing is left to do. To train on, resume it with more steps."


@dataclass(frozen=True)
class Session:
    """A run as one process sees it.

    Attributes:
        checkpoints: the folder checkpoints go to.
        processes: how many processes train together.
        writer: the run directory's writer; None in every process but the first.
        progress: the live progress line; silent in every process but the first.
        resume_from: the checkpoint to go on from; None starts at step 0.
        done: its step.
    """

    checkpoints: Path
    processes: int
    writer: RunWriter | None
    progress: Progress
    resume_from: Path | None
    done: int

    def leave(self, steps: int) -> None:
        """Leave a resumed run that has done all its steps, or more, as it is, and say so."""
        if self.writer is not None:
            self.writer.nothing_to_do()
            LOG.warning(NOTHING_LEFT, self.writer.path, self.done, steps)


@contextlib.contextmanager
def open_session(config: TrainConfig | CptConfig | SftConfig, command: str, quiet: bool) -> Iterator[Session]:
    """Open the run directory and, when resuming, forget everything after the newest complete checkpoint.

    Under `torchrun` process 0 alone writes. Leaving the block records how the run ended. What the user should know
    about the run is logged as a warning, and kept in `provenance.json` as `notes`.

    Args:
        config: the resolved configuration.
        command: the verb.
        quiet: show no progress line.

    Raises:
        ConfigError: a setting would do nothing, or the launcher was told something that contradicts the configuration.
        ConfigError, DataError, ModelError: as `refuse_unknown`, where a run is begun.
        RunError: the directory is busy, cannot be written, or holds a run and `resume` is not set; or the newest
            checkpoint lacks something or is damaged, which leaves the directory as it is.
    """
    refuse_unused(config)
    refuse_contradictions(config)
    if not config.resume:
        refuse_unknown(config)
    first = os.environ.get("RANK", "0") == "0"
    use_cpu(config.threads, config.onednn)
    checkpoints = config.run / "checkpoints"
    resume_from = newest_checkpoint(checkpoints) if config.resume else None
    if resume_from is not None:
        refuse_damaged(resume_from)
        if first and (note := other_processes(resume_from, process_count())):
            LOG.warning("%s", note)
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet_libraries())
        writer = stack.enter_context(RunWriter(config.run, config, command, resume=config.resume)) if first else None
        progress = stack.enter_context(Progress(f"{command} {config.run.name}", quiet or not first))
        progress.phase("loading")
        done = (checkpoint_step(resume_from) or 0) if resume_from else 0
        if writer is not None and config.resume:
            if resume_from is None:
                LOG.warning("%s", _from_the_start(config.run))
            discard_partial(checkpoints)
            writer.truncate_after(done if resume_from else -1)
            if writer.changed and done < (getattr(config, "steps", None) or math.inf):
                LOG.warning(CHANGED, config.run, told(writer.changed))
        if writer is not None and (notes := launch_notes(config)):
            writer.note_provenance(notes=notes)
            for note in notes:
                LOG.warning("%s", note)
        yield Session(checkpoints, process_count(), writer, progress, resume_from, done)


def _from_the_start(run: Path) -> str:
    """Say that a run is resumed which has no checkpoint, and what of it is lost."""
    log = run / METRICS
    steps = [row.get("step") for row in read_lines(log)[0]] if log.is_file() else []
    logged = sum(isinstance(step, int) and step > 0 for step in steps)
    if not logged:
        return f"There is nothing to go on with in {run}: it starts from the beginning."
    return (
        f"There is no checkpoint in {run} to go on from: what it logged ({logged} lines) and its responses are "
        "removed, and it starts from the beginning. `save_every` says how often checkpoints are written."
    )
