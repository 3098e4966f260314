"""What the demo measures of a model to decide how it goes on. Nothing is measured twice."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presat.config.schema import DemoConfig
from presat.demo.grid import BRANCHES, MODEL, attempts, base_label, epochs_of, slug, study_of, tried_label
from presat.files import write_atomically
from presat.jsons import read_json
from presat.study import Folder
from presat.study.local import answer_of
from presat.study.standing import Known
from presat.types import Sampling

MEASURED = "measured.json"
CHECK_SAMPLES = 4


class Measurer:
    """Measures models as they come, and grows the study by what it finds.

    Args:
        config: the demo.
    """

    def __init__(self, config: DemoConfig) -> None:
        self.config, self._folder = config, Folder(config.out)
        self.measured: dict[str, float] = {}
        self._kept: dict[str, float] | None = None
        self._cells: dict[str, str] = {}
        self._ready = False

    def grow(self, known: Known) -> Any:
        """Return the study as it is to go on, once another model was measured; else None."""
        self._cells = self._cells or self._read()
        for label, name in self._cells.items():
            if label not in self.measured and known[name][0] == "done":
                self.measured[label] = self._measure(label, name)
                self._cells = {}
                return study_of(self.config, self.measured)
        self._get_ready()
        return None

    def _get_ready(self) -> None:
        """Import what measures while there is nothing to measure."""
        if not self._ready and any(label not in self.measured for label in self._cells):
            threading.Thread(target=importlib.import_module, args=("presat.evaluation.evaluate",), daemon=True).start()
        self._ready = True

    def _read(self) -> dict[str, str]:
        """By label, the cells of models that are to be measured."""
        points = {point.axes[MODEL]: point.cells for point in self._folder.read().points}
        return {label: list(cells.values())[-1] for label, cells in points.items() if label not in BRANCHES}

    def _measure(self, label: str, name: str) -> float:
        kept = self._folder.path / MEASURED
        if self._kept is None:
            self._kept = read_json(kept, dict[str, float])
        asked = name if label.startswith(base_label(0)[:-1]) else f"{name} {self._asked()}"
        if asked not in self._kept:
            run = self._folder.run(name)
            found = recalled(run) if asked == name else valid_share(run, self.config)
            self._kept[asked] = round(found, 4)
            write_atomically(kept, json.dumps(self._kept, indent=1))
        return self._kept[asked]

    def _asked(self) -> str:
        return json.dumps(self.config.short.model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def recalled(run: Path) -> float:
    """How well a base model recalls what it has read: without that nothing after it is learned (see the lab log)."""
    from presat.models import load_model_and_tokenizer
    from presat.models.lab import recall_accuracy

    return recall_accuracy(*load_model_and_tokenizer(str(run), "float32"))


def valid_share(run: Path, config: DemoConfig) -> float:
    """Share of a model's traces on short training chains that are valid."""
    from presat.evaluation import evaluate_problems
    from presat.models import load_model_and_tokenizer
    from presat.rollouts import make_engine
    from presat.tasks import load_problems
    from presat.verify import Verifier

    rl = config.rl
    problems = load_problems(config.short.model_copy(update={"seed": config.seed}))
    sampling = Sampling(rl.temperature, rl.max_new_tokens, rl.max_prompt_tokens)
    with Verifier("boxed") as verifier:
        engine = make_engine(*load_model_and_tokenizer(str(run)))
        found = evaluate_problems(engine, verifier, problems, CHECK_SAMPLES, sampling, config.seed, greedy=False)
    return found.metrics["valid_trace"] or 0.0


def stages_of(config: DemoConfig) -> dict[str, str]:
    """By where a reader finds it (`base`, `cpt_thinking/rl`): the cell of a stage, as far as it is known."""
    points = {point.axes[MODEL]: point.cells for point in Folder(config.out).read().points}
    found: dict[str, str] = {}
    for label, cells in points.items():
        branch = next((branch for branch in BRANCHES if label == branch or label.startswith(f"{branch}, ")), None)
        found |= {stage: cells[of] for stage, of in (("base", "pretrain"), ("cpt", "cpt")) if of in cells}
        if branch:
            own = (("sft", "sft"), ("rl", "train"))
            found |= {f"{slug(branch)}/{stage}": cells[of] for stage, of in own if of in cells}
    return found


def results_of(config: DemoConfig, measured: Mapping[str, float]) -> dict[str, Any]:
    """Each stage in numbers, from the study's folder: what was measured, and which problems were chosen."""
    folder = Folder(config.out)
    points = {point.axes[MODEL]: point.cells for point in folder.read().points}
    attempt = attempts(config, measured)
    base = points[base_label(attempt)]["pretrain"]
    found: dict[str, Any] = {
        "base": {"model": str(folder.run(base)), "recall": measured[base_label(attempt)], "attempts": attempt}
    }
    for branch, (origin, style) in BRANCHES.items():
        cells, epochs = points[branch], epochs_of(config, branch, measured)
        if origin == "cpt":
            found["cpt"] = {"model": str(folder.run(cells["cpt"]))}
        sft: dict[str, Any] = {"model": str(folder.run(cells["sft"])), "epochs": epochs}
        if style == "thinking":
            sft["valid_short"] = measured[tried_label(branch, epochs)]
        kept, chosen = (answer_of(folder.log(cells[stage])) for stage in ("filter", "subset"))
        found[f"{slug(branch)}-sft"] = sft
        found[f"{slug(branch)}-rl"] = {
            "usable": kept["kept"], "candidates": kept["problems"], "solve_counts": chosen["solve_counts"]
        }  # fmt: skip
    return found
