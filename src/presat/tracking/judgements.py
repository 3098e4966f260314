"""What judges said of responses, kept beside them: `judgements/JUDGE.jsonl` in the run directory.

One file a judge, named by its identity; one line a response, keyed by the hash of what was judged (prompt, response and
gold answer), so that the same response is known again in whatever step, set or order it stands. Lines are appended and
never changed. What is no run directory of ours is left alone: its judgements lie in the cache, under its path's hash.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.models.packaged import cache_folder
from presat.tracking.keyed import KEY, KeyedLines
from presat.tracking.responses import file_name

if TYPE_CHECKING:
    import polars as pl

LOG = logging.getLogger("presat")
JUDGEMENTS = "judgements"
LABELS = (1.0, 0.5, 0.0)


def judgement_folder(path: Path, ours: bool) -> Path:
    """Where the judgements of a run's responses are kept.

    Args:
        path: of the run.
        ours: whether it is a run directory of ours, and not another's log.
    """
    if ours:
        return path / JUDGEMENTS
    place = str(path.resolve())
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return cache_folder() / JUDGEMENTS / f"{file_name(path.resolve().name)[:64]}-{digest}"


def response_key(prompt: str, response: str, gold: str | None) -> str:
    """The hash by which what was judged is known again."""
    return hashlib.sha256(json.dumps([prompt, response, gold]).encode()).hexdigest()[:32]


class JudgementFile:
    """What one judge said, by the key of the response.

    Attributes:
        rows: judge, key, label, score, reason, tokens, calls, and `details` where there are any.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Read what is known; lines that are no judgements are left out, and counted in a warning.

        Raises:
            RunError: the file cannot be read, or is not ours.
        """
        self._identity = identity
        self._lines = KeyedLines(folder / f"{file_name(identity)}.jsonl")
        self.rows = _sound(self._lines, identity)

    def add(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Append judgements, by key: label, score, reason, tokens, calls, and `details` where there are any.

        Raises:
            RunError: they cannot be written.
        """
        whole = {key: {"judge": self._identity, KEY: key, **row} for key, row in rows.items()}
        self._lines.add(whole.values())
        self.rows.update(whole)


def read_judgements(folder: Path, identity: str | None = None) -> pl.DataFrame:
    """Read the judgements in a folder, one row each: judge, key, label, score, reason, tokens, calls, `details/NAME`.

    Args:
        folder: where they are; none where it is not there.
        identity: only this judge's.

    Raises:
        RunError: a file cannot be read, or is not ours.
    """
    import polars as pl

    names = [f"{file_name(identity)}.jsonl"] if identity is not None else [file.name for file in _files(folder)]
    found = [row for name in names for row in _sound(KeyedLines(folder / name), identity).values()]
    number, text = pl.Float64(), pl.String()
    schema = {"judge": text, KEY: text, "label": number, "score": number, "reason": text}
    schema |= {"tokens": pl.Int64(), "calls": pl.Int64()}
    schema |= dict.fromkeys(sorted({f"details/{name}" for row in found for name in row.get("details", {})}), number)
    flat = [row | {f"details/{name}": value for name, value in row.get("details", {}).items()} for row in found]
    return pl.DataFrame([[row.get(name) for name in schema] for row in flat], schema=schema, orient="row")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.jsonl") if file.is_file() and not file.name.startswith("."))


def _sound(lines: KeyedLines, identity: str | None) -> dict[str, dict[str, Any]]:
    sound = {key: row for key, row in lines.rows.items() if _is_judgement(row, identity)}
    if len(sound) < len(lines.rows):
        LOG.warning("%d lines of %s are no judgements and were left out.", len(lines.rows) - len(sound), lines.path)
    return sound


def _is_judgement(row: Mapping[str, Any], identity: str | None) -> bool:
    label, score = row.get("label"), row.get("score")
    return (
        isinstance(row.get("judge"), str)
        and (identity is None or row["judge"] == identity)
        and (label is None or (_is_number(label) and label in LABELS))
        and (score is None or _is_number(score))
        and isinstance(row.get("reason"), str)
        and all(isinstance(row.get(name), int) for name in ("tokens", "calls"))
        and isinstance(details := row.get("details", {}), dict)
        and all(map(_is_number, details.values()))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
