"""The demo as a study: the 2 x 2 of section 4, and the models that were tried on the way to it.

A base model that cannot recall is made again from another seed; Thinking SFT is made again with one epoch more until
enough of its traces on short training chains are valid: how many epochs a model needs to take up the format differs by
seed. Long chains, which RL is about, are not looked at. So the grid grows by what is measured (`presat.demo.measure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from presat.config.load import build
from presat.config.schema import DemoConfig, Settings, StudyConfig
from presat.errors import RunError

BRANCHES = {
    "CPT + Thinking": ("cpt", "thinking"),
    "Base + Thinking": ("base", "thinking"),
    "CPT + Non-Thinking": ("cpt", "non_thinking"),
    "Base + Non-Thinking": ("base", "non_thinking"),
}
"""What each model was pre-trained on, and what SFT showed it."""
MODEL = "model"
"""The study's axis."""
MAX_ATTEMPTS = 5
"""Base models made before giving up."""
SOLVE_SAMPLES = 16
_ANEW = 1000
"""How far the seeds of two base models are apart."""
_AFTER_PRETRAINING = ("cpt", "sft", "filter", "subset", "train")
_RL = ("filter", "subset", "train")


def study_of(config: DemoConfig, measured: Mapping[str, float]) -> StudyConfig:
    """Return the demo's study, as far as it is known.

    Args:
        config: the demo.
        measured: by the labels of models that are there: how well a base model recalls, how many traces are valid.

    Raises:
        RunError: no base model learned to recall.
    """
    return build(
        StudyConfig,
        {
            "study": "demo",
            "out": str(config.out),
            "workers": config.workers,
            "base": _base(config),
            "axes": {MODEL: _models(config, measured)},
        },
    )


def slug(branch: str) -> str:
    """The branch's folder name."""
    return branch.lower().replace(" + ", "_").replace("-", "_")


def base_label(attempt: int) -> str:
    """What a base model is called."""
    return f"base {attempt}"


def tried_label(branch: str, epochs: int) -> str:
    """What a Thinking model is called before it is known whether it is the one."""
    return f"{branch}, {epochs} epochs"


def attempts(config: DemoConfig, measured: Mapping[str, float]) -> int:
    """Return which base model is the one, or the next to be tried.

    Raises:
        RunError: none of them learned to recall.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        if measured.get(base_label(attempt), 1.0) >= config.min_recall:
            return attempt
    raise RunError(
        f"None of {MAX_ATTEMPTS} base models learned to recall (the last: {measured[base_label(MAX_ATTEMPTS)]:.2f}, "
        f"needed: {config.min_recall}). Choose another --seed."
    )


def epochs_of(config: DemoConfig, branch: str, measured: Mapping[str, float]) -> int:
    """Return how many epochs of SFT a model had, or is to have next."""
    first = round(getattr(config, BRANCHES[branch][1]).epochs)
    if BRANCHES[branch][1] != "thinking":
        return first
    tried = range(first, config.max_epochs + 1)
    enough = (n for n in tried if measured.get(tried_label(branch, n), 1.0) >= config.min_valid)
    return next(enough, config.max_epochs)


def _models(config: DemoConfig, measured: Mapping[str, float]) -> dict[str, Any]:
    """The values of the axis: what each model changes."""
    attempt = attempts(config, measured)
    made: dict[str, Any] = {}
    for number in range(1, attempt + 1):
        made[base_label(number)] = _of_base(config, number) | dict.fromkeys(_AFTER_PRETRAINING)
    if base_label(attempt) not in measured:
        return made
    for branch, (origin, style) in BRANCHES.items():
        epochs = epochs_of(config, branch, measured)
        common = _of_base(config, attempt) | ({} if origin == "cpt" else {"cpt": None})
        sft = _block(config, getattr(config, style))
        if style != "thinking":
            made[branch] = common | {"sft": sft}
            continue
        for number in range(round(config.thinking.epochs), epochs + 1):
            made[tried_label(branch, number)] = common | {"sft": sft | {"epochs": number}} | dict.fromkeys(_RL)
        if tried_label(branch, epochs) in measured:
            gated = {"train.reward.gate": config.thinking_gate}
            made[branch] = common | {"sft": sft | {"epochs": epochs}} | gated
    return made


def _base(config: DemoConfig) -> dict[str, Any]:
    """What all models have in common."""
    rl = _block(config, config.rl)
    rl.pop("data", None)
    alike = ("temperature", "max_new_tokens", "max_prompt_tokens", "verify", "threads")
    draws = {name: rl[name] for name in alike if name in rl}
    candidates = config.candidates.model_dump(mode="json", exclude_defaults=True) | {"seed": config.seed}
    return {
        "data": candidates,
        "pretrain": _block(config, config.base),
        "cpt": _block(config, config.cpt),
        # by position and at once, as the numbers of docs/lab-log.md were drawn
        "filter": draws | {"samples": SOLVE_SAMPLES, "seed": config.seed, "chunk": config.candidates.count or 1000,
                           "draws_by": "position"},
        "subset": {"n": config.train_problems, "batch": config.train_problems, "mean": config.train_mean,
                   "seed": config.seed},
        "train": rl,
    }  # fmt: skip


def _of_base(config: DemoConfig, attempt: int) -> dict[str, Any]:
    seed = config.seed + _ANEW * (attempt - 1)
    return {"model.name": f"lab/new-s{seed}", "pretrain.seed": seed}


def _block(config: DemoConfig, settings: Settings) -> dict[str, Any]:
    """A stage's settings, with the demo's seed for the model, the data and the sampling."""
    block: dict[str, Any] = settings.model_dump(mode="json", exclude_defaults=True) | {"seed": config.seed}
    for name in ("run", "resume"):
        block.pop(name, None)
    block["data"] = block.get("data", {}) | {"seed": config.seed}
    return block
