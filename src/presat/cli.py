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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from presat import __version__
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
from presat.verbs import VERBS, Verb, reads

if TYPE_CHECKING:
    from presat.config import schema

MOST_SAID = 1900
"""Most characters of a failure's message: a word of the command line may be of any length."""

HELP = {"-h", "--help"}
COMPLETION = "--tyro-print-completion"
"""As every command line of tyro's has it."""


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


class _Said(logging.LogRecord):
    """What any library logs, as a terminal may have it."""

    def getMessage(self) -> str:  # noqa: N802 (logging's name)
        return printable(masked(super().getMessage()))


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `presat` command."""
    arguments = sys.argv[1:] if argv is None else argv
    logging.setLogRecordFactory(_Said)
    end_with_parent_if_told()
    before_torch(arguments)
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


def before_torch(arguments: list[str]) -> None:
    """Set what torch reads from the environment when it is imported.

    Large tensors in pages of 2 MB: handing out small ones took a fifth of a real model's step. The demo's tensors are
    small, and clearing large pages for them took half of its time. Nor is the demo for a GPU, which takes longer over
    such tensors and rounds otherwise.
    """
    if arguments[:1] == ["demo"]:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    else:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


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
    return 0 if verb.code is None or flags.dry_run else verb.code(result)


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
    from presat.config.load import build, read_yaml
    from presat.config.schema import StudyConfig
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
        fits = [other for other, its in VERBS.items() if reads(its.config, given)]
        hint = f"\n  It is a configuration of `presat {'` or `presat '.join(fits)}`." if fits else ""
        if reads(StudyConfig, given):
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
