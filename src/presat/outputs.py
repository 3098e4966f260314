"""The files a person says to write: nothing is written over that its maker did not make.

Every file that a verb writes where a person says to carries its maker's mark: parquet in its metadata, text near its
beginning. So the same verb started again replaces what it wrote before (or an empty file, in which nothing is lost),
and everything else is refused: the verb's own inputs, by whatever name, and any other file. A parquet file also says
which settings it was made with: what was made of another source or model is not replaced, and where other settings
differ that is said. A verb checks all its files before it does anything else, and each is checked once more when it is
written.

    maker = Maker("presat data filter").using(config.model_dump(mode="json"))
    maker.check([path], inputs=[source])
    with maker.write(path, inputs=[source]) as draft:
        pq.write_table(maker.marked(table), draft)
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError, RunError
from presat.files import atomically
from presat.text import brief, listed, printable

if TYPE_CHECKING:
    import pyarrow as pa

LOG = logging.getLogger("presat")
MADE_BY = b"presat.made_by"
"""Key of a parquet file's metadata that holds the name of its maker."""
MADE_WITH = b"presat.made_with"
"""Key of a parquet file's metadata that holds the settings it was made with, as a flat JSON object."""
_OTHER_DATA = ("data.source", "model.name")
"""Settings of which a file is another selection: hours of sampling may be in the one that is there."""
DECIDES_NOTHING = {"out", "run", "resume", "threads", "onednn", "rows", "chunk", "verify.workers", "verify.timeout_s"}
"""Settings under which the same file is made."""
_SHOWN = 60
"""Most characters that are shown of a setting."""
_HEAD = 64 * 1024
"""Bytes at the beginning of a text file that its mark is looked for in."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Who writes a file, and what tells its files.

    Attributes:
        name: a verb, `presat data filter`, or a function; the mark of its parquet files.
        begins: what its text files begin with.
        columns: parquet columns (`COLUMN.KEY` of a mapping) that nothing but an earlier version, which left no mark,
            writes in a file without metadata.
        settings: what its parquet files are made with, by dotted name; see `using`.
    """

    name: str
    begins: re.Pattern[bytes] | None = None
    columns: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def using(self, settings: Mapping[str, Any]) -> Maker:
        """Return the maker of files made with `settings`, as a configuration's `model_dump(mode="json")` has them."""
        known = {name: value for name, value in flat(settings) if name not in DECIDES_NOTHING}
        return replace(self, settings=known)

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The mark of a parquet file, as metadata of its schema."""
        mark = {MADE_BY: self.name.encode()}
        return mark | {MADE_WITH: json.dumps(self.settings).encode()} if self.settings else mark

    def check(self, paths: Sequence[Path], inputs: Iterable[Path] = ()) -> None:
        """Refuse to write `paths` where something would be lost; call it before anything is done.

        Args:
            paths: all files that are to be written.
            inputs: what is read: files, and folders whose files are all read.

        Raises:
            ConfigError: one is an input, lies in a folder that is one, is there and not of this make or made of another
                source or model, or is named twice.
            RunError: its folder cannot be made or written to.
        """
        inputs = list(inputs)
        for path in paths:
            self._refuse_inputs(path, inputs)
        if len({str(path.absolute()).casefold() for path in paths}) < len(paths):
            raise ConfigError(
                f"Two files would be written to {_shown(paths[0])}: give `--out` a name with another ending."
            )
        for path in paths:
            if path.is_dir():
                raise ConfigError(f"{_shown(path)} is a folder: `--out` should name a file, in it for instance.")
            if os.path.lexists(path) and not (self.made(path) or _is_empty(path)):
                raise ConfigError(
                    f"{_shown(path)} is there, and it is not a file that `{self.name}` made, so it is left as it is: "
                    "delete or move it, or give another `--out`."
                )
            other = {name: pair for name, pair in self._changed(path).items() if name in _OTHER_DATA}
            if other:
                raise ConfigError(
                    f"{_shown(path)} was made of other data ({_told(other)}), and would be lost: give another `--out`, "
                    "or delete it."
                )
            _refuse_folder(path.parent)

    def _changed(self, path: Path) -> dict[str, tuple[Any, Any]]:
        """The settings that the file at `path` was made with otherwise: then, now. What it does not say did not."""
        if not self.settings or not path.is_file():
            return {}
        try:
            then = json.loads(_metadata(path).get(MADE_WITH, b"{}"))
        except ValueError:
            return {}
        known = then if isinstance(then, dict) else {}
        return {name: (known[name], now) for name, now in self.settings.items() if name in known and known[name] != now}

    def _refuse_inputs(self, path: Path, inputs: Sequence[Path]) -> None:
        if any(_same(path, source) for source in inputs if not source.is_dir()):
            raise ConfigError(
                f"{_shown(path)} is read by `{self.name}`, so it is not written over: give another `--out`."
            )
        for source in inputs:
            if source.is_dir() and _same(path.parent, source):
                raise ConfigError(
                    f"{_shown(path)} would lie among the files of {_shown(source)}, which are all read, and be one of "
                    "them the next time: give another `--out`."
                )

    def made(self, path: Path) -> bool:
        """Whether the file at `path` is of this make. One that cannot be read, or is no file, is not."""
        if not path.is_file():
            return False
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return False
        if head.startswith(b"PAR1"):
            return self._made_parquet(path)
        return self.begins is not None and self.begins.match(head) is not None

    def _made_parquet(self, path: Path) -> bool:
        found = _footer(path)
        if found is None:
            return False
        known = {key: value for key, value in (found.metadata or {}).items() if key != b"ARROW:schema"}
        if known:
            return known.get(MADE_BY) == self.name.encode()
        return any(found.schema.column(index).path in self.columns for index in range(found.num_columns))

    @contextmanager
    def write(self, path: Path, inputs: Iterable[Path] = ()) -> Iterator[Path]:
        """Yield where to write the file, as `atomically` does; folders that are not there are made.

        Where that fails, `path` is as it was and no folder is left that was not there before. A file that takes the
        place of one made with other settings says so as a warning.

        Raises:
            ConfigError: as `check`.
            RunError: as `check`, or it cannot be written.
        """
        self.check([path], inputs)
        changed = self._changed(path)
        path = path.resolve()  # the file a link stands for; the link stays
        try:
            with _folder(path.parent), atomically(path) as draft:
                yield draft
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"Cannot write {_shown(path)}: {reason}. Check the disk and your rights there.") from error
        if changed:
            LOG.warning("%s takes the place of one made with other settings: %s.", _shown(path), _told(changed))

    def write_text(self, path: Path, text: str, inputs: Iterable[Path] = ()) -> Path:
        """Write a text file that begins as `begins` says; return `path`.

        Raises:
            ConfigError, RunError: as `write`.
        """
        with self.write(path, inputs) as draft:
            draft.write_text(printable(text), encoding="utf-8")
        return path

    def marked(self, table: pa.Table) -> pa.Table:
        """Return a table with the mark in its metadata."""
        return table.replace_schema_metadata(self.metadata)


def _footer(path: Path) -> Any:
    """The metadata of a parquet file; None where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path.absolute())
    except (pa.ArrowException, OSError):
        return None


