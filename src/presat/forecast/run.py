"""`presat check MODEL DATA`: will RL work here? Probe, evidence, verdict and plan, kept in a run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from presat.config.schema import CheckConfig
from presat.config.unused import refuse_unused
from presat.diagnosis import make_judge
from presat.diagnosis.judges import Judge
from presat.errors import ConfigError, RunError
from presat.evaluation.chunks import Chunks
from presat.evaluation.problems import describe, describe_engine, drop_too_long, identity_of
from presat.files import write_atomically
from presat.forecast.evidence import Evidence, Values, collect, values_of
from presat.forecast.plan import FILTER_FILE, Checked, Plan, make_plan
from presat.forecast.probe import CERTAINTY, SPLIT, SURPRISE, Drawn, Probe, choose_prompts, draw_probe
from presat.forecast.verdict import Verdict, is_clear, judge_kinds, weights
from presat.jsons import read_json
from presat.models.cpu import use_cpu
from presat.models.libraries import quiet_libraries
from presat.rollouts import seed_for
from presat.rollouts.opening import open_engine
from presat.tasks import load_problems, load_task
from presat.tasks.doubts import warn_of_doubts
from presat.tasks.rows import is_labelled
from presat.tasks.shared import count_shared
from presat.tracking import RunWriter
from presat.tracking.progress import Progress
from presat.types import Problem
from presat.verify import Verifier

TRAIN_FILE, FORECAST_FILE = "train.yaml", "forecast.json"
_PLANS = ((TRAIN_FILE, "yaml"), (FILTER_FILE, "filter_yaml"))
"""Files that stand ready for other verbs, and where the plan has their text."""
CHOSEN = ("llm", "ensemble")
"""Judges that a person chose for these responses: what they say is weighed. The symbolic one's is on the lab."""


@dataclass(frozen=True)
class Forecast:
    """What `presat check` found.

    Attributes:
        run: the run directory.
        model: the model, as it was named.
        data: the problems.
        evidence: the quantities.
        verdicts: one for each kind of supervision.
        plan: what to do.
        step_tokens: tokens that are sampled for a step of the training asked about.
        step_seconds: what sampling them would take here; None where nothing was drawn this time.
        weights: where the weights of the verdicts come from.
        problems: how many problems there are to train on.
        lab: whether they are the lab's, of whose runs the weights are.
        notes: what else is to be said, a sentence each.
    """

    run: Path
    model: str
    data: str
    evidence: Evidence
    verdicts: list[Verdict]
    plan: Plan
    step_tokens: float | None
    step_seconds: float | None
    weights: str
    problems: int
    lab: bool
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "run": str(self.run),
            "model": self.model,
            "data": self.data,
            "evidence": self.evidence.to_json(),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "plan": self.plan.to_json(),
            "step_tokens": self.step_tokens,
            "step_seconds": self.step_seconds,
            "weights": self.weights,
            "problems": self.problems,
            "lab": self.lab,
            "notes": self.notes,
        }


def check(model: str, problems: str | Sequence[Problem], **options: Any) -> Forecast:
    """Say whether RL will work on a model with some problems; what `presat check` does.

    Args:
        model: a Hugging Face id or folder, or a packaged name.
        problems: a source of problems, or the problems.
        options: settings of `presat check`.

    Raises:
        ConfigError, DataError, ModelError, RunError: as `run_check`.
    """
    from presat.config.load import build

    source = problems if isinstance(problems, str) else ""
    given = {"model": {"name": model}, "data": {"source": source}}
    config = build(CheckConfig, {**given, **options}, "presat.check")
    return run_check(config, None if isinstance(problems, str) else problems, quiet=True)


def run_check(config: CheckConfig, problems: Sequence[Problem] | None = None, quiet: bool = False) -> Forecast:
    """Draw, measure, judge and plan; everything is kept in `config.run`.

    Args:
        config: the resolved configuration.
        problems: the problems, where they are not loaded from `config.data`.
        quiet: show no progress line.

    Raises:
        ConfigError: no model or no problems are named.
        DataError, ModelError: the problems or the model cannot be loaded.
        RunError: the run directory is busy, or holds draws that were made otherwise (the message names how).
    """
    refuse_unused(config)
    if not config.model.name or (problems is None and not config.data.source):
        raise ConfigError("Which model, and which data? `presat check MODEL DATA` takes a name or folder, and a file.")
    asked = load_task(config.data) if problems is None else list(problems)
    warn_of_doubts(asked, config.data.source or "the problems")
    use_cpu(config.threads, config.onednn)
    held_out = _held_out(config, asked)
    exact = config.judge == "symbolic" and all(problem.domain == "lab" for problem in asked)
    look = _Look(config, _judge(config), exact or config.judge in CHOSEN)
    verify = config.verify
    with (
        quiet_libraries(),
        Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier,
        Progress("check", quiet) as progress,
    ):
        progress.phase("loading")
        engine = open_engine(config, config.model.name)
        described = describe_engine(engine, config.server)
        drawn_with = identity_of(engine, config, described, config.samples)
        chunks = Chunks(config.run, SPLIT, drawn_with, stats=(SURPRISE, CERTAINTY))
        chunks.refuse_others("a check")
        fitting, too_long = drop_too_long(engine, asked, config.max_prompt_tokens)
        known = chunks.saved()
        _refuse_other_problems(config, known, fitting)
        chosen = choose_prompts(fitting, config.prompts, config.seed)
        with RunWriter(config.run, config, "check", resume=True) as writer:
            writer.note_provenance(model=described, problems={"data": describe(chosen, too_long)})
            progress.start(0, len(chosen) * config.samples)
            progress.phase("sampling")
            probe = draw_probe(config, engine, verifier, chosen, chunks, known, progress, look.is_clear)
            progress.phase("judging")
            notes = [*held_out, *_notes(config, probe, described, too_long, engine.model)]
            forecast = _forecast(look, probe, notes, Checked.of(fitting, engine.model, config))
            writer.append(0, _logged(forecast))
            _keep(forecast, look.known)
    return forecast


