"""The command line: verbs only. `presat VERB --config FILE.yaml --dotted.override VALUE`.

Each verb is one configuration type (its help: the docstrings in `presat.config.schema`) and one Python call.
Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from presat import __version__
from presat.config import schema
from presat.errors import ConfigError, PresatError, nearest

if TYPE_CHECKING:
    from rich.console import Console

Result = dict[str, Any]


@dataclass(frozen=True)
class Verb:
    """One verb: the question it answers, its configuration, the call behind it, and a preset it starts from."""

    question: str
    config: type[schema.Settings]
    call: Callable[[Any, Console], Result]
    preset: str | None = None


@dataclass
class Flags:
    """Options every verb takes."""

    config: str | None = None
    json: bool = False
    debug: bool = False
    dry_run: bool = False


def _demo(config: schema.DemoConfig, out: Console) -> Result:
    from presat.demo import run_demo

    return run_demo(config, out)


def _inspect(config: schema.InspectConfig, out: Console) -> Result:
    from presat.tasks.inspect import inspect_source, render

    inspection = inspect_source(config)
    out.print(render(inspection))
    return inspection.to_json()


def _stage(name: str) -> Callable[[Any, Console], Result]:
    """A training verb: run it, then show the run as `report` would."""

    def call(config: Any, out: Console) -> Result:
        from presat import training

        folder = getattr(training, f"run_{name}")(config)
        return _show([str(folder)], out)

    return call


def _eval(config: schema.EvalConfig, out: Console) -> Result:
    from presat.training import run_eval

    return _show([str(run_eval(config))], out)


def _show(paths: list[str], out: Console) -> Result:
    from presat.report import summarise, summary_table
    from presat.tracking import open_run

    summaries = [summarise(open_run(path)) for path in paths]
    out.print(summary_table(summaries))
    return {"runs": [summary.to_json() for summary in summaries]}


def _watch(config: schema.WatchConfig, out: Console) -> Result:
    from presat.report import watch

    return watch(config, out)


def _report(config: schema.ReportConfig, out: Console) -> Result:
    from presat.report import report

    return report(config, out)


VERBS: dict[str, Verb] = {
    "demo": Verb("Show me: the whole idea on a tiny model, on a CPU, in minutes.", schema.DemoConfig, _demo, "demo"),
    "data inspect": Verb("What is in this data, and does every gold answer verify?", schema.InspectConfig, _inspect),
    "cpt": Verb("Continue pre-training on domain text.", schema.CptConfig, _stage("cpt")),
    "sft": Verb("Fine-tune on worked solutions, thinking or not.", schema.SftConfig, _stage("sft")),
    "train": Verb("Train with GRPO under the supervision I have.", schema.TrainConfig, _stage("train")),
    "eval": Verb("How good is this model: avg@k, pass@k, maj@k, greedy.", schema.EvalConfig, _eval),
    "watch": Verb("What is this run doing now; has it saturated?", schema.WatchConfig, _watch),
    "report": Verb("One page (and tables) for one run or many.", schema.ReportConfig, _report),
}


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `presat` command."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"presat {__version__}")
        return 0
    flags = Flags()
    try:
        name, verb, rest = _find_verb(argv)
        rest = _take_flags(rest, flags)
        config = _parse(name, verb, rest, flags)
        return _execute(verb, config, flags)
    except KeyboardInterrupt:
        _say("Interrupted. What was saved stays; training verbs go on with --resume.")
        return 130
    except ConfigError as error:
        return _fail(error, flags, code=2)
    except PresatError as error:
        return _fail(error, flags, code=1)
    except Exception as error:  # noqa: BLE001  (the last resort of a command line: say it is a bug, exit non-zero)
        return _fail(error, flags, code=1)


def _execute(verb: Verb, config: schema.Settings, flags: Flags) -> int:
    from rich.console import Console

    if flags.dry_run:
        from presat.config import dump_config

        print(json.dumps(config.model_dump(mode="json")) if flags.json else dump_config(config), end="")
        return 0
    result = verb.call(config, Console(stderr=flags.json))
    if flags.json:
        print(json.dumps(result, default=str))
    return 0


def _find_verb(argv: list[str]) -> tuple[str, Verb, list[str]]:
    """Split off the verb, which may be two words (`data inspect`)."""
    for words in (2, 1):
        name = " ".join(argv[:words])
        if len(argv) >= words and name in VERBS:
            return name, VERBS[name], argv[words:]
    family = [verb for verb in VERBS if verb.startswith(argv[0] + " ")]
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


def _parse(name: str, verb: Verb, argv: list[str], flags: Flags) -> schema.Settings:
    """Apply the command line's overrides to the file's configuration."""
    import tyro
    from pydantic import ValidationError

    from presat.config.load import explain, load_config

    default = load_config(verb.config, flags.config or verb.preset)
    common = "Also: --config FILE|PRESET, --json, --debug, --dry-run (print the resolved configuration)."
    try:
        parsed = tyro.cli(
            verb.config, default=default, args=argv, prog=f"presat {name}", description=f"{verb.question} {common}"
        )
        # tyro builds models field by field; validating the whole once more catches contradictions between fields
        return verb.config.model_validate(parsed.model_dump())
    except ValidationError as error:
        raise ConfigError(explain(error, verb.config, "the command line")) from error


def _overview() -> str:
    lines = ["presat: will reinforcement learning work on this model with the weak supervision I have?", ""]
    lines += [f"  presat {name:<13} {verb.question}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "", "`presat VERB --help` explains one verb."])


def _fail(error: BaseException, flags: Flags, code: int) -> int:
    if flags.debug:
        traceback.print_exception(error)
        return code
    if isinstance(error, PresatError):
        _say(str(error))
    else:
        _say(f"Unexpected {type(error).__name__}: {error}\nThis is a bug in presat; --debug shows where.")
    if flags.json:
        print(json.dumps({"error": str(error), "type": type(error).__name__}))
    return code


def _say(text: str) -> None:
    print(f"presat: {text}", file=sys.stderr)
