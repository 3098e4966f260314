"""`presat study report`, as the command line calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.analysis.numbers import Choices
from presat.config.load import build, read_yaml
from presat.config.schema import StudyConfig, StudyReportConfig
from presat.errors import ConfigError, RunError
from presat.outputs import Maker
from presat.report import study_tables as texts
from presat.report.study import read_study
from presat.report.terminal import say
from presat.study import Folder, folder_of
from presat.study.comparison import table_of
from presat.study.false_claims import Check, check
from presat.study.finished import Cells
from presat.study.forms import metrics_of, published
from presat.study.quantities import CHECK, MAIN, parse_quantity
from presat.text import brief, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MAKER = Maker(
    texts.KIND,
    re.compile(
        rb"<!-- presat study report -->|% presat study report|\{\s*\"kind\": \"presat study report\"|"
        rb"metric,[^\n]{0,2000}seeds,of,mean,low,high,over,paper,"
    ),
)
USUAL = ("main", "change:main", "change:reward", "t_sat", "verdict")
USUAL_OF_CHECK = ("check:avg", "check:usable", "check:aligned_right", "check:generalise:clean",
                  "check:generalise:majority_vote")  # fmt: skip
_BETWEEN = 2
"""Blanks between two columns on the terminal."""
ENDINGS = (".md", ".csv", ".tex", ".json")


def report(config: StudyReportConfig, out: Console) -> dict[str, Any]:
    """Show a study's cells as a table with what may be claimed of them, write it, and return the numbers.

    Raises:
        ConfigError: no study is named, or there is no such axis, value, metric or kind of file.
        RunError: it was not run yet, one of its runs cannot be read, or a file cannot be written.
    """
    if config.form and config.metric:
        raise ConfigError("`--form` says which metrics are shown: leave out `--metric`, or `--form`.")
    _check_files(config.out)
    where, against = (_labels(words, name) for words, name in ((config.where, "where"), (config.against, "against")))
    cells = _cells(config)
    names = metrics_of(config.form, cells.file.axes) if config.form else config.metric or _usual(cells)
    table = table_of(cells, [parse_quantity(name) for name in dict.fromkeys(names)], config.rows, config.columns, where,
                     against)  # fmt: skip
    if config.aa is not None:
        return _show_check(check(table.entries, config.aa), out)
    known = published(cells, table) if config.form == "table1" else {}
    made = texts.to_json(table, known, bool(against))
    for title, heads, body in texts.blocks(table, known):
        if title:
            say(out, title)
        for part in _fitting(heads, body, len(table.rows), out.width):
            _show(*part, out)
    if against:
        _show(*texts.comparison_rows(table), out)
    for line in made["sentences"]:
        say(out, line)
    for path in config.out:
        text = {
            ".md": lambda: texts.to_markdown(table, known, bool(against)),
            ".tex": lambda: texts.to_latex(table, known, bool(against)),
            ".csv": lambda: texts.to_csv(table, known),
            ".json": lambda: texts.json_text(made),
        }[path.suffix]()
        MAKER.write_text(path, text)
        say(out, f"wrote {path}")
    return made | {"written": [str(path) for path in config.out]}


def _cells(config: StudyReportConfig) -> Cells:
    path, read = Path(config.study), config.read
    given = None if config.study and path.is_dir() else read_study(config.study, "report")
    folder = Folder(path) if given is None else folder_of(given)
    if not folder.read().cells:
        raise RunError(f"No study was run in {folder.path} yet. Start it: `presat study run STUDY.yaml`.")
    study = given or build(StudyConfig, read_yaml(str(folder.study)), str(folder.study))
    return Cells(folder, Choices(read.tail, read.window, read.reading, read.grid), study.out_of_domain)


def _usual(cells: Cells) -> Sequence[str]:
    """What is shown when nothing is asked for: of RL, else of checks, else of the last stage that makes a model."""
    stages = {stage for point in cells.file.points for stage in point.cells}
    if "train" in stages:
        return USUAL
    found = [*(USUAL_OF_CHECK if CHECK in stages else ()), *([MAIN] if "eval" in stages else ())]
    return found or ["loss"]


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.suffix not in ENDINGS:
            raise ConfigError(f"`--out` should end in one of {', '.join(ENDINGS)}, not {brief(path.name)}.")
    MAKER.check(paths)


def _labels(words: Sequence[str], name: str) -> dict[str, str]:
    """`AXIS=VALUE` words by axis."""
    found: dict[str, str] = {}
    for word in words:
        axis, equals, value = word.partition("=")
        if not equals or axis in found:
            raise ConfigError(f"`--{name}` takes `AXIS=VALUE`, one for each axis, not {brief(word)}.")
        found[axis] = value
    return found


def _show(heads: Sequence[str], body: Sequence[Sequence[str]], out: Console) -> None:
    out.print(_table(heads, body))
    say(out, "")


def _fitting(
    heads: Sequence[str], body: Sequence[Sequence[str]], keys: int, width: int
) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield a table as several of no more than `width`, each with the first `keys` columns, where it is too wide."""
    rows = [heads, *body]
    wide = [max(len(row[i]) for row in rows) + _BETWEEN for i in range(len(heads))]
    taken: list[int] = []
    for i in range(keys, len(heads)):
        if taken and sum(wide[:keys]) + sum(wide[j] for j in taken) + wide[i] > width:
            yield _columns(rows, [*range(keys), *taken])
            taken = []
        taken.append(i)
    yield _columns(rows, [*range(keys), *taken])


def _columns(rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    head, *body = [[row[i] for i in chosen] for row in rows]
    return head, body


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, padding=(0, _BETWEEN, 0, 0))
    for head in heads:
        shown.add_column(Text(printable(head)), overflow="fold")
    for row in body:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return shown


def _show_check(found: Check, out: Console) -> dict[str, Any]:
    """The A/A check: shares of claims, all of them false."""
    body = [
        [row.name, str(row.seeds), str(row.draws), _share(row.claims, row.draws), _share(row.paired, row.draws)]
        for row in found.rows
    ]
    _show(["metric", "seeds", "comparisons", "claims", "claims, paired"], body, out)
    reports, draws = found.reports
    say(
        out,
        f"Two groups of {found.group} seeds of one setting: how often the 95% interval of a difference leaves out 0.",
    )
    say(
        out, f"Reports over all of these metrics that claim any difference, after correction: {_share(reports, draws)}."
    )
    verdicts = ", ".join(f"{count} {name}" for name, count in found.verdicts.items())
    if verdicts:
        differ, pairs = found.pairs
        say(out, f"Verdicts of single runs: {verdicts}. Pairs of runs with different ones: {_share(differ, pairs)}.")
    return asdict(found)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"
