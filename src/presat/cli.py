"""The command line: verbs only. `presat VERB --config FILE.yaml --dotted.override VALUE`.

Each verb is one configuration type (its help: the docstrings in `presat.config.schema`) and one Python call.
Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted,
129 and 143 ended by SIGHUP (the terminal was closed) and SIGTERM.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import math
import os
import select
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from presat import __version__
from presat.config import schema
from presat.config.load import preset_names, read_yaml
from presat.errors import ConfigError, PresatError, UnfinishedError, nearest
from presat.processes import (
    Terminated,
    end_with_parent_if_told,
    ended_by_signals,
    exit_code,
    how_it_ended,
    say_last_words,
)
from presat.text import brief, masked, printable

if TYPE_CHECKING:
    from rich.console import Console

Result = dict[str, Any]

MOST_SAID = 1900
"""Most characters of a failure's message: a word of the command line may be of any length."""

HELP = {"-h", "--help"}
COMPLETION = "--tyro-print-completion"
"""As every command line of tyro's has it."""

AGAIN = "Run the same command again."
FROM_THERE = "Run the same command again to go on from there."
RESUME = "Go on with --resume."


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        question: what it answers.
        config: its configuration.
        call: what is behind it.
        again: what to do after it was interrupted.
        preset: the preset it starts from.
        words: what may stand before its options, as its help writes it.
        first: puts those words into its settings, where they are no settings of their own.
        dry: what `--dry-run` shows in place of the resolved configuration.
    """

    question: str
    config: type[schema.Settings]
    call: Callable[[Any, Console], Result]
    again: str = AGAIN
    preset: str | None = None
    words: str = ""
    first: Callable[[list[str], Result], Result] | None = None
    dry: Callable[[Any, Console], Result] | None = None


@dataclass
class Flags:
    """Options every verb takes."""

    config: str | None = None
    json: bool = False
    debug: bool = False
    dry_run: bool = False


FLAGS = {
    "--config FILE|PRESET": "Settings from a YAML file, or a preset (`presat presets`); options change them.",
    "--dry-run": "Print the resolved configuration and do nothing.",
    "--json": "One JSON object on stdout.",
    "--debug": "The traceback of a failure.",
    "-h, --help": "This help; after --config with the file's values.",
}
"""The options of every verb, and what they mean."""


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
    model, files = given.get("model"), words[1:]
    named = {**(model if isinstance(model, dict) else {}), "name": words[0]}
    return {**given, "model": named, **({"sets": files} if files else {})}


def _init(config: schema.InitConfig, out: Console) -> Result:
    from presat.evaluation.first_config import run_init
    from presat.report.terminal import say

    made = run_init(config)
    for line in made.said:
        say(out, line)
    return made.to_json()


def _presets(_: schema.PresetsConfig, out: Console) -> Result:
    from presat.config.load import preset_purpose
    from presat.report.terminal import say

    found = []
    for name, what in ((name, preset_purpose(name)) for name in preset_names()):
        fits = [verb for verb, its in VERBS.items() if its.config.common and _reads(its.config, read_yaml(name))]
        found.append({"name": name, "for": fits, "what": what})
        say(out, f"{name:<25} {'/'.join(fits):<14} {what}")
    say(out, "`presat VERB --config NAME` runs one; with --dry-run it is printed.")
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


def _report(config: schema.ReportConfig, out: Console) -> Result:
    from presat.report import report

    return report(config, out)


def _study(name: str) -> Callable[[Any, Console], Result]:
    def call(config: Any, out: Console) -> Result:
        from presat.report import study

        return getattr(study, name)(config, out)

    return call


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "Show me: the whole idea on a tiny model, on a CPU, in minutes.", schema.DemoConfig, _demo, FROM_THERE, "demo"
    ),
    "init": Verb("A first configuration for my model and my file.", schema.InitConfig, _init, words="MODEL DATA"),
    "presets": Verb("Which configurations come with presat?", schema.PresetsConfig, _presets),
    "data inspect": Verb(
        "What is in this data, and does every gold answer verify?", schema.InspectConfig, _inspect, words="SOURCE"
    ),
    "data filter": Verb("Which problems does my model solve sometimes?", schema.FilterConfig, _filter, FROM_THERE),
    "data subset": Verb("N problems across the range of difficulty.", schema.SubsetConfig, _subset),
    "data corrupt": Verb("What if a share of the labels is wrong?", schema.CorruptConfig, _corrupt, FROM_THERE),
    "data sft": Verb("Thinking and Non-Thinking SFT sets from one file of traces.", schema.TracesConfig, _traces),
    "data pack": Verb("How many tokens of text are there, made ready for `cpt`?", schema.PackConfig, _pack, FROM_THERE),
    "cpt": Verb("Continue pre-training on domain text.", schema.CptConfig, _stage("cpt"), RESUME),
    "sft": Verb("Fine-tune on worked solutions, thinking or not.", schema.SftConfig, _stage("sft"), RESUME),
    "train": Verb("Train with GRPO under the supervision I have.", schema.TrainConfig, _stage("train"), RESUME),
    "eval": Verb(
        "How good is this model: avg@k, pass@k, maj@k, greedy.",
        schema.EvalConfig,
        _eval,
        FROM_THERE,
        words="[MODEL [FILE ...]]",
        first=_eval_words,
    ),
    "study run": Verb(
        "A grid of runs from one file: run it, or go on with it.",
        schema.StudyRunConfig,
        _study("run"),
        FROM_THERE,
        dry=_study("foresee"),
        words="STUDY.yaml",
    ),
    "study status": Verb("How does it stand with a study?", schema.StudyStatusConfig, _study("status"), words="STUDY"),
    "watch": Verb("What is this run doing now; has it saturated?", schema.WatchConfig, _watch, words="RUN"),
    "report": Verb("One page (and tables) for one run or many.", schema.ReportConfig, _report, words="RUN ..."),
}


class _Said(logging.LogRecord):
    """What any library logs, as a terminal may have it."""

    def getMessage(self) -> str:  # noqa: N802 (logging's name)
        return printable(masked(super().getMessage()))


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `presat` command."""
    arguments = sys.argv[1:] if argv is None else argv
    logging.setLogRecordFactory(_Said)
    end_with_parent_if_told()
    # Large tensors in pages of 2 MB: handing out small ones took a fifth of a real model's step. The demo's tensors are
    # small, and clearing large pages for them took half of its time. torch reads this when it is imported.
    # Nor is the demo for a GPU, which takes longer over such tensors and rounds otherwise.
    if arguments[:1] == ["demo"]:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    else:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with ended_by_signals() as asked:
        try:
            code = run(arguments)
            sys.stdout.flush()
        except KeyboardInterrupt as error:  # while the end of the command was told
            code = exit_code(error)
        except OSError as error:  # nobody reads on (`| head`, a closed terminal), or the disk it goes to is full
            code = 1 if isinstance(error, BrokenPipeError) or asked.error else _fail(error, _refused(error), Flags(), 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nowhere to go for Python's own last flush
        if asked.error is not None:
            say_last_words(how_it_ended(asked.error))
            if isinstance(asked.error, Terminated):  # Ctrl-C is also the way to leave `watch`
                code = exit_code(asked.error)
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code."""
    flags, again = Flags(), ""
    try:
        words = _take_flags(argv, flags)
        if not words or words[0] in ("-h", "--help", "help"):
            print(_overview(), file=sys.stdout if words else sys.stderr)
            return 0 if words else 2
        if words[0] == "--version":
            print(f"presat {__version__}")
            return 0
        if COMPLETION in words:
            print(_completion(words), end="")
            return 0
        name, verb, rest = _find_verb(words)
        again = verb.again
        config = _parse(name, verb, rest, flags)
        if config is None:
            return 0
        return _execute(verb, config, flags)
    except KeyboardInterrupt as error:
        how = f": {how_it_ended(error)}" if isinstance(error, Terminated) else ""
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            _fail(error, f"Interrupted{how}. What was saved stays. {again}".rstrip(), flags, 0)
        return exit_code(error)
    except ConfigError as error:
        return _fail(error, str(error), flags, code=2)
    except UnfinishedError as error:
        return _fail(error, f"{error} {again}", flags, code=1)
    except PresatError as error:
        return _fail(error, str(error), flags, code=1)
    except OSError as error:  # a full disk, a file without rights: the machine's trouble, not a bug
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            raise
        return _fail(error, _refused(error), flags, code=1)
    except Exception as error:  # noqa: BLE001  (the last resort of a command line: say it is a bug, exit non-zero)
        text = f"Unexpected {type(error).__name__}: {error}\nThis is a bug in presat; --debug shows where."
        return _fail(error, text, flags, code=1)


def _refused(error: OSError) -> str:
    of = f": {brief(error.filename)}" if error.filename is not None else ""
    return f"The system refused: {error.strerror or error}{of}."


def _reader_is_gone() -> bool:
    """Whether the broken pipe is stdout, not one to a process or server of ours."""
    poll = select.poll()
    poll.register(1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _execute(verb: Verb, config: schema.Settings, flags: Flags) -> int:
    from presat.console import make_console

    if flags.dry_run and verb.dry is None:
        from presat.config import dump_config

        print(json.dumps(config.model_dump(mode="json")) if flags.json else dump_config(config), end="")
        return 0
    call = verb.dry if flags.dry_run and verb.dry is not None else verb.call
    result = call(config, make_console(stderr=flags.json))
    if flags.json:
        print(json.dumps(_strict(result), default=str, allow_nan=False))
    return 0


def _strict(value: Any) -> Any:
    """Return `value` without the numbers JSON has no word for: NaN and infinities become null."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _find_verb(argv: list[str]) -> tuple[str, Verb, list[str]]:
    """Split off the verb, which may be two words (`data inspect`)."""
    for words in (2, 1):
        name = " ".join(argv[:words])
        if len(argv) >= words and name in VERBS:
            return name, VERBS[name], argv[words:]
    family = [verb for verb in VERBS if verb.startswith(argv[0] + " ")]
    if family and len(argv) > 1 and not argv[1].startswith("-"):
        seconds = [verb.split()[1] for verb in family]
        raise ConfigError(f"There is no verb '{argv[0]} {argv[1]}'.{nearest(argv[1], seconds)}")
    if family:
        raise ConfigError(f"`presat {argv[0]}` needs one more word: {', '.join(family)}.")
    raise ConfigError(f"There is no verb '{argv[0]}'.{nearest(argv[0], VERBS)}")


def _take_flags(argv: list[str], flags: Flags) -> list[str]:
    """Take the options common to all verbs out of `argv`; the rest belongs to the verb's configuration."""
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--config" or word.startswith("--config="):
            flags.config = word.partition("=")[2] or next(words, None)
            if not flags.config:
                raise ConfigError("--config needs a file or the name of a preset.")
        elif word in ("--json", "--debug", "--dry-run"):
            setattr(flags, word[2:].replace("-", "_"), True)
        else:
            rest.append(word)
    return rest


def _parse(name: str, verb: Verb, argv: list[str], flags: Flags) -> schema.Settings | None:
    """Apply the command line's overrides to the file's configuration; None where only help was asked for, and given.

    Raises:
        ConfigError: an unknown option, or a value it cannot take.
    """
    import tyro

    from presat.config.help import help_text
    from presat.config.load import build
    from presat.config.usage import as_written, complaint, spelled_out, unknown

    source = flags.config or verb.preset
    given = {} if source is None else read_yaml(source)
    if verb.first is not None:
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
        argv = argv[len(words) :]
        given = verb.first(words, given) if words else given
    try:
        default = build(verb.config, given, source or "the command line")
    except ConfigError as error:
        fits = [other for other, its in VERBS.items() if _reads(its.config, given)]
        hint = f"\n  It is a configuration of `presat {'` or `presat '.join(fits)}`." if fits else ""
        if _reads(schema.StudyConfig, given):
            hint = f"\n  It is a study: `presat study run {source}`."
        raise ConfigError(f"{error}{hint}") from error
    if HELP & set(argv):
        print(help_text(name, verb.words, verb.question, default, FLAGS))
        return None
    argv, said = spelled_out(argv, verb.config), io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed, left = tyro.cli(
                verb.config,
                default=default,
                args=argv,
                prog=f"presat {name}",
                return_unknown_args=True,
                registry=as_written(),
            )
    except SystemExit as stop:
        raise ConfigError(complaint(stop, said.getvalue(), name, verb.config, argv)) from stop
    if left:
        raise ConfigError(unknown(left, f"{name} {verb.words}".rstrip() if verb.first else name, verb.config))
    # tyro builds models field by field; validating the whole once more catches contradictions between fields
    return build(verb.config, parsed.model_dump(), "the command line")


def _completion(words: list[str]) -> str:
    """The script that completes all verbs in the shell that `words` name."""
    from presat.config.completion import completion_script

    at = words.index(COMPLETION) + 1
    return completion_script("".join(words[at : at + 1]), {name: verb.config for name, verb in VERBS.items()}, Flags)


def _reads(model: type[schema.Settings], given: Result) -> bool:
    from presat.config.load import build

    try:
        build(model, given)
    except ConfigError:
        return False
    return True


def _overview() -> str:
    lines = ["presat: will reinforcement learning work on this model with the weak supervision I have?", ""]
    lines += [f"  presat {name:<13} {verb.question}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "`presat VERB --help` explains one verb."])


def _fail(error: BaseException, text: str, flags: Flags, code: int) -> int:
    """Report a failure: the message on stderr (with --debug the traceback), with --json an object on stdout too."""
    told = "".join(traceback.format_exception(error)).rstrip() if flags.debug else f"presat: {text}"
    shown = printable(masked(told))
    print(shown if flags.debug or len(shown) <= MOST_SAID else f"{shown[:MOST_SAID]} ...", file=sys.stderr)
    if flags.json:
        print(json.dumps({"error": masked(text), "type": type(error).__name__}))
    return code
