"""The verbs of the command line: what each asks, its settings, and the one Python call behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError
from presat.text import brief

if TYPE_CHECKING:
    from rich.console import Console

    from presat.config import schema

Result = dict[str, Any]

AGAIN = "Run the same command again."
FROM_THERE = "Run the same command again to go on from there."
RESUME = "Go on with --resume."


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        question: what it answers.
        settings: the name of its configuration in `presat.config.schema`. Only the verb that runs needs its own, and
            the libraries below take most of a second of a busy machine to import, so that it is looked up on use.
        call: what is behind it.
        again: what to do after it was interrupted.
        preset: the preset it starts from.
        words: what may stand before its options, as its help writes it.
        first: puts those words into its settings, where they are no settings of their own.
        dry: what `--dry-run` shows in place of the resolved configuration.
        code: the exit code by what it found; 0 when None.
    """

    question: str
    settings: str
    call: Callable[[Any, Console], Result]
    again: str = AGAIN
    preset: str | None = None
    words: str = ""
    first: Callable[[list[str], Result], Result] | None = None
    dry: Callable[[Any, Console], Result] | None = None
    code: Callable[[Result], int] | None = None

    @property
    def config(self) -> type[schema.Settings]:
        """Its configuration."""
        from presat.config import schema

        return getattr(schema, self.settings)


def _demo(config: schema.DemoConfig, out: Console) -> Result:
    from presat.demo import run_demo

    return run_demo(config, out)


def _inspect(config: schema.InspectConfig, out: Console) -> Result:
    from presat.evaluation.inspect import inspect_source, render

    if not config.source:
        raise ConfigError("Which data? `presat data inspect SOURCE` takes a file, lab/NAME or another source.")
    inspection = inspect_source(config)
    out.print(render(inspection))
    return inspection.to_json()


def _filter(config: schema.FilterConfig, out: Console) -> Result:
    from presat.evaluation.prepare import run_filter
    from presat.report.terminal import say

    found = run_filter(config)
    left = f"{found.always} always, {found.outside} outside the bounds, {found.too_long} too long"
    say(out, f"{found.kept} of {found.problems} problems kept: {found.never} never solved, {left}.")
    say(out, f"Solved 0, 1, ..., {config.samples} times of {config.samples}: {' '.join(map(str, found.histogram))}")
    if found.unjudged:
        said = "none of their responses could be judged, and they are not among those above"
        say(out, f"{found.unjudged} of {found.problems} problems left out: {said}.")
    if found.missing:
        say(out, f"{found.missing:.1%} of the responses could not be judged; they count as not right.")
    say(out, f"Written to {found.out}.")
    return found.to_json()


def _subset(config: schema.SubsetConfig, out: Console) -> Result:
    from presat.report.terminal import say
    from presat.tasks import load_task, save_problems
    from presat.tasks.inputs import inputs_of
    from presat.tasks.saving import problems_maker
    from presat.tasks.subsets import choose_subset, solve_counts_of

    maker = problems_maker("presat data subset").using(config.model_dump(mode="json"))
    inputs = inputs_of(config.data)
    maker.check([config.out], inputs)
    chosen = choose_subset(load_task(config.data), config)
    path = save_problems(chosen, config.out, maker, inputs)
    counts, samples = solve_counts_of(chosen, config.counts, config.samples)
    repeats = int(chosen[0].metadata["repeats"])
    often = f"{repeats} times" if repeats > 1 else "once"
    bins = " ".join(str(counts.count(count)) for count in range(1, samples))
    say(out, f"{len(chosen)} problems, each {often}. Solved 1, ..., {samples - 1} times of {samples}: {bins}")
    say(out, f"Written to {path}.")
    return {"out": str(path), "problems": len(chosen), "repeats": repeats, "solve_counts": counts, "samples": samples}


