"""Trackers (`report_to`): callbacks of transformers, which are told what our log holds, under the run's name and ours.

Most of them put `train/` before every name that does not begin with `eval_`, so that `eval/math/avg@16` would come as
`train/eval/math/avg@16` and `train_runtime` as `train/train_runtime`. A value that is not known is left out: some
trackers refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
    get_available_reporting_integrations,
)

from presat.errors import ConfigError, nearest

TENSORBOARD = "tensorboard"
"""Folder of a run directory that TensorBoard's files are in."""
_COMMON = ("trackio", "wandb", "tensorboard", "mlflow")
"""Trackers whose package has their name."""
_PREFIXING = ("comet_ml", "neptune", "swanlab", "tensorboard", "trackio", "wandb")
"""Trackers that put `train/` before names."""
_SUMMARISING = ("neptune", "swanlab", "trackio", "wandb")
"""Those among them that know what the trainer says at its end by its own names."""
_AT_THE_END = {
    "train_runtime": "runtime",
    "train_samples_per_second": "samples_per_second",
    "train_steps_per_second": "steps_per_second",
    "train_loss": "mean_loss",  # `loss` is that of a step
}


def refuse_missing_trackers(names: list[str]) -> None:
    """Refuse what the trainer would only notice once the model is loaded, with an error of its own.

    Raises:
        ConfigError: a tracker is not known, or not installed.
    """
    for name in names:
        if name in ("all", "none"):  # words of transformers
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            raise ConfigError(f"There is no tracker '{name}' (`report_to`).{nearest(name, INTEGRATION_TO_CALLBACK)}")
        if name in get_available_reporting_integrations():
            continue
        if name in _COMMON:
            raise ConfigError(
                f"The tracker {name} is not installed (`report_to`): `pip install {name}`, or leave it out."
            )
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"The tracker {name} cannot be used (`report_to`): {error} Install what it needs, or leave it out."
            ) from error


def prepare_trackers(trainer: Any, run: Path) -> None:
    """Have a trainer's trackers told our names, and have their files stay in the run directory.

    Args:
        trainer: the trainer, its trackers among its callbacks.
        run: the run directory.
    """
    known = {callback: name for name, callback in INTEGRATION_TO_CALLBACK.items()}
    for callback in trainer.callback_handler.callbacks:
        name = known.get(type(callback))
        if name is None:
            continue
        callback.on_log = _renaming(callback.on_log, name)
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(run / TENSORBOARD)


def tell_trackers(trainer: Any, metrics: Mapping[str, float | None]) -> None:
    """Tell the trackers what was measured beside the training steps; the run's own log has it from elsewhere.

    The trainer's own `log` would take what waits for the line of the step with it.
    """
    if metrics:
        trainer.callback_handler.on_log(trainer.args, trainer.state, trainer.control, dict(metrics))


def named_for(tracker: str, logs: Mapping[str, Any]) -> dict[str, Any]:
    """The known values of a line under the names that come out as ours."""
    found = {name: value for name, value in logs.items() if value is not None and not _is_nan(value)}
    if tracker not in _PREFIXING:
        return found
    at_the_end = {} if tracker in _SUMMARISING else _AT_THE_END
    return {_unprefixed(at_the_end.get(name, name)): value for name, value in found.items()}


def _unprefixed(name: str) -> str:
    return f"eval_{name.removeprefix('eval/')}" if name.startswith("eval/") else name


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _renaming(on_log: Callable[..., Any], tracker: str) -> Callable[..., Any]:
    def renamed(args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> Any:
        return on_log(args, state, control, logs=named_for(tracker, logs or {}), **others)

    return renamed
