"""The alarms of `presat diagnose` in a stock TRL script, while it trains, with a stop if asked for.

    GRPOTrainer(..., callbacks=[AlarmCallback(stop=True)])

Judged is what the trainer logs, by `presat.diagnosis.alarms`; saved responses are left to `presat diagnose OUTPUT_DIR`.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook)

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from presat.diagnosis.alarms import SEVERITIES, Alarm, alarms
from presat.errors import ConfigError
from presat.tracking import Run
from presat.tracking.readers.build import Log, run_of
from presat.tracking.readers.trl import name_sets

LOG = logging.getLogger("presat")


class AlarmCallback(TrainerCallback, ExportableState):
    """Says once of every alarm that is raised, logs it as `alarms/NAME`, and ends training at a critical one if asked.

    Args:
        stop: stop (and save) once a critical alarm was raised at `patience` looks in a row.
        every: logged steps between two looks.
        patience: looks; one may be a bad moment.

    Attributes:
        raised: the alarms of the last look.
        stop_reason: why the run was stopped, as a sentence.

    Raises:
        ConfigError: `every` or `patience` is below 1.
    """

    def __init__(self, stop: bool = False, every: int = 10, patience: int = 2) -> None:
        if min(every, patience) < 1:
            raise ConfigError(f"`every` and `patience` must be at least 1; they are {every} and {patience}.")
        self.stop, self.every, self.patience = stop, every, patience
        self.raised: list[Alarm] = []
        self.stop_reason: str | None = None
        self._said: set[str] = set()
        self._critical: dict[str, int] = {}

    def state(self) -> dict[str, Any]:
        """What the trainer keeps of this in a checkpoint: the settings, and the reason of a stop."""
        settings = {"stop": self.stop, "every": self.every, "patience": self.patience}
        return {"args": settings, "attributes": {"stop_reason": self.stop_reason}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start anew; what a resumed run has logged is judged with the next line."""
        self.raised, self.stop_reason, self._critical = [], None, {}
        self._said = {
            name.removeprefix("alarms/") for line in state.log_history for name in line if name.startswith("alarms/")
        }

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Look at the run so far at every `every`-th line of training."""
        lines = sum("reward" in line for line in state.log_history)
        if not logs or "reward" not in logs or lines % self.every:
            return
        self.raised = [alarm for alarm in alarms(_run(args, state), live=True) if alarm.severity != SEVERITIES[-1]]
        found = {f"alarms/{alarm.name}": 1.0 for alarm in self.raised}
        logs.update(found)
        state.log_history[-1].update(found)
        for alarm in self.raised:
            if alarm.name not in self._said:
                self._said.add(alarm.name)
                LOG.warning("Alarm (%s): %s %s", alarm.severity, alarm.sentence, alarm.remedy.text)
        critical = [alarm for alarm in self.raised if alarm.severity == SEVERITIES[0]]
        self._critical = {alarm.name: self._critical.get(alarm.name, 0) + 1 for alarm in critical}
        lasting = [alarm for alarm in critical if self._critical[alarm.name] >= self.patience]
        if self.stop and lasting:
            self.stop_reason = lasting[0].sentence
            control.should_training_stop = control.should_save = True
            LOG.warning("Training stops at step %d: %s", state.global_step, self.stop_reason)


def _run(args: Any, state: Any) -> Run:
    """The run as its log tells it so far."""
    rows = [(None, name_sets(row)) for row in state.log_history if "train_runtime" not in row]
    run = run_of(Log(Path(args.output_dir), "trl", rows))
    run.config = {"max_steps": state.max_steps, "beta": getattr(args, "beta", None)}
    return run
