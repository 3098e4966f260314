"""What a configuration names is looked for before anything is written: a slip of the pen leaves no run directory.

Nothing is loaded or downloaded here. A run that is resumed is not held up by it: a finished one needs nothing any more.
"""

from __future__ import annotations

from presat.config.schema import CptConfig, SftConfig, TrainConfig
from presat.models.loading import resolve_model
from presat.tasks.corpus import refuse_unknown_corpus
from presat.tasks.load import refuse_unknown_source


def refuse_unknown(config: TrainConfig | CptConfig | SftConfig) -> None:
    """Refuse data and models that are not there, as far as that can be told without loading them.

    Raises:
        ConfigError: there is no lab task, no Reasoning Gym task or no benchmark of that name, or no data is named.
        DataError: there is no such file.
        ModelError: there is no such folder or packaged model.
    """
    if isinstance(config, CptConfig):
        refuse_unknown_corpus(config.data.source)
    else:
        refuse_unknown_source(config.data.source)
    for task in config.eval.sets if isinstance(config, TrainConfig) else ():
        refuse_unknown_source(task.source)
    resolve_model(config.model.name)
