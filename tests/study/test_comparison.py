"""Cells side by side: what is averaged, what is missing, what is claimed; on small studies of saved runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.saved_runs import MakeRun

from presat.analysis.numbers import Choices
from presat.cli import run
from presat.errors import ConfigError
from presat.study import Folder
from presat.study.comparison import Entry, Table, Unit, compare, orders, table_of
from presat.study.false_claims import check
from presat.study.finished import Cells
from presat.study.folder import KIND, CellPart, PointPart, Record, StudyFile
from presat.study.forms import metrics_of, published
from presat.study.quantities import Measured, parse_quantity

LEVELS = {"weak": (0.3, 0.4), "strong": (0.3, 0.8)}
SEEDS = ("0", "1", "2")


@pytest.fixture
def make_study(tmp_path: Path, make_run: MakeRun) -> Callable[..., Folder]:
    """Make a finished study: two starts, three seeds, a run for each; `states` says which cells are something else."""

    def make(states: dict[str, str] | None = None, **given: Any) -> Folder:
        folder = Folder(tmp_path / "s")
        folder.path.mkdir()
        folder.claim()
        file = StudyFile(kind=KIND, study="s", axes={"start": list(LEVELS), "seed": list(SEEDS)})
        for start, (before, after) in LEVELS.items():
            for number, seed in enumerate(SEEDS):
                name = f"train-{start}-seed{seed}"
                ends = (before + 0.01 * number, after + 0.01 * number)
                shutil.move(make_run(name, held_out=ends, ood=(0.3, 0.3), steps=20, **given), folder.run(name))
                file.cells[name] = CellPart(stage="train", key=name, after=[], path=f"runs/{name}", work=1.0)
                file.points.append(PointPart(axes={"start": start, "seed": seed}, cells={"train": name}))
                state: Any = (states or {}).get(name, "done")
                if state != "waiting":
                    folder.note(name, Record(key=name, state=state, reason="" if state == "done" else "The disk."))
        folder.write(file)
        folder.study.write_text("study: s\nbase: {train: {}}\n")
        return folder

    return make


def table(folder: Folder, *words: str, **given: Any) -> Table:
    return table_of(Cells(folder, Choices()), [parse_quantity(word) for word in words], **given)


def entries(found: Table) -> dict[tuple[str, str], Entry]:
    return {(item.row[0] if item.row else "", item.quantity.name): item for item in found.entries}


def test_means_over_seeds_and_problems_and_what_is_claimed(make_study: Callable[..., Folder]) -> None:
    found = table(make_study(), "main", "change:held_out", "change:reward", "verdict", against={"start": "weak"})
    by = entries(found)
    strong = by["strong", "main"]
    assert strong.mean == pytest.approx(0.8, abs=0.05)
    assert (len(strong.problems), strong.over) == (40, "3 seeds, 40 problems")
    assert strong.interval is not None
    assert strong.interval.low < 0.8 < strong.interval.high
    assert by["strong", "change:reward"].interval is None  # all seeds are equal: how they scatter is not known
    assert by["strong", "verdict"].words.total() == 3
    claims = {item.quantity.name: item for item in found.comparisons}
    assert claims.keys() == {"main", "change:held_out", "change:reward"}
    assert claims["main"].claimed
    assert claims["main"].over == "3 seeds, paired, 40 problems"
    assert claims["change:reward"].estimate is None
    assert not claims["change:reward"].claimed


def test_a_cell_that_is_not_done_is_counted_and_in_no_mean(make_study: Callable[..., Folder]) -> None:
    states = {"train-strong-seed0": "failed", "train-weak-seed0": "waiting", "train-weak-seed1": "running"}
    folder = make_study(states)
    by = entries(table(folder, "main", "verdict"))
    strong, weak = by["strong", "main"], by["weak", "main"]
    assert (dict(strong.missing), len(strong.values)) == ({"failed": 1}, 2)
    assert strong.interval is None
    assert dict(weak.missing) == {"waiting": 1, "interrupted": 1}  # nothing runs it
    assert len(weak.values) == 1
    assert dict(by["strong", "verdict"].missing) == {"failed": 1}


def test_two_settings_that_overlap_are_not_ranked(make_study: Callable[..., Folder]) -> None:
    clear, unclear = orders(table(make_study(), "main", "out_of_domain"))
    assert ([item.last.row for item in clear[2]], clear[3]) == ([("strong",)], [])
    assert (unclear[2], [len(group) for group in unclear[3]]) == ([], [2])


def test_an_axis_that_is_neither_row_nor_column_is_averaged_within_a_seed(make_study: Callable[..., Folder]) -> None:
    folder = make_study()
    file = folder.read()
    file.axes["other"] = ["a"]
    file.axes = {"other": ["a"], **file.axes}
    file.points = [PointPart(axes={"other": "a", **point.axes}, cells=point.cells) for point in file.points]
    folder.write(file)
    found = table(folder, "main", "verdict", rows=["other"])
    (item, verdicts) = found.entries
    by = entries(table(folder, "main"))
    both = [by[start, "main"].mean or 0.0 for start in LEVELS]
    assert (found.averaged, len(item.values)) == (["start"], 3)
    assert item.mean == pytest.approx(sum(both) / 2)
    assert verdicts.missing.total() == 3


def test_a_cell_that_all_seeds_share_is_one_unit(make_study: Callable[..., Folder]) -> None:
    folder = make_study()
    file = folder.read()
    file.points = [
        PointPart(axes=point.axes, cells={"train": f"train-{point.axes['start']}-seed0"}) for point in file.points
    ]
    folder.write(file)
    item = entries(table(folder, "main"))["strong", "main"]
    assert [unit.seed for unit in item.units] == ["0, 1, 2"]
    assert item.interval is None


def test_what_two_settings_share_is_not_compared_with_itself(make_study: Callable[..., Folder]) -> None:
    folder = make_study()
    file = folder.read()
    file.points = [
        PointPart(axes=point.axes, cells={"train": f"train-weak-seed{point.axes['seed']}"}) for point in file.points
    ]
    folder.write(file)
    found = table(folder, "main")
    assert [len(item.values) for item in found.entries] == [3, 3]
    assert found.comparisons == []
    assert table(folder, "main", against={"start": "weak"}).comparisons == []


def test_a_table_wider_than_the_terminal_is_shown_in_parts(
    make_study: Callable[..., Folder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_study()

    def shown(columns: str) -> list[str]:
        monkeypatch.setenv("COLUMNS", columns)
        assert run(["study", "report", str(folder.path)]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("start ", "strong "))]

    assert len(shown("300")) == 2
    narrow = shown("80")
    assert len(narrow) > 2
    assert max(map(len, narrow)) <= 80


def test_a_skipped_cell_says_how_the_first_one_failed(make_study: Callable[..., Folder]) -> None:
    folder = make_study({"train-strong-seed0": "waiting"})
    file = folder.read()
    for name, after in (("sft", []), ("filter", ["sft"])):
        file.cells = {name: CellPart(stage="sft", key=name, after=after, path=f"runs/{name}", work=1.0), **file.cells}
    order = ["sft", "filter", *(name for name in file.cells if name.startswith("train"))]
    file.cells = {name: file.cells[name] for name in order}
    file.cells["train-strong-seed0"].after = ["filter"]
    folder.note("sft", Record(key="sft", state="failed", reason="No such model."))
    folder.write(file)
    assert any("sft failed: No such model" in note for note in table(folder, "main").notes)


def test_gaps_are_of_the_same_seed(make_study: Callable[..., Folder]) -> None:
    by = entries(table(make_study(), "G(strong):main", "t_sat", "D_sat:main", "D_post:in_domain"))
    weak = by["weak", "G(strong):main"]
    assert len(weak.values) == 3
    assert min(weak.values) > 0.1
    assert dict(by["strong", "G(strong):main"].missing) == {"no value": 3}
    assert by["weak", "t_sat"].values == [12.0] * 3
    assert by["strong", "D_sat:main"].mean == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["hold_out"], {}, r"No run of the study has `hold_out`\. Did you mean 'held_out'"),
        (["D_sat:"], {}, "There is no metric 'D_sat:'"),
        (["main"], {"rows": ["stat"]}, "no axis `stat` to report by.*Did you mean 'start'"),
        (["main"], {"rows": ["seed"]}, "no axis `seed`"),
        (["main"], {"where": {"start": "wek"}}, "no value `wek`.*Did you mean 'weak'"),
        (["G(64):main"], {}, "No axis has the value `64`"),
        (["main"], {"rows": ["start"], "against": {"seed": "0"}}, "must be one of the rows or columns"),
    ],
)
def test_what_is_not_there_is_named(
    make_study: Callable[..., Folder], words: list[str], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        table(make_study(), *words, **given)


def entry(values: list[float], row: str = "a") -> Entry:
    units = [Unit(str(seed), "done", Measured(value)) for seed, value in enumerate(values)]
    return Entry((row,), (), parse_quantity("main"), units)


def test_seeds_are_paired_where_three_match_and_separate_else() -> None:
    first, last = entry([0.1, 0.5, 0.9]), entry([0.21, 0.6, 1.0], "b")
    found = compare(first, last)
    assert found is not None
    assert found.over == "3 seeds, paired"
    assert found.estimate is not None
    assert found.estimate.p < 0.01
    others = [Unit(f"9{unit.seed}", "done", unit.found) for unit in last.units]
    apart = compare(first, Entry(("b",), (), last.quantity, others))
    assert apart is not None
    assert apart.over == "3 and 3 seeds"
    assert apart.estimate is not None
    assert apart.estimate.p > 0.5
    few = compare(entry([0.1, 0.2]), entry([0.8, 0.9]))
    assert few is not None
    assert (few.estimate, few.claimed) == (None, False)
    assert few.difference == pytest.approx(0.7)


def test_the_check_of_one_setting_claims_little_and_of_two_is_refused() -> None:
    rng = np.random.default_rng(0)
    one = entry(rng.normal(0.5, 0.1, 30).tolist())
    found = check([one], 4, draws=300)
    (row,) = found.rows
    assert row.draws == 300
    assert row.claims / 300 < 0.09
    assert row.paired / 300 < 0.09
    assert found.reports[0] <= row.claims
    with pytest.raises(ConfigError, match="of one setting"):
        check([one, entry([0.1] * 30, "b")], 4)
    with pytest.raises(ConfigError, match="Two groups of 20 seeds cannot be drawn from 30"):
        check([one], 20)


def test_a_study_says_which_sets_are_out_of_domain(
    make_study: Callable[..., Folder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_study()
    cells = Cells(folder, Choices(), ["held_out"])
    found = table_of(cells, [parse_quantity("in_domain"), parse_quantity("out_of_domain")])
    assert [len(item.values) for item in found.entries] == [0, 0, 3, 3]  # both sets are out of domain then
    study = tmp_path / "s.yaml"
    study.write_text(f"study: s\nout: {folder.path}\nout_of_domain: [held_out]\n")
    assert run(["study", "report", str(study), "--form", "averages", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [item["seeds"] for item in said["entries"]] == [0, 0, 3, 3]


def test_forms() -> None:
    axes = {"supervision": ["n8", "n64", "vote"], "seed": ["0", "1"]}
    assert metrics_of("gaps", axes) == ["G(n64):in_domain", "G(n64):out_of_domain"]
    assert metrics_of("table1", {})[0] == "t_sat"
    with pytest.raises(ConfigError, match="no axis of the study has several numbers of prompts"):
        metrics_of("gaps", {"seed": ["0", "1"]})


def test_published_values_stand_beside_the_setting_they_are_of(make_study: Callable[..., Folder]) -> None:
    folder = make_study()
    file = folder.read()
    for name, n in (("train-weak-seed0", 8), ("train-strong-seed0", 64)):
        settings = {
            "model": {"name": "Qwen/Qwen2.5-1.5B"},
            "reward": {"source": "verifiable", "gate": "none"},
            "eval": {"sets": [{"source": "benchmark/math500", "name": ""}]},
        }
        folder.config(name).write_text(json.dumps(settings))
        folder.config(f"subset-{n}").write_text(json.dumps({"n": n}))
        point = next(point for point in file.points if point.cells["train"] == name)
        point.cells["subset"] = f"subset-{n}"
        file.cells[f"subset-{n}"] = CellPart(stage="subset", key="k", after=[], path="data/x.parquet", work=0.0)
    folder.write(file)
    cells = Cells(folder, Choices())
    found = published(cells, table(folder, "t_sat"))
    assert found == {
        (("weak",), (), "t_sat"): 170,
        (("weak",), (), "D_sat:main"): 0.321,
        (("weak",), (), "D_post:main"): 0.009,
    }


def test_the_verb_shows_and_writes_what_it_found(
    make_study: Callable[..., Folder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_study({"train-weak-seed2": "failed"})
    files = [str(tmp_path / f"t.{ending}") for ending in ("md", "csv", "tex", "json")]
    words = ["study", "report", str(folder.path)]
    assert run([*words, "--out", *files]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "[2 of 3; 1 failed]" in shown
    assert "no order is claimed between strong and weak" in shown  # two seeds of one: no interval
    assert "Missing" in shown
    assert "The disk" in shown
    markdown = Path(files[0]).read_text()
    assert markdown.startswith("<!-- presat study report -->\n| start | main |")
    assert "| weak |" in markdown
    lines = Path(files[1]).read_text().splitlines()
    assert lines[0].startswith("metric,start,seeds,of,mean,low,high,over,paper,values")
    assert lines[1].startswith("main,weak,2,3,")
    assert r"\begin{tabular}" in Path(files[2]).read_text()
    assert json.loads(Path(files[3]).read_text())["entries"][0]["missing"] == {"failed": 1}
    assert run([*words, "--out", *files]) == 0  # its own files are written anew
    (tmp_path / "mine.md").write_text("my notes")
    assert run([*words, "--out", str(tmp_path / "mine.md")]) == 2
    assert (tmp_path / "mine.md").read_text() == "my notes"
    assert run([*words, "--out", str(tmp_path / "t.xlsx")]) == 2
    capsys.readouterr()
    assert run([*words, "--against", "start=weak", "--metric", "main", "--where", "seed=0"]) == 0
    assert "Only seed 0." in capsys.readouterr().out
    assert run(["study", "report", str(folder.path), "--against", "weak"]) == 2
    assert run(["study", "report", str(folder.path), "--form", "table1", "--metric", "main"]) == 2
    assert run(["study", "report", str(folder.path), "--form", "averages", "--json"]) == 0
    assert run(["study", "report"]) == 2


def test_with_columns_each_metric_has_a_table(
    make_study: Callable[..., Folder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["study", "report", str(make_study().path), "--columns", "start", "--metric", "main", "t_sat"]
    files = [str(tmp_path / name) for name in ("t.md", "t.tex")]
    assert run([*words, "--out", *files]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in shown if line in (["main"], ["t_sat"])] == [["main"], ["t_sat"]]
    assert shown.count(["weak", "strong"]) == 2
    assert Path(files[0]).read_text().count("| weak | strong |") == 2
    assert Path(files[1]).read_text().count(r"weak & strong \\") == 2


def test_a_run_that_is_gone_is_missing_and_one_whose_log_is_cut_has_no_score(make_study: Callable[..., Folder]) -> None:
    folder = make_study()
    shutil.rmtree(folder.run("train-weak-seed0"))
    log = folder.run("train-weak-seed1") / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[: len(lines) // 2]))
    (log.parent / "config.yaml").write_text("steps: 20\nreward: {source: verifiable}\n")
    weak = entries(table(folder, "main"))["weak", "main"]
    assert list(weak.missing.values()) == [1, 1]
    assert len(weak.values) == 1
    reasons = " ".join(table(folder, "main").notes)
    assert "makes it anew" in reasons
    assert "its log ends at step" in reasons
