"""CSV and LaTeX: everything in full, and every special character escaped."""

import csv
import io
import re

from presat.analysis import summarise
from presat.report.tables import COLUMNS, choices_note, rows, to_csv, to_latex, used_columns
from presat.tracking import open_run


def test_the_csv_holds_every_number_in_full(make_run):
    summaries = [
        summarise(open_run(make_run("a", ood=(0.2, 0.4))), name='a, "quoted"\nname'),
        summarise(open_run(make_run("b", held_out=None))),
    ]
    table = list(csv.DictReader(io.StringIO(to_csv(rows(summaries)))))
    assert [(row["run"], row["set"]) for row in table] == [
        ('a, "quoted"\nname', "held_out"), ('a, "quoted"\nname', "ood"), ("b", "")
    ]  # fmt: skip
    item = summaries[0].main_set
    assert float(table[0]["pre_saturation_gain"]) == item.gains.pre_saturation_gain
    assert float(table[0]["score_change_low"]) == item.headline.interval.low
    assert float(table[0]["pass_last"]) == item.changes["pass@8"].after
    assert (table[0]["tail"], table[0]["window"], table[0]["reading"], table[0]["grid"]) == (
        "4", "5", "interpolate", "curve"
    )  # fmt: skip
    assert table[2]["score_first"] == ""
    assert to_csv([]) == "\n"


def test_printed_columns_are_those_that_hold_something(make_run):
    with_traces = rows([summarise(open_run(make_run("a")))])
    everything = [column.key for column in COLUMNS if column.key not in ("model", "gold")]  # neither differs here
    assert [column.key for column in used_columns(with_traces)] == everything[:-2]
    assert everything[-2:] == ["judged_problems", "unjudged_problems"]  # none was left out
    bare = rows([summarise(open_run(make_run("b", held_out=None)))])
    assert [column.key for column in used_columns(bare)] == ["run", "verdict", "reward", "t_sat"]
    cells = {column.key: column.text(bare[0]) for column in used_columns(bare)}
    assert re.fullmatch(r"0\.\d\d → 0\.95", cells["reward"])
    assert re.fullmatch(r"24 \(\d\d\)", cells["t_sat"])


def test_latex_escapes_what_it_must(make_run):
    summary = summarise(open_run(make_run()), name=r"a_b & 50% $x$ #1 {y} ~ ^ \input{z}" + "\nw")
    text = to_latex(rows([summary]), choices_note([summary]))
    assert r"a\_b \& 50\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}input\{z\} w & " in text
    lines = text.splitlines()
    assert lines[0] == "% presat report"
    assert lines[1].startswith("% t_sat: first step")
    assert "tail): 4;" in lines[1]
    body = [line for line in lines if line.endswith(r"\\")]
    shape = re.search(r"\{([lr]+)\}", lines[2]).group(1)
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(shape) - 1 for line in body)
    assert r"$\to$" in body[1]
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert text.isascii()


def test_the_csv_holds_nothing_that_a_spreadsheet_runs(make_run):
    """Text that begins like a formula stands behind an apostrophe, whichever column; a number stays one."""
    summary = summarise(open_run(make_run(held_out=(0.5, 0.2))))
    for begin in ("=", "+", "-", "@", "\t", "\n", "\r"):
        cells = {name: f"{begin}cmd" for name, cell in rows([summary])[0].items() if isinstance(cell, str)}
        assert {"run", "set", "metric", "verdict"} <= cells.keys()
        (read,) = csv.DictReader(io.StringIO(to_csv([{**rows([summary])[0], **cells}]), newline=""))
        assert {read[name] for name in cells} == {"\\x0dcmd" if begin == "\r" else f"'{begin}cmd"}
        assert float(read["score_change_low"]) == summary.main_set.headline.interval.low < 0
