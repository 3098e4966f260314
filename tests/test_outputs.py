"""Nothing a person names is destroyed: every verb that writes where it is told to, every wrong place."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presat.cli import run
from presat.config.schema import CorruptConfig, FilterConfig, SubsetConfig, TracesConfig
from presat.errors import ConfigError, ModelError, RunError
from presat.models.adapters import merged_folder
from presat.outputs import MADE_BY, Maker
from presat.report import build_report
from presat.report.tables import REPORT
from presat.tasks import load_problems, save_problems
from presat.tasks.saving import problems_maker
from presat.tracking import RunWriter, open_run

CURVES = "step,reward,math/avg@8\n" + "".join(f"{step},{step / 20},{step / 30}\n" for step in range(21))


def contents(folder):
    """Every file below a folder, and what it holds; links as what they name."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def refused(capsys, words, reason, code=2):
    """Run a command line that has to refuse with one sentence and leave everything as it is."""
    before = contents(words.folder), sorted(map(str, words.folder.rglob("*")))
    assert run([*words]) == code
    said = " ".join(capsys.readouterr().err.split())
    assert reason in said
    assert "Traceback" not in said
    assert "Unexpected" not in said
    assert (contents(words.folder), sorted(map(str, words.folder.rglob("*")))) == before


class Words(list):
    """A command line, and the folder it is run in."""

    def __init__(self, folder, line):
        super().__init__(line.split())
        self.folder = folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with files of a person's, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("curves.csv", "report.csv"):
        (tmp_path / name).write_text(CURVES)
    for name in ("notes.tex", "mine.html", "report.yaml"):
        (tmp_path / name).write_text("a person's")
    os.link("curves.csv", "hard.csv")
    (tmp_path / "link.html").symlink_to("curves.csv")
    (tmp_path / "dangling.html").symlink_to("nothing")
    (tmp_path / "null.html").symlink_to("/dev/null")
    (tmp_path / "folder.html").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("report curves.csv --out curves.html", "curves.csv is read by `presat report`"),
        ("report report.csv", "report.csv is read by `presat report`"),
        ("report curves.csv --out curves.csv --formats html", "curves.csv is read by"),
        ("report hard.csv --out curves.html", "curves.csv is read by"),
        ("report curves.csv --out link.html", "link.html is read by"),
        ("report curves.csv --out x.csv", "Two files would be written to x.csv"),
        ("report curves.csv --out x.CSV", "Two files would be written to"),
        ("report curves.csv --out notes.html", "notes.tex is there, and it is not a file that `presat report` made"),
        ("report curves.csv --out mine.html", "mine.html is there"),
        ("report curves.csv", "report.csv is there"),
        ("report curves.csv --out report.yaml --formats html", "report.yaml is there"),
        ("report curves.csv --out dangling.html", "dangling.html is there"),
        ("report curves.csv --out null.html", "null.html is there"),
        ("report curves.csv --out folder.html", "folder.html is a folder: `--out` should name a file, in it"),
        ("report curves.csv --out folder.html/", "folder.html is a folder"),
        ("report curves.csv --out new/", "new says no kind of file: `--out` should name the page, new/report.html for"),
        ("report curves.csv --out -", "nothing is read from standard input or written to standard output: name a file"),
        ("report curves.csv report.csv --out report.csv", "report.csv is read by `presat report`"),
        ("report curves.csv --out curves.csv", "curves.csv is read by `presat report`"),
        ("report curves.csv --out .", ". is a folder"),
        ("report curves.csv --out .. --formats csv", ".. is a folder"),
        ("report run --out run/config.yaml --formats html", "run/config.yaml is there"),
        ("report run", "report.tex is there"),
    ],
)
def test_a_report_leaves_what_it_did_not_make(here, make_run, capsys, line, reason):
    if " run" in line:
        (make_run("run") / "report.tex").write_text("a person's")
    refused(capsys, Words(here, line), reason)


def test_a_report_replaces_its_own_files(here, make_run, capsys):
    """Also those of earlier versions, which begin otherwise; through a link, which stays; by the API."""
    line = ["report", "curves.csv", "--out", "new/page.html"]
    assert run(line) == 0
    made = [here / "new" / f"page{ending}" for ending in (".html", ".csv", ".tex")]
    assert all(REPORT.made(path) for path in made)
    assert run(line) == 0
    page = made[0].read_text().replace('<meta name="generator" content="presat', '<meta name="other" content="presat')
    made[0].write_text(page)
    made[2].write_text(made[2].read_text().partition("\n")[2])
    (here / "to.html").symlink_to(made[0])
    build_report([open_run(here / "curves.csv")], here / "to.html", formats=["html"])
    assert (here / "to.html").is_symlink()
    assert made[0].read_text() != page
    assert run(line) == 0
    assert contents(here)["curves.csv"] == CURVES.encode()
    capsys.readouterr()
    with pytest.raises(ConfigError, match="is read by"):
        build_report([open_run(here / "curves.csv")], here / "curves.html")


