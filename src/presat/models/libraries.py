"""Keeps TRL's, transformers' and accelerate's own bars and notes off the terminal while presat shows its own."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

_NAMES = ("trl", "accelerate", "datasets")


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars, notes and deprecation notices inside the block; errors still show."""
    from transformers.utils import logging as transformers_logging

    levels = {name: logging.getLogger(name).level for name in _NAMES}
    verbosity = transformers_logging.get_verbosity()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    for name in _NAMES:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # PEFT, where an adapter's base is an adapter itself; ours leave the vocabulary as it is
            warnings.filterwarnings("ignore", "Could not find a config file in", UserWarning)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide transformers' progress bars, and its and torch's advice while loading."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Give what the system refuses while weights are written to `folder` its own name, which safetensors takes away.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{folder} cannot be written ({error})") from error
