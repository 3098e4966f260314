"""`presat init MODEL DATA`: a first configuration for `train`, with a comment on every line.

It holds what the data and the model's name say, and as comments the settings that people change most. No weights are
loaded.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presat.config.load import settings_of
from presat.config.schema import InitConfig, TaskConfig, TrainConfig, VerifyConfig
from presat.config.unused import refuse_unused
from presat.config.yamls import dump_inline
from presat.errors import ConfigError
from presat.evaluation.inspect import MOST_WORKERS, inspect_problems
from presat.outputs import Maker
from presat.tasks import load_problems
from presat.tasks.cells import field_names
from presat.tasks.doubts import doubts_of
from presat.tasks.inputs import inputs_of
from presat.tasks.rows import repeats_of
from presat.tasks.shared import count_shared
from presat.text import printable
from presat.types import Problem
from presat.verify import Verifier

INIT = Maker("presat init")
"""It knows no file as its own: what it wrote is a person's from then on."""
LOOKED_AT = 256
"""Problems that are inspected: to check every gold answer of a large file takes minutes."""
RATE, SMALL_RATE, TINY_RATE = 1e-6, 1e-5, 2e-4
"""Learning rates: the paper's, for 1.5B and more, which moves a smaller model too little to see; and the lab's."""
SMALL, TINY = 1e9, 1e7
"""Parameters below which these take its place."""
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_TUNED = re.compile(r"instruct|chat|think|(?<![a-z])(?:it|sft|rl)(?![a-z])|r1|qwq", re.IGNORECASE)
_OFFERED = (
    "verify.extraction", "steps", "prompts_per_step", "group_size", "micro_batch", "max_prompt_tokens",
    "max_new_tokens", "temperature", "save_every", "seed", "bf16", "gradient_checkpointing", "engine",
)  # fmt: skip
"""Settings that stand in the file as comments."""


@dataclass(frozen=True)
class FirstConfig:
    """What `presat init` wrote.

    Attributes:
        out: the file.
        said: what was found and what to do next, a sentence each.
    """

    out: Path
    said: list[str]

    def to_json(self) -> dict[str, Any]:
        """The file and the sentences as plain data."""
        return {"out": str(self.out), "said": self.said}


@dataclass(frozen=True)
class _Data:
    """What a source of problems holds: the problems, the sentence about them, and whether any has a gold answer."""

    problems: list[Problem]
    sentence: str
    labelled: bool


def run_init(config: InitConfig) -> FirstConfig:
    """Look at the data and the model's name and write the file.

    Raises:
        ConfigError: no model or data was named, or the file to write is there.
        DataError: the data cannot be read.
    """
    refuse_unused(config)
    if not config.model or not config.data:
        raise ConfigError("Which model, and which data? `presat init MODEL DATA` takes a name or folder, and a file.")
    sources = [config.data, *([config.held_out] if config.held_out else [])]
    inputs = [path for source in sources for path in inputs_of(TaskConfig(source=source))]
    if os.path.lexists(config.out):
        raise ConfigError(f"{printable(str(config.out))} is there, and is left as it is: give another `--out`.")
    INIT.check([config.out], inputs)
    data, *held_out = [_look(source) for source in sources]
    overlap = _overlap(held_out[0].problems, data.problems) if held_out else ""
    INIT.write_text(config.out, first_config(config, data.sentence, data.labelled, overlap), inputs)
    said = [f"{source}: {found.sentence}." for source, found in zip(sources, [data, *held_out], strict=True)]
    for source, found in zip(sources, [data, *held_out], strict=True):
        said += [f"{source}: {sentence}" for sentence in doubts_of(found.problems).sentences]
    if not data.labelled:
        said.append(_unlabelled(config.data, data.problems))
    if overlap:
        said.append(f"{config.held_out} against {config.data}: {overlap}.")
    if not held_out:
        said.append("No held-out problems: without them there is no verdict. Fill in `eval`, or start with --held-out.")
    return FirstConfig(config.out, [*said, f"Written to {config.out}. Next: presat train --config {config.out}"])


def _look(source: str) -> _Data:
    """Load a source and inspect the first of its problems."""
    problems = load_problems(source)
    with Verifier(VerifyConfig().extraction, min(os.cpu_count() or 1, MOST_WORKERS)) as verifier:
        found = inspect_problems(problems[:LOOKED_AT], verifier, source)
    first = f", of the first {found.problems}" if len(problems) > found.problems else ","
    golds = f"{found.with_gold} with a gold answer, {found.gold_right} of which verify against themselves"
    rows = sum(map(repeats_of, problems))
    of = f" (of {rows} rows)" if rows > len(problems) else ""
    return _Data(problems, f"{len(problems)} problems{of}{first} {golds}", bool(found.with_gold))