def _corrupt(config: schema.CorruptConfig, out: Console) -> Result:
    from presat.evaluation.prepare import run_corrupt
    from presat.report.terminal import say

    done = run_corrupt(config)
    say(out, f"{done.corrupted} of {done.problems} labels corrupted: gamma {done.gamma:.3f} (asked: {done.asked:g}).")
    if done.incorruptible:
        shown = ", ".join(done.incorruptible[:5]) + (", ..." if len(done.incorruptible) > 5 else "")
        say(out, f"{len(done.incorruptible)} problems drawn have no usable incorrect answer: {shown}")
    if done.second_choice:
        why = "the most frequent incorrect answer does not work as one"
        say(out, f"{done.second_choice} labels are a later choice: {why}.")
    say(out, f"Written to {done.out}.")
    return done.to_json()


def _traces(config: schema.TracesConfig, out: Console) -> Result:
    from presat.evaluation.traces import run_traces
    from presat.report.terminal import say

    done = run_traces(config)
    dropped = ", ".join(f"{reason} {count}" for reason, count in done.dropped.items()) or "none"
    say(out, f"{done.kept} of {done.rows} rows kept ({done.unchecked} without a gold answer). Left out: {dropped}.")
    for name, file in done.files.items():
        say(out, f"{file}: {done.response_tokens[name]} response tokens, {done.prompt_tokens[name]} prompt tokens.")
    return done.to_json()


def _pack(config: schema.PackConfig, out: Console) -> Result:
    from presat.report.terminal import say
    from presat.training import run_pack

    done = run_pack(config)
    say(out, f"{done.documents:,} documents, {done.tokens:,} tokens ({done.bytes / 1e9:.3g} GB) in {done.folder}")
    rows = f"{done.rows:,} sequences of {config.sequence_length} tokens to train on, {done.held_out} held out"
    say(out, f"{rows}: {done.steps:,} steps of {config.batch} an epoch.")
    return done.to_json()


def _stage(name: str) -> Callable[[Any, Console], Result]:
    """A training verb: run it, then show the run as `report` would."""

    def call(config: Any, out: Console) -> Result:
        from presat import training

        folder = getattr(training, f"run_{name}")(config)
        return _show([str(folder)], out)

    return call


def _eval(config: schema.EvalConfig, out: Console) -> Result:
    from presat.evaluation.run import evaluate_model, render

    report = evaluate_model(config)
    out.print(render(report))
    return report.to_json()


def _eval_words(words: list[str], given: Result) -> Result:
    """`eval MODEL FILE...`: the model, and the sets in place of a file's."""
    files, named = words[1:], {**_settings(given, "model"), "name": words[0]}
    return {**given, "model": named, **({"sets": files} if files else {})}


def _check(config: schema.CheckConfig, out: Console) -> Result:
    from presat.report.check import check

    return check(config, out)


def _check_words(words: list[str], given: Result) -> Result:
    """`check MODEL DATA`."""
    named = zip(("model", "data"), (("name", words[:1]), ("source", words[1:2])), strict=True)
    if len(words) > len(("MODEL", "DATA")):
        raise ConfigError(f"`presat check MODEL DATA` takes two words, and '{brief(words[2], 40)}' is a third.")
    filled = {group: {**_settings(given, group), key: word[0]} for group, (key, word) in named if word}
    return {**given, **filled}


def _settings(given: Result, group: str) -> Result:
    value = given.get(group)
    return value if isinstance(value, dict) else {}


def _init(config: schema.InitConfig, out: Console) -> Result:
    from presat.evaluation.first_config import run_init
    from presat.report.terminal import say

    made = run_init(config)
    for line in made.said:
        say(out, line)
    return made.to_json()


def _presets(_: schema.PresetsConfig, out: Console) -> Result:
    from presat.config import schema
    from presat.config.load import preset_names, preset_purpose, read_yaml
    from presat.report.terminal import say

    found = []
    for name, what in ((name, preset_purpose(name)) for name in preset_names()):
        given = read_yaml(name)
        fits = [verb for verb, its in VERBS.items() if its.config.common and reads(its.config, given)]
        fits += ["study run"] if reads(schema.StudyConfig, given) else []
        found.append({"name": name, "for": fits, "what": what})
        say(out, f"{name:<25} {'/'.join(fits):<14} {what}")
    say(out, "`presat VERB --config NAME` runs one, a study `presat study run NAME`; with --dry-run it is shown.")
    return {"presets": found}


