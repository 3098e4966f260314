"""The responses of a run on disk: `rollouts/train/step_000012.parquet`, `rollouts/eval/SET-step_000012.parquet`.

This file holds their schema, writes them, scans them and makes problems of them again. One file per split, set and
step, written beside its name and renamed, so a reader never meets half a file. Every row stands for itself: what all
responses to a problem share is repeated, which Parquet stores once. What decided the draws of a whole file stands in
the file's own metadata.

Files are scanned, not read: a reader gets the columns it asks for, and those that a file lacks as nulls.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import RunError
from presat.files import atomically
from presat.jsons import parse_json
from presat.text import brief
from presat.types import Completion, Message, Problem, RolloutGroup, Score

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 1024
"""Rows that are stored, and read, together: few enough that a reader holds little of the texts at a time."""
DRAWN = "presat"
"""Key of the file's metadata that says, as JSON, how its responses were drawn."""
LONGEST_NAME = 128
"""Most bytes of a set's name in the names of its files; a file system takes 255 in all, a draft's ending among them."""
SETTLED_NS = 2 * 10**9
"""Nanoseconds after which a folder that changed counts as standing still."""
GROUP = ("step", "set", "problem_id", "seed")
"""Columns that are the same for the responses of one group, and for no others; a step may hold a problem twice."""
_FILE = re.compile(r"(?:(?P<set>.*)-)?step_(?P<step>\d+)\.parquet", re.DOTALL)
_SPECIAL = re.compile(r"[^\w.@+-]")


def schema() -> dict[str, pl.DataType]:
    """Every column that each file has, and its type. A file may have more: `valid_trace`, `reward/NAME`, ..."""
    import polars as pl

    number, text, tokens = pl.Int64(), pl.String(), pl.List(pl.Int32())
    return {
        "step": number,  # of training; 0 is before it
        "set": text,  # evaluation set; empty for training
        "problem_id": text,
        "sample": number,  # place among the responses of its group, from 0
        "seed": number,  # of the group's draws
        "prompt": text,  # the chat turns' contents, as one text
        "messages": pl.List(pl.Struct({"role": text, "content": text})),  # the chat turns
        "prompt_ids": tokens,  # the prompt's tokens, chat template applied
        "gold": text,  # the answer expected; null when there is none
        "domain": text,
        "verifier": text,  # which scorer decides
        "metadata": text,  # a JSON object: the problem's other fields (options, Reasoning Gym's metadata, ...)
        "text": text,  # the response
        "token_ids": tokens,  # its tokens, the end-of-sequence token included
        "n_tokens": number,  # how many
        "finished": pl.Boolean(),  # false when it was cut at the length limit
        "extracted": text,  # the answer read out of it
        "score": pl.Float64(),  # the verdict: 1, 0, or null where missing
        "reason": text,  # why
        "reward": pl.Float64(),  # the training signal; null in evaluations
    }


