"""The engine of a verb that only samples: over a model loaded here, or a server that has the weights."""

from __future__ import annotations

from typing import Any

from presat.config.schema import EvalConfig, SampleConfig
from presat.models import load_model_and_tokenizer
from presat.models.loading import load_tokenizer
from presat.rollouts import make_engine
from presat.rollouts.batching import BatchEngine
from presat.training.problems import describe_model


def open_engine(config: EvalConfig | SampleConfig, name: str) -> tuple[BatchEngine, dict[str, Any]]:
    """Return the engine and what provenance says about the model.

    Args:
        config: the verb's settings.
        name: the model; with `engine: server` only its tokenizer is read.

    Raises:
        ConfigError: the engine cannot run here.
        ModelError: the model cannot be loaded, or the server does not answer.
    """
    if config.engine == "server":
        from presat.rollouts.server import ServerEngine

        engine = ServerEngine(load_tokenizer(name, template=config.model.chat_template), config.server)
        return engine, {"name": f"{engine.served} at {config.server.url}"}
    settings = config.model
    model, tokenizer = load_model_and_tokenizer(
        name, settings.dtype, settings.attention, template=settings.chat_template
    )
    return make_engine(model, tokenizer, config.engine), describe_model(model)