def _held_out(config: CheckConfig, asked: Sequence[Problem]) -> list[str]:
    """Load the problems to evaluate on; say how many of them would be trained on.

    Raises:
        DataError: they cannot be loaded.
    """
    if not config.held_out:
        return []
    problems = load_problems(config.held_out)
    shared = count_shared(problems, asked)
    said = (
        f"{shared} of {len(problems)} questions of {config.held_out} are among those to train on: give other problems."
    )
    return [said] if shared else []


def _refuse_other_problems(config: CheckConfig, known: Mapping[int, Any], problems: Sequence[Problem]) -> None:
    """Refuse a folder whose draws are all of problems that are not asked about.

    Raises:
        RunError: it is one.
    """
    if known and not any(seed_for(config.seed, "check", problem.id) in known for problem in problems):
        raise RunError(f"{config.run} holds a check of other problems. Choose another `run`, or delete the folder.")


@dataclass(frozen=True)
class _Look:
    """What is made of draws: the quantities of each prompt, worked out once, and whether they say all there is to say.

    Attributes:
        config: the verb's settings.
        judge: of the reasoning; None leaves it out.
        exact: whether what the judge says may be weighed.
        known: the quantities of the prompts seen, by the prompt's id.
    """

    config: CheckConfig
    judge: Judge | None
    exact: bool
    known: dict[str, Values] = field(default_factory=dict)

    def values(self, drawn: Sequence[Drawn]) -> list[Values]:
        """The quantities of each prompt."""
        for row in drawn:
            if row.group.problem.id not in self.known:
                self.known[row.group.problem.id] = values_of(row, self.config.group_size, self.judge)
        return [self.known[row.group.problem.id] for row in drawn]

    def is_clear(self, drawn: Sequence[Drawn]) -> bool:
        """Whether no verdict would change any more."""
        return is_clear(drawn, self.values(drawn), self.config.group_size, self.config.gamma, self.exact)


def _judge(config: CheckConfig) -> Judge | None:
    """The judge that is asked for; one that asks the policy asks the model that is checked."""
    if config.judge == "none":
        return None
    own = {"model": config.model.model_dump()} if config.judge == "self_support" else {}
    return make_judge(config.judge, **{**own, **config.judge_options})


def _forecast(look: _Look, probe: Probe, notes: list[str], checked: Checked) -> Forecast:
    config, values = look.config, look.values(probe.drawn)
    evidence = collect(probe.drawn, config.group_size, values, look.exact)
    verdicts = judge_kinds(evidence, probe.drawn, values, config.gamma)
    responses = config.prompts_per_step * config.group_size
    length = evidence["length"]
    return Forecast(
        config.run,
        config.model.name,
        config.data.source,
        evidence,
        verdicts,
        make_plan(config, evidence, verdicts, checked),
        None if length is None else length * responses,
        None if probe.seconds is None else probe.seconds * responses,
        weights()["source"],
        checked.problems,
        checked.lab,
        notes,
    )


def _notes(config: CheckConfig, probe: Probe, described: dict[str, Any], too_long: int, model: Any) -> list[str]:
    notes = [described["note"]] if described.get("note") else []
    if probe.stopped:
        notes.append(f"{len(probe.drawn)} of {probe.wanted} prompts were drawn: {probe.stopped}.")
    if too_long:
        notes.append(f"{too_long} problems were left out, for their prompt is longer than `max_prompt_tokens`.")
    bare = sum(not is_labelled(row.group.problem) for row in probe.drawn)
    if bare:
        notes.append(
            f"{bare} of {len(probe.drawn)} prompts have no gold answer: nobody knows how often they are solved."
        )
    if config.certainty and model is None:
        notes.append("Self-certainty was not measured: a server does not show the whole distribution of its model.")
    return notes


def _logged(forecast: Forecast) -> dict[str, float | None]:
    """The numbers as a run logs them."""
    found: dict[str, float | None] = {f"check/{name}": m.value for name, m in forecast.evidence.measures.items()}
    return found | {f"check/{verdict.kind}/probability": verdict.probability for verdict in forecast.verdicts}


def _keep(forecast: Forecast, by_prompt: Mapping[str, Values]) -> None:
    """Write the forecast, with each prompt's part, and the configurations; one that a person changed since stays."""
    kept = forecast.run / FORECAST_FILE
    before = read_json(kept).get("plan", {})
    for name, key in _PLANS:
        file, text = forecast.run / name, getattr(forecast.plan, key)
        there = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
        if file.is_dir() or there not in (None, before.get(key), text):
            forecast.notes.append(f"{file} was changed since it was written, so it stays; the plan is in {kept.name}.")
        elif text:
            write_atomically(file, text)
        elif there is not None:
            file.unlink()
    found = forecast.to_json() | {"by_prompt": by_prompt}
    write_atomically(kept, json.dumps(found, indent=2, default=str))