def _unlabelled(source: str, problems: list[Problem]) -> str:
    """Say that the reward needs no gold answers since there are none, and where they may be."""
    names = dict.fromkeys(name for problem in problems for name in problem.metadata if name != "repeats")
    said = f"No gold answers were found in {source}, so the reward is majority_vote, which needs none."
    if {"chosen", "rejected"} <= names.keys():
        return f"{said} Its columns `chosen` and `rejected` look like preference data, which nothing here trains on."
    where = f" Are they in one of its other columns ({field_names(names)})? Name it in `data.columns`."
    return said + where if names else said


def _overlap(held_out: list[Problem], trained: list[Problem]) -> str:
    """Say how many held-out problems are trained on; empty where none is."""
    shared = count_shared(held_out, trained)
    said = f"{shared} of {len(held_out)} questions {'is' if shared == 1 else 'are'} in both: give other problems"
    return said if shared else ""


def first_config(config: InitConfig, said: str, labelled: bool, overlap: str = "") -> str:
    """Return the text of the file.

    Args:
        config: the model, the data and where the file will be.
        said: what is to be said of the data.
        labelled: whether it has gold answers.
        overlap: what is to be said of held-out problems that are trained on.
    """
    rate = rate_for(size_of(config.model))
    source = "verifiable" if labelled else "majority_vote"
    why = "also majority_vote, self_certainty, ...: docs/rewards.md" if labelled else "there are no gold answers"
    lines = [
        "# GRPO, with the paper's objective. Behind a #: what people change most. docs/reference.md has all settings.",
        f"#   presat train --config {config.out} --dry-run    # the resolved configuration, nothing run",
        f"#   presat train --config {config.out}              # --resume goes on after a crash",
        f"#   presat watch runs/{config.out.stem}",
        f"#   presat report runs/{config.out.stem}",
        f"run: {_value(f'runs/{config.out.stem}')}",
        "model:",
        f"  name: {_value(config.model)}",
    ]
    if not _TUNED.search(config.model):
        lines.append("  # chat_template: CHAT_MODEL # for a base model without one: a model whose template to use")
    lines += [
        "data:",
        f"  source: {_value(config.data)} # {said}",
        "  # prompt: thinking # asks for <think> and </think>; then also gate: think, below",
        "reward:",
        f"  source: {source} # {why}",
        "  # gate: think # what fails the format earns 0",
        *_evaluation(config, overlap),
        "optim:",
        f"  lr: {_value(rate)} # {'' if rate == RATE else 'for a small model; '}the paper's 1e-6 is for 1.5B to 8B",
        "# lora: {rank: 16, alpha: 32} # adapters in place of all weights; takes a higher lr, 5.0e-5 for instance",
        "# stop: {when: saturated} # stop once reward and held-out score are flat",
    ]
    return "\n".join([*lines, *map(_offered, _OFFERED), ""])


def _evaluation(config: InitConfig, overlap: str) -> list[str]:
    if not config.held_out:
        return ["# eval: {every: 25, samples: 16, sets: [HELD_OUT_FILE]} # a verdict needs problems not trained on"]
    return [
        "eval:",
        "  sets: # problems not trained on; benchmark/math500 and the like too",
        f"    - {{name: held_out, source: {_value(config.held_out)}}}{f' # {overlap}' if overlap else ''}",
        "  # every: 25 # and at step 0 and at the end",
        "  # samples: 16 # responses per problem: avg@16, pass@16",
    ]


def _offered(name: str) -> str:
    """A setting at its default, as a comment, with the first sentence of its help."""
    field = dict(settings_of(TrainConfig))[name]
    meaning = " ".join((field.description or "").split()).partition(". ")[0].removesuffix(".")
    group, _, key = name.rpartition(".")
    value = _value(field.get_default(call_default_factory=True))
    return f"# {group}: {{{key}: {value}}} # {meaning}" if group else f"# {key}: {value} # {meaning}"


def _value(value: Any) -> str:
    return dump_inline(value)


def rate_for(parameters: float | None) -> float:
    """The learning rate to begin with for a model of so many parameters; None is as good as many."""
    if parameters is None or parameters >= SMALL:
        return RATE
    return SMALL_RATE if parameters >= TINY else TINY_RATE


def size_of(model: str) -> float | None:
    """Parameters of a model as its name says them (`Qwen2.5-1.5B`, `smollm2-135m`); None where it does not."""
    found = _SIZE.findall(Path(model).name) or _SIZE.findall(model)
    number, unit = found[-1] if found else ("", "")
    return float(number) * (1e9 if unit.lower() == "b" else 1e6) if number else None
