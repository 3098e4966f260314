"""`presat report` and `presat watch --once` on runs of every kind, through the command line."""

import csv
import json
import os

import pytest

from presat.cli import run


def dump(path, step, scores):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"input": f"q{i % 2}", "output": f"<b>{i}</b>", "gts": "4", "score": s, "step": step}
        for i, s in enumerate(scores)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def foreign(tmp_path):
    """A path of every kind of run that other trainers leave, 20 steps each, the reward rising to 0.95 at step 16."""
    curve = [(step, round(min(0.95, 0.15 + 0.05 * step), 2)) for step in range(1, 21)]
    history = [{"reward": reward, "loss": 0.1, "step": step} for step, reward in curve]
    history += [{"eval_reward": score, "eval_runtime": 1.0, "step": step} for step, score in ((0, 0.2), (20, 0.6))]
    trl = tmp_path / "trl" / "checkpoint-20"
    trl.mkdir(parents=True)
    (trl / "trainer_state.json").write_text(
        json.dumps({"global_step": 20, "max_steps": 20, "log_history": sorted(history, key=lambda row: row["step"])})
    )
    lines = [f"step:{step} - critic/score/mean:{reward}" for step, reward in curve]
    lines[0:0] = ["step:0 - val-core/math/acc/mean@8:0.2"]
    lines[-1] += " - val-core/math/acc/mean@8:np.float64(0.6)"
    (tmp_path / "verl.log").write_text("\n".join(f"(TaskRunner pid=7) {line}" for line in lines) + "\n")
    for step, reward in curve:
        dump(tmp_path / "rollouts" / f"{step}.jsonl", step, [1] * round(20 * reward) + [0] * round(20 - 20 * reward))
    scores = {0: 0.2, 20: 0.6}
    rows = [f"{step},{dict(curve).get(step, '')},{scores.get(step, '')}" for step in range(21)]
    (tmp_path / "table.csv").write_text("step,reward,math/avg@8\n" + "\n".join(rows) + "\n")
    return {
        "trl": tmp_path / "trl", "verl": tmp_path / "verl.log", "rollouts": tmp_path / "rollouts",
        "csv": tmp_path / "table.csv",
    }  # fmt: skip


def called(capsys, *words):
    """Run a command line with `--json`; its result, and what it showed."""
    assert run([*map(str, words), "--json"]) == 0
    out = capsys.readouterr()
    return json.loads(out.out), out.err