def _show(paths: list[str], out: Console) -> Result:
    from presat.analysis import summarise
    from presat.report import summary_table
    from presat.tracking import open_runs

    summaries = [summarise(run) for path in paths for run in open_runs(path)]
    out.print(summary_table(summaries))
    return {"runs": [summary.to_json() for summary in summaries]}


def _watch(config: schema.WatchConfig, out: Console) -> Result:
    from presat.report import watch

    return watch(config, out)


def _diagnose(config: schema.DiagnoseConfig, out: Console) -> Result:
    from presat.report import diagnose

    return diagnose(config, out)


def _report(config: schema.ReportConfig, out: Console) -> Result:
    from presat.report import report

    return report(config, out)


def _study(name: str) -> Callable[[Any, Console], Result]:
    def call(config: Any, out: Console) -> Result:
        from presat.report import study

        return getattr(study, name)(config, out)

    return call


def _study_report(config: schema.StudyReportConfig, out: Console) -> Result:
    from presat.report.study_report import report

    return report(config, out)


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "Show me: the whole idea on a tiny model, on a CPU, in minutes.", "DemoConfig", _demo, FROM_THERE, "demo"
    ),
    "check": Verb(
        "Will RL work on my model with these problems, and if not, what first?",
        "CheckConfig",
        _check,
        FROM_THERE,
        words="MODEL DATA",
        first=_check_words,
    ),
    "init": Verb("A first configuration for my model and my file.", "InitConfig", _init, words="MODEL DATA"),
    "presets": Verb("Which configurations come with presat?", "PresetsConfig", _presets),
    "data inspect": Verb(
        "What is in this data, and does every gold answer verify?", "InspectConfig", _inspect, words="SOURCE"
    ),
    "data filter": Verb("Which problems does my model solve sometimes?", "FilterConfig", _filter, FROM_THERE),
    "data subset": Verb("N problems across the range of difficulty.", "SubsetConfig", _subset),
    "data corrupt": Verb("What if a share of the labels is wrong?", "CorruptConfig", _corrupt, FROM_THERE),
    "data sft": Verb("Thinking and Non-Thinking SFT sets from one file of traces.", "TracesConfig", _traces),
    "data pack": Verb("How many tokens of text are there, made ready for `cpt`?", "PackConfig", _pack, FROM_THERE),
    "cpt": Verb("Continue pre-training on domain text.", "CptConfig", _stage("cpt"), RESUME),
    "sft": Verb("Fine-tune on worked solutions, thinking or not.", "SftConfig", _stage("sft"), RESUME),
    "train": Verb("Train with GRPO under the supervision I have.", "TrainConfig", _stage("train"), RESUME),
    "eval": Verb(
        "How good is this model: avg@k, pass@k, maj@k, greedy.",
        "EvalConfig",
        _eval,
        FROM_THERE,
        words="[MODEL [FILE ...]]",
        first=_eval_words,
    ),
    "study run": Verb(
        "A grid of runs from one file: run it, or go on with it.",
        "StudyRunConfig",
        _study("run"),
        FROM_THERE,
        dry=_study("foresee"),
        words="STUDY.yaml",
    ),
    "study status": Verb("How does it stand with a study?", "StudyStatusConfig", _study("status"), words="STUDY"),
    "study report": Verb(
        "What did a study's settings come to, and what differs?",
        "StudyReportConfig",
        _study_report,
        words="STUDY",
    ),
    "watch": Verb("What is this run doing now; has it saturated?", "WatchConfig", _watch, words="RUN"),
    "diagnose": Verb(
        "What is wrong with this run, since when, and what to do?",
        "DiagnoseConfig",
        _diagnose,
        words="RUN ...",
        code=lambda result: int(result["failed"]),
    ),
    "report": Verb("One page (and tables) for one run or many.", "ReportConfig", _report, words="RUN ..."),
}


def reads(model: type[schema.Settings], given: Result) -> bool:
    """Whether a configuration is one of this type."""
    from presat.config.load import build

    try:
        build(model, given)
    except ConfigError:
        return False
    return True