def test_an_empty_file_may_be_written(here, capsys):
    """Such as `touch` leaves: nothing is in it that could be lost."""
    (here / "page.html").touch()
    assert run(["report", "curves.csv", "--out", "page.html"]) == 0
    assert REPORT.made(here / "page.html")
    capsys.readouterr()


def test_a_table_of_numbers_is_no_report_because_its_columns_look_alike(here):
    for text in ("run,verdict,reward\n1,2,3\n", "step,run,verdict,kind,status,steps,reward_first,reward_last,\n", ""):
        (here / "log.csv").write_text(text)
        assert not REPORT.made(here / "log.csv")


# --- files of problems and of traces


ROWS = [{"question": f"{n} a +1", "answer": str(n + 1), "solve": n % 16, "trace": "t"} for n in range(1, 40)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a person's files of problems and of traces, which is the current one."""
    monkeypatch.chdir(tmp_path)
    table = pa.Table.from_pylist([{**row, "solution": "\\boxed{ 2 }"} for row in ROWS])
    (tmp_path / "folder").mkdir()
    for name in ("subset", "filtered", "noisy", "mine", "folder/part", "thinking", "other"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    os.link("mine.parquet", "hard.parquet")
    (tmp_path / "sft").write_text("a person's")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("data subset --data.source subset.parquet", "subset.parquet is read by `presat data subset`"),
        ("data subset --data.source mine.parquet", "subset.parquet is there, and it is not a file that"),
        ("data subset --data.source mine.parquet --out hard.parquet", "hard.parquet is read by"),
        ("data subset --data.source folder --out folder/part.parquet", "folder/part.parquet is read by"),
        ("data subset --data.source folder --out folder/new.parquet", "would lie among the files of folder"),
        ("data subset --data.source . --out new.parquet", "would lie among the files of ."),
        ("data filter --data.source filtered.parquet", "filtered.parquet is read by `presat data filter`"),
        ("data filter --data.source mine.parquet --out other.parquet", "other.parquet is there"),
        ("data corrupt --data.source mine.parquet --out mine.parquet", "mine.parquet is read by `presat data corrupt`"),
        ("data corrupt --data.source mine.parquet", "noisy.parquet is there"),
        ("data sft --data.source thinking.parquet --out .", "thinking.parquet is read by `presat data sft`"),
        ("data sft --data.source mine.parquet --out .", "thinking.parquet is there"),
        ("data sft --data.source mine.parquet --out -", "nothing is read from standard input or written to standard"),
        (
            "data subset --data.source mine.parquet --out -",
            "nothing is read from standard input or written to standard",
        ),
        (
            "data subset --data.source mine.parquet --out folder/",
            "should end in .parquet, such as 'folder/problems.par",
        ),
        ("data sft --data.source folder --out folder", "would lie among the files of folder"),
    ],
)
def test_the_data_verbs_leave_what_they_did_not_make(data, capsys, line, reason):
    """Before a model is looked for: there is none here."""
    refused(capsys, Words(data, line), reason)


@pytest.mark.parametrize(
    "line", ["sft --data.source mine.parquet", "subset --data.source mine.parquet --out sft/a.parquet"]
)
def test_a_file_in_the_place_of_a_folder_is_left(data, capsys, line):
    refused(capsys, Words(data, f"data {line}"), "sft is no folder", code=1)


def test_benchmarks_are_inputs_too(data, capsys):
    save_problems(load_problems("lab/chains", count=3), "bench/math500.parquet", problems_maker("presat data subset"))
    words = Words(data, "data subset --data.source benchmark/math500 --out bench/math500.parquet")
    words += ["--data.options", "{folder: bench}"]
    refused(capsys, words, "bench/math500.parquet is read by")


def test_a_verb_replaces_its_own_file_and_no_other_verbs(data, capsys):
    line = ["data", "subset", "--data.source", "mine.parquet", "--samples", "16", "--out", "new/mine.parquet"]
    assert run(line) == 0
    assert run(line) == 0
    problems = load_problems("new/mine.parquet")
    with pytest.raises(ConfigError, match="not a file that `save_problems` made"):
        save_problems(problems, "new/mine.parquet")
    assert pq.read_schema("new/mine.parquet").metadata[MADE_BY] == b"presat data subset"
    save_problems(problems, "saved.parquet")
    save_problems(problems, "saved.parquet")
    capsys.readouterr()