def _metadata(path: Path) -> Mapping[bytes, bytes]:
    found = _footer(path)
    return (found.metadata if found else None) or {}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _told(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Say how settings differ: `data.source 'a', now 'b'`."""
    pairs = [f"{name} {brief(then, _SHOWN)}, now {brief(now, _SHOWN)}" for name, (then, now) in changed.items()]
    return listed(pairs, most=6)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder; where the block fails, what was made is removed again."""
    made = [item for item in (folder, *folder.parents) if not item.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for item in made:
            with suppress(OSError):  # somebody wrote into it
                item.rmdir()
        raise


def _refuse_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, or not be written to."""
    there = next(item for item in (folder, *folder.absolute().parents) if os.path.lexists(item))
    if not there.is_dir():
        raise RunError(f"Cannot make the folder {_shown(folder)}: {_shown(there)} is no folder. Give another `--out`.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"Cannot write to {_shown(there)}: you may not. Give another `--out`.")


def _is_empty(path: Path) -> bool:
    """Whether a file is there that holds nothing, such as `touch` makes."""
    return path.is_file() and not path.stat().st_size


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file: links, and names that differ in case where the disk has no case."""
    try:
        return one.samefile(other)
    except OSError:  # one is not there
        return False


def _shown(path: Path) -> str:
    return printable(str(path))