def make_frame(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """A table of responses: columns of the schema get its types, even where every value is missing."""
    import polars as pl

    return pl.DataFrame(columns, schema_overrides={name: kind for name, kind in schema().items() if name in columns})


def rollout_files(
    run: Path, split: str, set_name: str | None = None, steps: Collection[int] | None = None
) -> list[tuple[int, Path]]:
    """Step and path of every file of saved responses of a split, in step order.

    Args:
        run: the run directory.
        split: `train` or `eval`.
        set_name: only files that may hold this set's.
        steps: only those of these steps.

    Raises:
        RunError: the folder cannot be read.
    """
    folder = run / "rollouts" / split
    names = None if set_name is None else {file_name(set_name), _old_name(set_name)}
    return [
        (step, folder / name)
        for step, name, of in _listed(folder)
        if (names is None or of in names) and (steps is None or step in steps)
    ]


def _listed(folder: Path) -> tuple[tuple[int, str, str], ...]:
    """Step, name and set of every file of responses in a folder, in the order of steps.

    A report asks dozens of times of each run. A folder that has stood still for a while is listed once: one that has
    just changed may change again within the same tick of its clock.
    """
    try:
        changed_ns = folder.stat().st_mtime_ns
        still = time.time_ns() - changed_ns > SETTLED_NS
        return _once(folder, changed_ns) if still else _list(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise RunError(f"Cannot read {folder}: {error.strerror}.") from error


def _list(folder: Path) -> tuple[tuple[int, str, str], ...]:
    found = ((_FILE.fullmatch(name), name) for name in os.listdir(folder))  # noqa: PTH208 (paths take ten times as long)
    return tuple(sorted((int(match["step"]), name, match["set"] or "") for match, name in found if match))


@lru_cache(maxsize=4)
def _once(folder: Path, changed_ns: int) -> tuple[tuple[int, str, str], ...]:  # noqa: ARG001 (what makes it another)
    return _list(folder)


class RolloutStore:
    """Writes the `rollouts` folder of a run directory.

    Args:
        folder: that folder.
        drawn: what is the same for all draws, as JSON-able values: see `write`.
    """

    def __init__(self, folder: Path | str, drawn: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.drawn = dict(drawn or {})

    def path(self, split: str, step: int, set_name: str = "") -> Path:
        """Where the responses of one step are kept; no two sets share a file."""
        return self._path(split, step, file_name(set_name))

    def write(
        self,
        split: str,
        step: int,
        groups: Sequence[RolloutGroup],
        scores_PG: Sequence[Sequence[Score]],
        rewards_PG: Sequence[Sequence[float | None]] | None = None,
        set_name: str = "",
        extra_PG: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        drawn: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the responses of one step, one row a response, and return the file.

        Args:
            split: `train` or `eval`.
            step: 0 is before training.
            groups: P groups of G responses.
            scores_PG: the verifier's verdicts.
            rewards_PG: the training signal; None for evaluations.
            set_name: the evaluation set.
            extra_PG: further columns, one value a response (`valid_trace`).
            drawn: how they were drawn, over what the store was given: `name` and `model` (its hash or revision) of the
                model, `engine`, `samples`, `temperature`, `max_new_tokens`, `seed`, `extraction`.

        Raises:
            RunError: the folder cannot be written.
        """
        import polars as pl

        columns: dict[str, list[Any]] = {name: [] for name in (*schema(), *(extra_PG or {}))}
        for p, (group, scores) in enumerate(zip(groups, scores_PG, strict=True)):
            _add(columns, {"step": step, "set": set_name, **_of_problem(group)}, len(scores))
            for name, values in _of_responses(group, scores).items():
                columns[name] += values
            columns["reward"] += rewards_PG[p] if rewards_PG is not None else [None] * len(scores)
            for name, values_PG in (extra_PG or {}).items():
                columns[name] += values_PG[p]
        path = self.path(split, step, set_name)
        facts = {DRAWN: json.dumps({**self.drawn, **(drawn or {})}, default=str)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomically(path) as draft, draft.open("wb") as file:  # polars would read `~` in a path
                make_frame(columns).write_parquet(file, row_group_size=ROW_GROUP, metadata=facts)
            self._forget_old_name(split, step, set_name)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(f"Cannot write rollouts to {path} ({reason}). Check space and rights.") from error
        return path

    def _path(self, split: str, step: int, name: str) -> Path:
        return self.folder / split / f"{name + '-' if name else ''}step_{step:06d}.parquet"

    def _forget_old_name(self, split: str, step: int, set_name: str) -> None:
        """Delete the evaluation that was just written anew where an old run keeps it, in a file named otherwise."""
        old = self._path(split, step, _old_name(set_name))
        if old == self.path(split, step, set_name) or old not in old.parent.iterdir():  # it may be too long to ask for
            return
        if read_file(old, ["set"], set_name).height:
            old.unlink()


def read_file(
    file: Path, columns: Collection[str] | None = None, set_name: str | None = None, where: pl.Expr | None = None
) -> pl.DataFrame:
    """Read some of one file, as `choose` does.

    Raises:
        RunError: the file cannot be read (the message names it).
    """
    import polars as pl

    try:
        return choose(scan_file(file), columns, set_name, where).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(file, error) from error


def scan_table(file: Path) -> pl.LazyFrame:
    """Open a parquet file of any columns. A path is a name and no pattern: `[`, `*`, `~`, `a=1` stand for themselves.

    Raises:
        RunError: it cannot be read (the message names it).
    """
    import polars as pl

    try:
        if file.is_dir():
            raise IsADirectoryError(f"{file.name} is a folder")
        frame = pl.scan_parquet(file.absolute(), glob=False, hive_partitioning=False)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(file, error) from error
    return frame


def read_table(file: Path) -> pl.DataFrame:
    """Read a whole parquet file, whatever its columns are.

    Raises:
        RunError: it cannot be read (the message names it).
    """
    import polars as pl

    try:
        return scan_table(file).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(file, error) from error


def scan_file(file: Path) -> pl.LazyFrame:
    """Open one file; only its last part, which names the columns, is read.

    Raises:
        RunError: it cannot be read (the message names it).
    """
    import polars as pl

    frame = scan_table(file)
    found = frame.collect_schema()
    for name, kind in (schema() | {"valid_trace": pl.Boolean()}).items():
        if name in found and not _serves(found[name], kind):
            raise _unreadable(file, f"its column `{name}` should hold {kind}, not {found[name]}")
    return frame


def _serves(found: pl.DataType, kind: pl.DataType) -> bool:
    """Whether a column of a file can be read as one of the schema: all null, of its kind, or of a like number."""
    import polars as pl

    if found == kind or found == pl.Null():
        return True
    if isinstance(kind, pl.List):
        return isinstance(found, pl.List) and (kind.inner == found.inner or found.inner in (pl.Int64(), pl.Null()))
    return kind.is_numeric() and found.is_numeric()


def choose(
    frame: pl.LazyFrame,
    columns: Collection[str] | None = None,
    set_name: str | None = None,
    where: pl.Expr | None = None,
) -> pl.LazyFrame:
    """Some columns and rows of saved responses.

    Args:
        frame: responses.
        columns: those wanted, null where they were not saved; all that were saved when None.
        set_name: only this set's.
        where: only rows of which this holds.
    """
    import polars as pl

    conditions = [] if set_name is None else [pl.col("set") == set_name]
    conditions += [] if where is None else [where]
    needed = dict.fromkeys([*(columns or ()), *(name for item in conditions for name in item.meta.root_names())])
    known, types = frame.collect_schema().names(), schema()
    missing = [pl.lit(None, types.get(name, pl.Null())).alias(name) for name in needed if name not in known]
    chosen = frame.with_columns(missing).filter(*conditions) if missing or conditions else frame
    return chosen.select(known if columns is None else list(dict.fromkeys(columns)))


def drawn_with(file: Path) -> dict[str, Any]:
    """How the responses of a file were drawn (see `RolloutStore.write`); empty where it does not say.

    Raises:
        RunError: the file cannot be read (the message names it).
    """
    import polars as pl

    try:
        with file.open("rb") as opened:
            facts = parse_json(pl.read_parquet_metadata(opened).get(DRAWN, "{}"))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    if not isinstance(facts, dict):
        raise _unreadable(file, f"how they were drawn is to be a JSON object, not {brief(facts)}")
    return facts


def saved_problem(row: Mapping[str, Any]) -> Problem:
    """Make the problem of a saved response again, so that `presat.score` can judge with it.

    Its metadata are as JSON gives them back.

    Args:
        row: columns `problem_id`, `messages`, `gold`, `domain`, `verifier`, `metadata`.

    Raises:
        RunError: the response was saved without its chat turns or its verifier.
    """
    lacking = [name for name in ("messages", "verifier") if row.get(name) is None]
    if lacking:
        raise RunError(
            f"The saved responses to problem {brief(row.get('problem_id'))} do not say its {' and '.join(lacking)}, so "
            "the problem cannot be made from them. Load the problem from its source."
        )
    messages = tuple(Message(role=turn["role"], content=turn["content"]) for turn in row["messages"])
    try:
        metadata = parse_json(row.get("metadata") or "{}")
    except ValueError as error:
        raise RunError(
            f"The metadata saved with the responses to problem {brief(row.get('problem_id'))} are no JSON ({error})."
        ) from error
    return Problem(row["problem_id"], messages, row["gold"], row.get("domain") or "", row["verifier"], metadata)


def saved_groups(frame: pl.DataFrame) -> Iterator[RolloutGroup]:
    """Make the groups of saved responses again, without the log-probabilities and statistics, which are not kept.

    Args:
        frame: responses, all columns of them.

    Raises:
        RunError: as `saved_problem`.
    """
    for _, part in choose(frame.lazy(), list(schema())).collect().group_by(GROUP, maintain_order=True):
        rows = part.sort("sample").to_dicts()
        first, problem = rows[0], saved_problem(rows[0])
        completions = [Completion(row["text"], tuple(row["token_ids"]), None, row["finished"]) for row in rows]
        yield RolloutGroup(problem, tuple(first["prompt_ids"]), tuple(completions), first["seed"])


def _of_problem(group: RolloutGroup) -> dict[str, Any]:
    """What is the same for every response of a group."""
    problem = group.problem
    return {
        "problem_id": problem.id,
        "seed": group.seed,
        "prompt": "\n\n".join(message["content"] for message in problem.messages),
        "messages": [{"role": message["role"], "content": message["content"]} for message in problem.messages],
        "prompt_ids": list(group.prompt_ids),
        "gold": problem.gold,
        "domain": problem.domain,
        "verifier": problem.verifier,
        "metadata": json.dumps(dict(_storable(problem.metadata))),
    }


def _of_responses(group: RolloutGroup, scores: Sequence[Score]) -> dict[str, list[Any]]:
    responses = group.completions
    return {
        "sample": list(range(len(responses))),
        "text": [response.text for response in responses],
        "token_ids": [list(response.token_ids) for response in responses],
        "n_tokens": [len(response.token_ids) for response in responses],
        "finished": [response.finished for response in responses],
        "extracted": [score.extracted for score in scores],
        "score": [score.value for score in scores],
        "reason": [score.reason for score in scores],
    }


def _add(columns: dict[str, list[Any]], values: Mapping[str, Any], count: int) -> None:
    for name, value in values.items():
        columns[name] += [value] * count


def _storable(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that JSON can hold; others (pictures, dates) no verifier of ours reads."""
    for name, value in metadata.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            continue
        yield name, value


def file_name(set_name: str) -> str:
    """What the files of a set begin with, no two sets alike: a long name is cut, and its hash says whose it is."""
    name = _SPECIAL.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), set_name)
    raw = name.encode()
    if len(raw) <= LONGEST_NAME:
        return name
    return f"{raw[:LONGEST_NAME].decode(errors='ignore')}%{hashlib.sha256(raw).hexdigest()[:16]}"


def _old_name(set_name: str) -> str:
    """What old runs call the files of a set; sets that differ by such characters alone shared one."""
    return re.sub(r"[^\w.@+-]+", "_", set_name)


def _unreadable(file: Path, error: BaseException | str) -> RunError:
    reason = brief(str(error)).strip("'\"")
    return RunError(f"The saved responses in {file} cannot be read ({reason}). Delete the file to do without.")
