"""Writing problems as parquet in the verl record format, whatever they were loaded from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from presat.errors import DataError
from presat.outputs import Maker
from presat.tasks.rows import EXTRA_COLUMN, Row, repeats_of, row_of
from presat.types import Problem

if TYPE_CHECKING:
    import pyarrow as pa


def problems_maker(name: str) -> Maker:
    """The maker of problem files that is called `name` (see `presat.outputs`)."""
    return Maker(name, columns=frozenset({EXTRA_COLUMN, f"extra_info.{EXTRA_COLUMN}", "solve.extraction"}))


SAVED = problems_maker("save_problems")


def save_problems(
    problems: Sequence[Problem], path: str | Path, maker: Maker = SAVED, inputs: Iterable[Path] = ()
) -> Path:
    """Write problems as parquet in the verl record format, so that loading gives the same problems back.

    Columns they were loaded with are kept where all problems share them; what the format has no place for goes into
    `extra_info`, or into one more column, `presat` (see `EXTRA_COLUMN`). Mappings with other keys in every row get the
    keys of all in their column, and are kept as they are in that one. A problem that stood several times in its source
    (`repeats`) is written as often.

    Args:
        problems: what to write.
        path: where to. A file that is there is replaced where the same maker wrote it, and refused otherwise.
        maker: who writes, as the file's mark will say.
        inputs: files, and folders of files, that the problems come from: none of them is written over.

    Raises:
        ConfigError: the file is an input, or is there and not of this make.
        DataError: nothing to write, metadata that cannot be stored, or a column `repeats` of another meaning.
        RunError: it cannot be written.
    """
    import pyarrow.parquet as pq

    if not problems:
        raise DataError(f"There are no problems to write to {path}.")
    repeats = [repeats_of(problem) for problem in problems]
    order = [place for turn in range(max(repeats)) for place, n in enumerate(repeats) if turn < n]
    rows = [row_of(problems[place], index=place) for place in order]
    table = _table(rows)
    if table is None and (uneven := _uneven(rows)):
        table = _table([row_of(problems[place], index=place, aside=uneven) for place in order], uneven)
    if table is None:
        table = _table([row_of(problems[place], plain=True, index=place) for place in order])
    assert table is not None  # noqa: S101  (plain rows have the same columns of the same types)
    path = Path(path)
    with maker.write(path, inputs) as draft:
        pq.write_table(maker.marked(table), draft)
    return path


def _table(rows: Sequence[Row], aside: Collection[str] = ()) -> pa.Table | None:
    """The rows as a table, or None where a table would not give the same rows back.

    The columns `aside` are kept elsewhere too, so that they may come back with more keys.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except pa.ArrowException:  # values of different kinds
            return None
        everywhere = name == EXTRA_COLUMN or all(name in row for row in rows)
        # mappings with different keys would come back with the keys of all, and parquet has no empty ones
        same = name in aside or columns[name].to_pylist() == values
        if not everywhere or not same or "struct<>" in str(columns[name].type):
            return None
    return pa.table(columns)


def _uneven(rows: Sequence[Row]) -> set[str]:
    """Columns of all rows that hold mappings, whose keys are not the same everywhere."""
    keys = {
        name: {frozenset(row[name]) for row in rows if row[name] is not None}
        for name in rows[0]
        if all(isinstance(row.get(name, ""), Mapping | None) for row in rows)
    }
    return {name for name, different in keys.items() if len(different) > 1}
