"""Which settings a verb would not honour, so that it can refuse them instead of running without them.

A setting counts as set where it differs from its default: a resolved configuration (`config.yaml` of a run, the command
line's) names every setting, and asks for nothing by those at their defaults. Settings of a data source are refused by
the source itself (`presat.tasks.load`). Emptying `eval.sets` switches evaluation off, and its other settings with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from presat.config.schema import (
    VOTES,
    CheckConfig,
    CorruptConfig,
    CptConfig,
    EngineConfig,
    EvalConfig,
    InspectConfig,
    ReportConfig,
    SampleConfig,
    Settings,
    SftConfig,
    SubsetConfig,
    SupervisedConfig,
    TracesConfig,
    TrainConfig,
    WatchConfig,
)
from presat.errors import ConfigError


@dataclass(frozen=True)
class Rule:
    """Settings, when they are honoured, and what to say where they are not.

    Attributes:
        names: dotted names; one that names a group stands for all of it.
        honoured: tells from the configuration.
        why: the rest of a sentence: what it belongs to, or why it means nothing.
    """

    names: tuple[str, ...]
    honoured: Callable[[Any], bool]
    why: str


def _never(_: Any) -> bool:
    return False


def _votes(config: TrainConfig) -> bool:
    """Whether some source of the reward takes its number of votes from `reward.votes`."""
    reward = config.reward
    sources = [(part.source, part.options) for part in reward.parts] or [(reward.source, reward.options)]
    return any(source in VOTES and "votes" not in options for source, options in sources)


def _gives_weights(config: Any) -> bool:
    """Whether a server is given weights: in training, and where every checkpoint is evaluated."""
    return isinstance(config, TrainConfig) or getattr(config, "every_checkpoint", False)


_LORA = Rule(
    ("lora.alpha", "lora.dropout", "lora.targets"), lambda c: c.lora.rank > 0, "belongs to LoRA, and `lora.rank` is 0"
)
_UNNAMED = Rule(("data.name",), _never, "names what is logged of an evaluation set, and this verb logs nothing by it")
_REMOTE = Rule(
    ("model.dtype", "model.attention"),
    lambda c: c.engine != "server" or _gives_weights(c),
    "means nothing with `engine: server`, where the tokenizer alone is loaded here",
)

RULES: Mapping[type[Settings], tuple[Rule, ...]] = {
    EngineConfig: (
        Rule(("vllm",), lambda c: c.engine == "vllm", "belongs to `engine: vllm`, and the engine is another"),
        Rule(("server.weights",), _gives_weights, "belongs to verbs that give a server new weights"),
        Rule(("server",), lambda c: c.engine == "server", "belongs to `engine: server`, and the engine is another"),
        Rule(("rows",), lambda c: c.engine != "server", "means nothing to a server, which decides by itself"),
    ),
    SampleConfig: (_REMOTE,),
    CheckConfig: (
        _REMOTE,
        _UNNAMED,
        Rule(("judge_options",), lambda c: c.judge != "none", "belongs to the judge, and there is none"),
    ),
    EvalConfig: (
        _REMOTE,
        Rule(
            ("folder", "prompt", "count"),
            lambda c: bool(c.benchmarks),
            "belongs to `benchmarks`, and none is named; each of `sets` has its own",
        ),
    ),
    TrainConfig: (
        _LORA,
        _UNNAMED,
        Rule(("lora.dropout",), _never, "belongs to CPT and SFT: RL trains without dropout"),
        Rule(("reward.votes",), _votes, "belongs to a reward that holds a vote without a number of its own"),
    ),
    SupervisedConfig: (
        _LORA,
        Rule(("optim.final_lr",), lambda c: c.optim.schedule != "constant", "belongs to a schedule that decays"),
    ),
    CptConfig: (
        Rule(("data.weights",), lambda c: c.data.source.startswith("lab/"), "belongs to the lab's corpora"),
        Rule(
            ("data.text", "data.subset"),
            lambda c: not c.data.source.startswith("lab/"),
            "means nothing to the lab's corpora, which are made on the spot",
        ),
        Rule(
            ("data.seed",),
            lambda c: c.data.source.startswith("lab/") or c.data.held_out_rows > 0,
            "decides which sequences are held out, and `data.held_out_rows` is 0; `seed` orders the data",
        ),
    ),
    SftConfig: (_UNNAMED,),
    CorruptConfig: (_UNNAMED,),
    SubsetConfig: (
        _UNNAMED,
        Rule(("samples",), lambda c: c.counts != "solve", "belongs to bare counts: the column `solve` says it itself"),
    ),
    TracesConfig: (
        _UNNAMED,
        Rule(("model.dtype", "model.attention"), _never, "means nothing here, where the tokenizer alone is loaded"),
    ),
    InspectConfig: (Rule(("name",), _never, _UNNAMED.why),),
    WatchConfig: (Rule(("refresh_s",), lambda c: not c.once, "means nothing with `once`"),),
    ReportConfig: (Rule(("title",), lambda c: "html" in c.formats, "is the page's, and `formats` leaves that out"),),
}
"""What each kind of configuration may be unable to honour; those of a base class go for its subclasses too."""


def refuse_unused(config: Settings) -> None:
    """Refuse a setting that the verb of `config` would silently not honour.

    Raises:
        ConfigError: there is one; the message names it and says what it belongs to.
    """
    given = list(settings_given(config))
    for kind in type(config).__mro__:
        for rule in RULES.get(kind, ()):
            found = [name for name in given if any(f"{name}.".startswith(f"{of}.") for of in rule.names)]
            if found and not rule.honoured(config):
                raise ConfigError(f"`{found[0]}` would do nothing: it {rule.why}. Leave it out.")


def settings_given(config: BaseModel, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the settings that differ from their defaults."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from settings_given(value, f"{prefix}{name}.")
        elif value != default_of(config, name):
            yield f"{prefix}{name}"


def default_of(config: BaseModel, name: str) -> Any:
    """Return the default of a setting."""
    return type(config).model_fields[name].get_default(call_default_factory=True)
