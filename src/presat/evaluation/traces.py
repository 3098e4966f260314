"""`presat data sft`: a Thinking and a Non-Thinking set from one file of traces (section 4, appendix B).

Both sets hold the same prompts in the same order: those whose solution ends in the right answer (where a gold answer is
there) and whose Thinking example, as `presat sft` will tokenise it, is not longer than `max_length`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from presat.config.schema import TracesConfig
from presat.config.unused import refuse_unused
from presat.errors import ConfigError, DataError
from presat.models.examples import sizes, tokenised
from presat.models.libraries import quiet_libraries
from presat.models.loading import open_tokenizer
from presat.outputs import Maker
from presat.tasks.inputs import inputs_of
from presat.tasks.traces import Trace, read_traces
from presat.types import Message, Problem
from presat.verify import Verifier, extract_boxed

CHUNK = 256
"""Rows verified and written at once."""
SETS = ("thinking", "non_thinking")
MAKER = Maker("presat data sft")
_Found = tuple[str, Trace]
"""Where a trace stands, and the trace."""
_TURN = pa.struct([("content", pa.string()), ("role", pa.string())])
_SCHEMA = pa.schema([("messages", pa.list_(_TURN)), ("answer", pa.string())])


@dataclass(frozen=True)
class TraceSets:
    """What `run_traces` wrote.

    Attributes:
        files: the file of each set.
        rows: rows looked at (of those that `where` allows).
        kept: prompts in each set.
        dropped: how many were left out, by reason: `no trace`, `wrong answer`, `undecided`, `no answer`, `too long`.
        first_dropped: where the first one of each reason stands.
        unchecked: kept without a gold answer.
        prompt_tokens, response_tokens: of each set, one pass over it; the loss is on the response's.
    """

    files: dict[str, str]
    rows: int
    kept: int
    dropped: dict[str, int]
    first_dropped: dict[str, str]
    unchecked: int
    prompt_tokens: dict[str, int]
    response_tokens: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def run_traces(config: TracesConfig) -> TraceSets:
    """Write both sets and return what is in them.

    Raises:
        ConfigError: no source, or one that is no file of traces; a setting would do nothing; a file that would be
            written is an input, or is there and not of this make.
        DataError: a malformed row (which row, which field), or no row is left.
        ModelError: no tokenizer.
        RunError: the files cannot be written.
    """
    refuse_unused(config)
    if not config.data.source or config.data.source.startswith(("lab/", "reasoning_gym/")):
        raise ConfigError(
            "`data.source` should be a file or data set of reasoning traces (`presat sft` reads lab sets by itself)."
        )
    _maker(config).check(list(_paths(config).values()), inputs_of(config.data))
    rows = _with_golds(config)
    first = next(rows, None)  # quick to refuse, so before the tokenizer
    if first is None:
        raise DataError(f"{config.data.source} holds no rows{' with these values' if config.where else ''}.")
    with (
        quiet_libraries(),
        Verifier(config.verify.extraction, config.verify.workers, config.verify.timeout_s) as verifier,
    ):
        tokenizer = open_tokenizer(config.model)
        with _Writer(config, tokenizer) as writer:
            for chunk in _chunks(itertools.chain([first], rows)):
                writer.add(chunk, verifier)
            return writer.result()


def _maker(config: TracesConfig) -> Maker:
    return MAKER.using(config.model_dump(mode="json"))


def _paths(config: TracesConfig) -> dict[str, Path]:
    return {name: config.out / f"{name}.parquet" for name in SETS}


def _with_golds(config: TracesConfig) -> Iterator[_Found]:
    """The traces of the source that `where` allows, a gold solution cut to its boxed answer."""
    for where, trace in read_traces(config.data, only=config.where):
        yield where, replace(trace, gold=extract_boxed(trace.gold or "") or trace.gold)


def _chunks(traces: Iterator[_Found]) -> Iterator[list[_Found]]:
    while chunk := list(itertools.islice(traces, CHUNK)):
        yield chunk


class _Writer:
    """Filters chunks of traces into the two files, which get their names once both are whole."""

    def __init__(self, config: TracesConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.paths = _paths(config)
        self.seen: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.tokens: dict[str, Counter[str]] = {name: Counter() for name in SETS}

    def __enter__(self) -> _Writer:
        maker = _maker(self.config)
        schema = _SCHEMA.with_metadata(maker.metadata)
        with contextlib.ExitStack() as stack:
            drafts = {name: stack.enter_context(maker.write(path)) for name, path in self.paths.items()}
            self._files = {name: stack.enter_context(pq.ParquetWriter(d, schema)) for name, d in drafts.items()}
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(self, traces: list[_Found], verifier: Verifier) -> None:
        """Filter one chunk and append what is kept."""
        self.seen["rows"] += len(traces)
        whole = [
            (where, trace)
            for where, trace in traces
            if self._keep(bool(trace.trace and trace.solution), "no trace", where)
        ]
        kept: dict[str, list[list[Message]]] = {name: [] for name in SETS}
        golds = []
        for where, trace in self._checked(whole, verifier):
            chats = {"thinking": trace.thinking(), "non_thinking": trace.non_thinking()}
            rows = {name: tokenised(chat[:-1], chat[-1]["content"], self.tokenizer) for name, chat in chats.items()}
            if not self._keep(len(rows["thinking"].input_ids) <= self.config.max_length, "too long", where):
                continue
            golds.append(trace.gold)
            for name in SETS:
                kept[name].append(chats[name])
                self.tokens[name].update(sizes([rows[name]], 0))
        self.seen["kept"] += len(golds)
        self.seen["unchecked"] += golds.count(None)
        for name, file in self._files.items():
            file.write_table(pa.table({"messages": kept[name], "answer": golds}, schema=_SCHEMA))

    def _checked(self, traces: list[_Found], verifier: Verifier) -> list[_Found]:
        """The traces whose solution ends in the right answer, or has nothing to be held against."""
        problems = [Problem("trace", trace.prompt, trace.gold, "math", "math") for _, trace in traces]
        scores = verifier.score_many([(p, trace.solution) for p, (_, trace) in zip(problems, traces, strict=True)])
        kept = []
        for (where, trace), score in zip(traces, scores, strict=True):
            if trace.gold is None:
                good = self._keep(not self.config.require_answer, "no answer", where)
            else:
                good = self._keep(score.value == 1.0, "undecided" if score.value is None else "wrong answer", where)
            if good:
                kept.append((where, trace))
        return kept

    def _keep(self, good: bool, reason: str, where: str) -> bool:
        if not good:
            self.seen[reason] += 1
            self.first.setdefault(reason, where)
        return good

    def result(self) -> TraceSets:
        """What was written.

        Raises:
            DataError: nothing was kept.
        """
        counts = {key: n for key, n in self.seen.items() if key not in ("rows", "kept", "unchecked")}
        if not self.seen["kept"]:
            said = "; ".join(f"{reason}: {n}, the first in {self.first[reason]}" for reason, n in counts.items())
            raise DataError(f"None of the {self.seen['rows']} rows is left ({said}); nothing was written.")
        return TraceSets(
            files={name: str(path) for name, path in self.paths.items()},
            rows=self.seen["rows"],
            kept=self.seen["kept"],
            dropped=counts,
            first_dropped=self.first,
            unchecked=self.seen["unchecked"],
            prompt_tokens={name: self.tokens[name]["data/prompt_tokens"] for name in SETS},
            response_tokens={name: self.tokens[name]["data/response_tokens"] for name in SETS},
        )
