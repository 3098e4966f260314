"""The engine of a verb: over a model loaded here, or a server that has the weights or is given them."""

from __future__ import annotations

from typing import Any

from presat.config.schema import CheckConfig, EvalConfig, SampleConfig, SelfSupportConfig, TrainConfig
from presat.errors import ConfigError
from presat.models.loading import open_model, open_tokenizer, to_gpu
from presat.rollouts import make_engine
from presat.rollouts.batching import BatchEngine


def open_engine(config: CheckConfig | EvalConfig | SampleConfig, name: str) -> BatchEngine:
    """Return the engine of a verb that only samples.

    Args:
        config: the verb's settings.
        name: the model; with `engine: server` only its tokenizer is read, unless every checkpoint is evaluated: then
            the server is given this one's weights.

    Raises:
        ConfigError: the engine cannot run here.
        ModelError: the model cannot be loaded, or the server does not answer.
    """
    settings = config.model.model_copy(update={"name": name})
    if config.engine == "server" and not (isinstance(config, EvalConfig) and config.every_checkpoint):
        from presat.rollouts.server import ServerEngine

        return ServerEngine(open_tokenizer(settings), config.server)
    model, tokenizer = open_model(settings)
    # vLLM and a server are given the weights, and a GPU that vLLM shares has no room to spare
    sampled_here = config.engine not in ("vllm", "server")
    return live_engine(config, to_gpu(model) if sampled_here else model, tokenizer)


def scoring_engine(config: SelfSupportConfig) -> BatchEngine:
    """Return an engine that scores given texts.

    Raises:
        ConfigError: it cannot run here, or a server is to score.
        ModelError: the model cannot be loaded.
    """
    if config.engine == "server":
        raise ConfigError("A server does not score given texts: take engine: auto, or vllm in this process.")
    model, tokenizer = open_model(config.model)
    return make_engine(
        model if config.engine == "vllm" else to_gpu(model), tokenizer, config.engine, config.rows, config.vllm
    )


def live_engine(
    config: CheckConfig | EvalConfig | SampleConfig | TrainConfig, model: Any, tokenizer: Any, kind: str | None = None
) -> BatchEngine:
    """Return the engine that samples a model loaded here, whatever becomes of its weights.

    Args:
        config: the verb's settings.
        model: a Hugging Face causal language model.
        tokenizer: its tokenizer.
        kind: the engine, where another than `config.engine` must be taken.

    Raises:
        ConfigError: it cannot run here.
        ModelError: the server does not answer or does not serve the model.
    """
    kind = kind or config.engine
    if kind == "server":
        from presat.rollouts.server import ServerEngine

        return ServerEngine(tokenizer, config.server, model, config.server.weights or config.run / "weights")
    return make_engine(model, tokenizer, kind, config.rows, config.vllm)
