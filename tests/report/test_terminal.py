"""The one screen and its sparklines."""

import io
import json

from rich.console import Console

from presat.analysis import summarise
from presat.report import sparkline, summary_table
from presat.report.terminal import short
from presat.tracking import open_run


def printed(renderable, width=80):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(renderable)
    return out.getvalue()


def test_a_sparkline_follows_its_values():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.1, 0.12, 0.11]) == "▁▁▁"  # shares are drawn from 0 to 1, however little they move
    assert sparkline([10.0, 20.0]) == "▁█"
    assert sparkline([-1.0, 0.0, 1.0]) == "▁▅█"
    assert sparkline([5.0, 5.0]) == "▅▅"
    assert sparkline([0.0, float("nan"), 1.0]) == "▁ █"
    assert sparkline([]) == sparkline([float("nan")]) == ""
    assert sparkline([0.0, 0.0, 1.0, 1.0], width=2) == "▁█"
    assert sparkline([0.0, float("nan"), 1.0, 1.0], width=2) == "▁█"  # a gap within a column does not empty it
    assert len(sparkline(range(1000), width=24)) == 24


def test_short_numbers():
    assert [short(x) for x in (0.5, -0.034, 1.0, 12.34, 0.996, float("nan"))] == [
        ".50", "-.03", "1.0", "12.3", "1.0", "-"
    ]  # fmt: skip


def test_what_is_known_of_the_model_stands_beside_its_scores(make_run):
    folder = make_run()
    known = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**known, "model": {"name": "m", "note": "4-bit weights."}}))
    summary = summarise(open_run(folder))
    assert summary.notes == ["4-bit weights."]
    assert "note: 4-bit weights." in printed(summary_table([summary]))


def test_the_table_fits_80_columns_without_colour(make_run):
    runs = {
        "CPT + Thinking": make_run("a", held_out=(0.3, 0.8), ood=(0.2, 0.5)),
        "Base + Non-Thinking": make_run("b", held_out=(0.5, 0.2), ood=(0.2, 0.2), status="stopped", reason="saturated"),
        "a_very_long_run_name_without_any_space_in_it": make_run("c", held_out=None),
    }
    text = printed(summary_table([summarise(open_run(path), name=name) for name, path in runs.items()]))
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "\x1b" not in text
    row = next(line for line in lines if line.startswith("CPT + Thinking"))
    assert "→.95 ↑" in row
    assert row.count("↑") >= 3
    assert "Base + Non-Thinking (stopped: saturated): collapsed. Held-out avg@8 on " in text
    assert "trained, not evaluated" in text
    assert "last 4 steps left out" in text.replace("\n", " ")
    assert all(piece in text.replace("\n", "") for piece in ("held_out", "greedy", "pass@8", "ood"))


def test_why_there_is_no_t_sat_and_where_the_score_peaked(make_run):
    runs = {
        "flat": make_run("flat", rewards=(0.5, 0.52), held_out=(0.3, 0.3)),
        "entropy": make_run("entropy", rewards=(-2.0, -0.5)),
        "peak": make_run("peak", levels=(0.3, 0.6, 0.9, 0.85, 0.6)),
    }
    text = printed(summary_table([summarise(open_run(path), name=name) for name, path in runs.items()]))
    assert "  no t_sat: the train reward ended about where it began, or below\n" in text
    words = " ".join(text.split())
    assert "no t_sat: the highest reward is -0.5; a share of the highest means nothing unless" in words
    assert words.count("no t_sat") == 2
    assert "Held-out avg@8 on held_out was best at step 20 (0." in words


def test_a_hostile_name_is_text(make_run):
    name = "[bold red]x[/] [link=file:///etc/passwd]y[/link]"
    assert name in printed(summary_table([summarise(open_run(make_run()), name=name)]), width=200)


def test_runs_with_nothing_to_compare_get_a_sentence_alone(tmp_path):
    (tmp_path / "sft.csv").write_text("step,loss\n1,2.0\n2,1.0\n")
    text = printed(summary_table([summarise(open_run(tmp_path / "sft.csv"))]))
    assert text.strip() == "sft: no verdict. No train reward was logged; the loss went from 2 to 1."
    assert printed(summary_table([])).strip() == "No runs."


def test_an_evaluation_alone_shows_its_score(tmp_path):
    (tmp_path / "eval.csv").write_text("step,math/avg@4\n0,0.25\n")
    text = printed(summary_table([summarise(open_run(tmp_path / "eval.csv"))]))
    assert "avg@4 on math is 0.25" in text
    assert "t_sat:" not in text


def test_true_accuracy_stands_beside_a_reward_that_is_another_thing(make_run):
    wrong, right = make_run("wrong", gold=(0.4, 0.1)), make_run("right", gold=(0.3, 0.95))
    text = printed(summary_table([summarise(open_run(path)) for path in (wrong, right)]))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "accuracy" in text
    assert ".36→.10 ↓" in next(line for line in text.splitlines() if line.startswith("wrong"))
    assert "accuracy" not in printed(summary_table([summarise(open_run(right))]))


def test_the_table_takes_the_columns_there_are_and_cuts_no_number(make_run):
    runs = [make_run(f"a rather long name of a run {i}", ood=(0.2, 0.5), gold=(0.4, 0.1)) for i in range(2)]
    summaries = [summarise(open_run(path)) for path in runs]
    tables = {w: printed(summary_table(summaries), w).partition("\n\n")[0].splitlines() for w in (50, 80, 120, 200)}
    for width, lines in tables.items():
        assert max(len(line.rstrip()) for line in lines) <= width
        assert "…" not in "".join(lines)
    heads = ("reward", "t_sat", "accuracy", "avg@8", "greedy", "pass@8", "ood", "valid")
    shown = {width: {head for head in heads if head in " ".join(lines[:3]).split()} for width, lines in tables.items()}
    assert shown[50] < shown[80] < shown[200] == set(heads)
    assert {"reward", "accuracy", "avg@8", "greedy"} <= shown[80]
    drawn = {width: max(sum(c in "▁▂▃▄▅▆▇█" for c in line) for line in lines) for width, lines in tables.items()}
    assert drawn[200] > drawn[80] + 20
    for lines in tables.values():
        row = next(line for line in lines if "→.95 ↑" in line)
        assert row.count("→") == sum(word in "↑↓·" for word in row.split())


def test_an_alarm_says_what_it_saw(make_run):
    text = printed(summary_table([summarise(open_run(make_run(gold=(0.6, 0.1), held_out=(0.5, 0.5))))]), width=200)
    assert "  ! reward hacking: The reward rose from 0." in text
    assert "while accuracy against the gold answers fell from 0." in text