@pytest.mark.parametrize("kind", ["trl", "verl", "rollouts", "csv"])
def test_report_on_another_trainers_run(foreign, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    result, screen = called(capsys, "report", foreign[kind])
    (found,) = result["runs"]
    assert (found["kind"], found["steps"], found["t_sat"], found["tail"]) == (kind, 20, 16, 2)
    assert "t_sat" in screen
    assert result["written"] == ["report.html", "report.csv", "report.tex"]
    page = (tmp_path / "report.html").read_text()
    assert found["verdict"]["label"] in page
    if kind == "rollouts":
        assert found["verdict"]["label"] == "trained, not evaluated"
    else:
        gains = found["sets"][0]["gains"]
        assert gains["pre_saturation_gain"] == pytest.approx(0.4 * 16 / 20)
        assert gains["post_saturation_residual"] == pytest.approx(0.4 * 4 / 20)
        assert found["verdict"]["label"] == "improved"


@pytest.mark.parametrize("kind", ["trl", "verl", "rollouts", "csv"])
def test_watch_once_on_another_trainers_run(foreign, kind, capsys):
    result, screen = called(capsys, "watch", foreign[kind], "--once")
    assert result["runs"][0]["kind"] == kind
    assert "step 20" in screen
    assert "saturat" in screen


def test_report_on_one_run_of_ours_goes_into_it(make_run, capsys):
    folder = make_run()
    result, _ = called(capsys, "report", folder)
    assert result["written"] == [str(folder / name) for name in ("report.html", "report.csv", "report.tex")]
    assert result["runs"][0]["verdict"]["label"] == "learned to reason"


def test_report_on_several_runs_of_all_kinds(make_run, foreign, tmp_path, capsys):
    paths = [make_run("a/rl"), make_run("b/rl"), *foreign.values()]
    names = ["a/rl", "b/rl", *(f"{tmp_path.name}/{name}" for name in ("trl", "verl", "rollouts", "table"))]
    out = tmp_path / "deep" / "all.html"
    assert run(["report", *map(str, paths), "--out", str(out), "--formats", "html", "csv", "--read.window", "3"]) == 0
    screen = capsys.readouterr().out
    assert f"wrote {out}" in screen
    assert not out.with_suffix(".tex").exists()
    with out.with_suffix(".csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["run"] for row in table] == names
    assert {row["window"] for row in table} == {"3"}


def test_a_folder_whose_name_is_not_utf8(tmp_path, monkeypatch, capsys):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (folder / "run.csv").write_text("step,reward\n1,0.2\n2,0.5\n")
    monkeypatch.chdir(tmp_path)
    result, screen = called(capsys, "report", folder / "run.csv", folder / "run.csv")
    assert result["runs"][0]["path"].endswith("caf\\xe9/run.csv")
    assert "caf\\xe9/run.csv is a run that was named before" in screen
    assert "caf\\xe9" in (tmp_path / "report.html").read_text()


def test_a_run_that_is_named_twice_counts_once(make_run, foreign, tmp_path, monkeypatch, capsys):
    """By whatever name; its labels and groups with it."""
    monkeypatch.chdir(tmp_path)
    make_run("run")
    (tmp_path / "link").symlink_to("run")
    runs = ["run", "run/", "./link", "table.csv", "run/metrics.jsonl"]
    result, screen = called(capsys, "report", *runs, "--labels", *"abcde", "--out", "page.html")
    assert [item["name"] for item in result["runs"]] == ["a", "d"]
    for name in ("run/", "./link", "run/metrics.jsonl"):
        assert f"{name} is a run that was named before: it counts once." in screen
    result, screen = called(capsys, "report", "run", "table.csv", "--out", "page.html")
    assert "counts once" not in screen
    assert run(["report", "run", "run", "--labels", "a", "b", "c"]) == 2
    capsys.readouterr()


def test_labels_title_and_groups(make_run, tmp_path, capsys):
    paths = [str(make_run(name)) for name in ("a", "b")]
    words = ["report", *paths, "--out", str(tmp_path / "p.html"), "--title", "My <title>", "--labels", "one", "two"]
    result, screen = called(capsys, *words, "--groups", "g", "g")
    assert [found["name"] for found in result["runs"]] == ["one", "two"]
    page = (tmp_path / "p.html").read_text()
    assert "<h1>My &lt;title&gt;</h1>" in page
    assert "Over repeats" in page
    assert "one" in screen
    assert run([*words, "--groups", "g"]) == 2
    assert "2 runs but 1 groups" in capsys.readouterr().err


def test_watch_once_on_a_run_of_ours(make_run, capsys):
    result, screen = called(capsys, "watch", make_run(status="stopped", reason="saturated"), "--once")
    assert result["runs"][0]["status"] == "stopped"
    assert "stopped early" in screen
    assert "stopped early   saturated" in screen


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["report"], 2, "Which runs?"),
        (["watch"], 2, "Which run?"),
        (["report", "nowhere"], 1, "There is no run at nowhere"),
        (["watch", "nowhere", "--once"], 1, "There is no run at nowhere"),
        (["report", "table.csv", "--labels", "a", "b"], 2, "1 runs but 2 labels"),
        (["report", "table.csv", "--out", "table.csv/page.html"], 1, "Cannot make the folder"),
        (["report", "table.csv", "--read.window", "0"], 2, "window"),
        (["report", "bad.csv"], 1, "row 3, column `reward`: 'much' is not a number"),
    ],
)
def test_what_cannot_be_done_is_one_clear_message(foreign, tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("step,reward\n1,0.5\n2,much\n")
    assert run(words) == code
    out = capsys.readouterr()
    assert message in out.err.replace("\n", " ")
    assert "Traceback" not in out.err