def test_what_was_made_of_other_data_is_left_and_other_settings_are_said(data, capsys, caplog):
    """It is compared with what the file says; one of an earlier version says nothing."""
    line = ["data", "subset", "--samples", "16", "--out", "new.parquet", "--data.source"]
    assert run([*line, "mine.parquet"]) == 0
    words = Words(data, " ".join([*line, "other.parquet"]))
    refused(capsys, words, "made of other data (data.source 'mine.parquet', now 'other.parquet'), and would be lost")
    assert run([*line, "mine.parquet", "--n", "4", "--seed", "5"]) == 0
    assert "new.parquet takes the place of one made with other settings: n 8, now 4, seed 0, now 5." in caplog.text
    caplog.clear()
    assert run([*line, "mine.parquet", "--n", "4", "--seed", "5"]) == 0
    problems = load_problems("new.parquet")
    save_problems(problems, "old.parquet", problems_maker("presat data subset"))
    assert run([*line[:4], "--out", "old.parquet", "--data.source", "other.parquet"]) == 0
    assert caplog.text == ""
    capsys.readouterr()


def test_every_verb_that_selects_says_what_of(tmp_path):
    """A model that is another makes another selection; what only decides how fast it is made is no difference."""
    for config in (FilterConfig(), CorruptConfig(), SubsetConfig(), TracesConfig()):
        settings = config.model_dump(mode="json")
        maker = Maker("any").using(settings)
        pq.write_table(maker.marked(pa.table({"a": [1]})), tmp_path / "made.parquet")
        slower = settings | {"out": "x", "threads": 7, "verify": settings.get("verify", {}) | {"workers": 9}}
        assert Maker("any").using(slower) == maker
        for other in ("data.source", "model.name"):
            name, _, key = other.partition(".")
            if name in settings:
                with pytest.raises(ConfigError, match=rf"made of other data \({other} '.*', now 'x'\)"):
                    Maker("any").using(settings | {name: settings[name] | {key: "x"}}).check(
                        [tmp_path / "made.parquet"]
                    )


def test_problem_files_of_earlier_versions_are_told_by_their_columns(tmp_path):
    """They have no metadata; a file with a person's own (pandas leaves some), or without our columns, is a person's."""
    table = pq.read_table(save_problems(load_problems("lab/chains", count=2), tmp_path / "new.parquet"))
    for metadata, ours in ((None, True), ({b"pandas": b"{}"}, False)):
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "old.parquet")
        assert problems_maker("any").made(tmp_path / "old.parquet") == ours
    pq.write_table(pa.table({"prompt": ["x"], "reward_model": ["y"]}), tmp_path / "old.parquet")
    assert not problems_maker("any").made(tmp_path / "old.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    assert not problems_maker("any").made(tmp_path / "torn.parquet")


# --- folders that presat writes into


def test_a_configuration_of_a_persons_in_the_run_directory_is_left(tmp_path, monkeypatch, capsys):
    """Such as the one the run is started with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("# a person's\nsteps: 2\n")
    with pytest.raises(RunError, match=r"has a config.yaml that belongs to no run"):
        RunWriter(tmp_path, {"steps": 2}, "train")
    assert (tmp_path / "config.yaml").read_text() == "# a person's\nsteps: 2\n"
    with RunWriter(tmp_path / "run", {}, "train"):
        pass
    with RunWriter(tmp_path / "run", {}, "train"):  # its own, though nothing was logged
        pass


def test_a_merged_model_of_a_persons_beside_an_adapter_is_left(tmp_path):
    mine = tmp_path / "merged"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="presat did not make what is there"):
        merged_folder(str(tmp_path), [str(tmp_path)], base=lambda: pytest.fail("loaded"))
    assert (mine / "config.json").read_text() == "{}"


def test_what_fails_leaves_nothing(tmp_path):
    maker = Maker("any", REPORT.begins)

    def fail(path):
        with maker.write(path) as draft:
            draft.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "a" / "b" / "page.html")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "a" / "b" / "page.html")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]
    if os.getuid():
        (tmp_path / "a").chmod(0o500)
        with pytest.raises(RunError, match="you may not"):
            maker.check([tmp_path / "a" / "b" / "page.html"])
