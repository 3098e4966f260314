"""The page: self-contained, every text of a run escaped, and nothing shown that is not there."""

import base64
import csv
import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from presat.analysis.summary import summarise
from presat.errors import ConfigError
from presat.metrics import smooth
from presat.report import build_report
from presat.report.breadth import breadth_panels
from presat.report.curves import jumps, smooth_pieces
from presat.report.figures import RIGHT, change_panels, faithfulness_panels, sharpening_panels, spans, track
from presat.report.svg import WIDTH
from presat.tracking import RunWriter, open_run
from presat.tracking.evaluated import note_evaluated

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</style></svg>&amp;'
VOID = {"meta", "link", "img", "br", "hr", "input"}
DRAWN = {"svg", "path", "line", "rect", "circle", "text", "tspan"}


class Page(HTMLParser):
    """Every element, the attributes of all, and the text outside of style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.pieces.append(data)

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.elements)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def words(self) -> str:
        """The text as read: one space between elements and words."""
        return " ".join(" ".join(self.pieces).split())


def page_of(paths, out: Path, **options) -> Page:
    return Page(build_report([open_run(path) for path in paths], out / "page.html", **options).read_text())


def assert_harmless(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "link", "object", "embed", "base", "form", "image", "use"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "xlink:href", "style"), (tag, name)
            if name == "href":
                assert value.startswith("data:text/csv;base64,")
    assert tags >= DRAWN


def test_the_page_of_several_runs(make_run, tmp_path):
    paths = [
        make_run("learner", held_out=(0.3, 0.8), ood=(0.2, 0.5)),
        make_run("memoriser", held_out=(0.5, 0.1), ood=(0.2, 0.2), valid=0.1, status="failed", reason="loss is NaN"),
    ]
    page = page_of(paths, tmp_path, intro="First paragraph.\n\nSecond one.")
    assert_harmless(page)
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert (
        page.words.index("First paragraph.") < page.words.index("Collapsed memoriser") < page.words.index("Second one")
    )
    assert "Failed: loss is NaN" in page.words
    for heading in ("Before and after", "Sharpened or learned?", "Is the reasoning real?", "What the responses look"):
        assert heading in page.words
    assert page.count("svg") == 2 + 2 + 2 + 2 + 2  # tracks, sets, runs, pass@k, and the two kinds of valid traces
    link = next(a["href"] for t, a in page.elements if t == "a")
    assert base64.b64decode(link.partition("base64,")[2]).decode() == (tmp_path / "page.csv").read_text()
    text = (tmp_path / "page.html").read_text()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert len(text) < 400_000
    assert (tmp_path / "page.tex").is_file()


def test_hostile_texts_stay_texts(tmp_path):
    table = tmp_path / "run.csv"
    name = HOSTILE.replace("/", "|").replace('"', '""')
    table.write_text(f'step,reward,"{name}/avg@4"\n0,,0.2\n1,0.2,0.3\n2,0.9,0.8\n')
    page = page_of([table, table], tmp_path, labels=[HOSTILE, "b"], groups=[HOSTILE] * 2, title=HOSTILE, intro=HOSTILE)
    assert_harmless(page)
    assert page.text.count(HOSTILE) >= 6  # title twice, intro, answer, card, table, repeats
    assert "{{ 7 * 7 }}" in page.text
    assert any(HOSTILE in a.get("aria-label", "") for t, a in page.elements if t == "svg")


def test_hostile_responses_and_settings_stay_texts(make_run, tmp_path):
    import polars as pl

    folder = make_run("run", status="stopped", reason=HOSTILE)
    for file in (folder / "rollouts" / "eval").glob("*.parquet"):
        frame = pl.read_parquet(file)
        columns = ("prompt", "text", "gold", "extracted")
        frame.with_columns(pl.lit(HOSTILE).alias(column) for column in columns).write_parquet(file)
    (folder / "config.yaml").write_text(f"note: '{HOSTILE}'\n")
    page = page_of([folder], tmp_path)
    assert_harmless(page)
    assert page.text.count(HOSTILE) >= 8  # status, prompt, gold, responses with their answers, configuration


def test_what_is_missing_is_left_out(make_run, tmp_path):
    (tmp_path / "bare.csv").write_text("step,reward\n1,0.2\n2,0.4\n3,0.9\n")
    page = page_of([tmp_path / "bare.csv"], tmp_path)
    for heading in ("Before and after", "Sharpened or learned?", "Is the reasoning real?", "responses look", "repeats"):
        assert heading not in page.words
    assert "95% interval over problems" not in page.words
    assert page.count("svg") == 1
    (tmp_path / "sft.csv").write_text("step,loss\n1,0.2\n2,0.4\n")
    page = page_of([tmp_path / "sft.csv"], tmp_path)
    assert page.count("svg") == 0
    assert "pre-saturation" not in page.words.lower().partition("all numbers")[0]


def test_a_first_evaluation_after_training_began_is_not_called_before(make_run, tmp_path):
    assert "before training" in page_of([make_run()], tmp_path).words
    rows = "".join(f"{t},{0.1 * t:.1f},{'' if t % 4 else 0.1 * t}\n" for t in range(1, 10))
    (tmp_path / "late.csv").write_text("step,reward,math/avg@4\n" + rows)
    words = page_of([tmp_path / "late.csv"], tmp_path).words
    assert "avg@4 on math went from 0.40 at step 4 to 0.80" in words
    assert "at the first evaluation" in words
    assert "before training" not in words


def test_why_there_is_no_t_sat_and_where_the_score_peaked(make_run, tmp_path):
    flat = make_run("flat", rewards=(0.5, 0.52), held_out=(0.3, 0.3))
    page = page_of([flat, make_run("peak", levels=(0.3, 0.6, 0.9, 0.85, 0.6))], tmp_path)
    assert "no t_sat the train reward ended about where it began, or below" in page.words
    cards = page.words.partition("All numbers")[0]
    assert "Held-out avg@8 on held_out was best at step 20 (0." in cards
    assert "widened for the choice of the best of 3" in cards


def test_repeats_have_a_section(make_run, tmp_path):
    paths = [make_run(name, held_out=(0.3, 0.8)) for name in ("s1", "s2")]
    page = page_of(paths, tmp_path, groups=["thinking", "thinking"])
    assert "Over repeats" in page.words
    assert "thinking 2 2 learned to reason" in page.words
    moves = [summarise(open_run(path)).main_set.headline.difference for path in paths]
    values = ", ".join(f"{move:.2f}" for move in moves)  # two runs have no interval: both are shown
    assert f"held_out avg@8, first to last {np.mean(moves):.2f} 2 {values}" in page.words
    paths.append(make_run("s3", held_out=(0.3, 0.7)))
    page = page_of(paths, tmp_path, groups=["thinking"] * 3)
    assert re.search(r"held_out avg@8, first to last 0\.\d\d 3 [−0]\S+ to \d\.\d\d", page.words)
    with pytest.raises(ConfigError):
        page_of(paths, tmp_path, groups=["one"])


def summary_of(path, **options):
    return summarise(open_run(path), **options)


def test_the_track_figure_marks_what_was_measured(make_run, tmp_path):
    summary = summary_of(make_run(gold=(0.3, 0.2), ood=(0.2, 0.4)))
    figure = Page(track(summary, 40).svg)
    kinds = [a.get("class", "") for _, a in figure.elements]
    assert figure.count("circle") == 5 + 1  # one an evaluation, and one in the label
    assert kinds.count("shade") == 1
    assert {"line reward thin", "line reward", "line gold", "line held", "line other"} <= set(kinds)
    assert "tsat = 24" in figure.text
    assert "0.20 true accuracy" in figure.text
    right = [float(a["x"]) for t, a in figure.elements if t == "rect" and a["class"] == "shade"]
    assert right == [28.0]
    (tmp_path / "late.csv").write_text("step,reward\n" + "".join(f"{t},{t / 40}\n" for t in range(1, 41)))
    none = Page(track(summary_of(tmp_path / "late.csv"), 40).svg)
    assert "tsat: none" in none.text
    assert "not reached before the last 4 steps" in none.text


def test_a_reward_of_another_scale_is_drawn_over_its_own_range(tmp_path):
    rows = "".join(f"{t},{10 + t},{0.5 if t % 10 == 0 else ''}\n" for t in range(21))
    (tmp_path / "certainty.csv").write_text("step,reward,math/avg@4\n" + rows)
    figure = Page(track(summary_of(tmp_path / "certainty.csv"), 20).svg)
    assert "train reward: scale 11.0 to 30.0" in figure.text
    marks = [float(a["cy"]) for t, a in figure.elements if t == "circle"]
    assert marks[:3] == [109.0] * 3  # half of 0 to 1, whatever the reward's scale
    thin, thick = (
        [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", a["d"])]
        for kind in ("line reward thin", "line reward")
        for t, a in figure.elements
        if t == "path" and a["class"] == kind
    )
    assert (thin[0], thin[-1]) == (192.0, 26.0)
    assert thick[-1] == pytest.approx(192 - 166 * (28 - 11) / 19, abs=0.1)  # on the axis of the thin line


def test_runs_of_like_length_share_their_steps(make_run, tmp_path):
    for steps in (30, 50, 101):
        rows = "".join(f"{t},0.{t % 9}\n" for t in range(1, steps + 1))
        (tmp_path / f"{steps}.csv").write_text("step,reward\n" + rows)
    (tmp_path / "none.csv").write_text("step,kl\n1,0.5\n")
    short, middle, long, none = (summary_of(tmp_path / f"{name}.csv") for name in (30, 50, 101, "none"))
    assert spans([short, middle, none]) == [50, 50, 50]
    assert spans([middle, long]) == [50, 101]
    assert spans([none]) == [0]
    assert track(none, 0) is None


def test_labels_stand_apart(make_run):
    summary = summary_of(make_run(held_out=(0.9, 0.95), rewards=(0.3, 0.95), ood=(0.9, 0.95)))
    figure = Page(track(summary, 40).svg)
    heights = sorted(float(a["y"]) for t, a in figure.elements if t == "text" and a["class"] == "value")
    assert len(heights) == 3
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 16.9
    assert heights[0] >= 26.0
    assert heights[-1] <= 192.0


def test_before_and_after_figures(make_run):
    summaries = [
        summary_of(make_run("up", held_out=(0.2, 0.9)), name="up"),
        summary_of(make_run("down", held_out=(0.9, 0.2)), name="down"),
    ]
    (panel,) = change_panels(summaries)
    assert panel.heading == "held_out, avg@8"
    figure = Page(panel.svg)
    dots = [(a["class"], float(a["cx"])) for t, a in figure.elements if t == "circle"]
    bars = [float(a["x"]) + 1.5 for t, a in figure.elements if t == "rect"]
    assert [kind for kind, _ in dots] == ["after rose", "after fell"]
    assert dots[0][1] > bars[0]
    assert dots[1][1] < bars[1]
    for (_, x), summary in zip(dots, summaries, strict=True):
        assert x == pytest.approx(142 + 194 * summary.main_set.headline.after, abs=0.01)
    sharp = sharpening_panels(summaries)
    assert [panel.heading.partition(":")[0] for panel in sharp] == ["up", "down"]
    assert [name in sharp[0].svg for name in ("avg@8", "greedy", "pass@8", "maj@")] == [True, True, True, False]
    assert len(faithfulness_panels(summaries)) == 2
    drawn = Page(breadth_panels(summaries)[0].svg)
    marks = [a for t, a in drawn.elements if t in ("circle", "rect") and "mark" in a["class"] and "title" not in a]
    assert len(marks) == 2 * (4 + 1)  # k of 1, 2, 4, 8 before and after, and where the lines are named
    before, after = summaries[0].main_set.pass_curves
    assert [*before] == [*after] == [1, 2, 4, 8]
    assert before[1].estimate == pytest.approx(summaries[0].main_set.headline.before)
    assert before[1].low < before[1].estimate < before[8].estimate


def test_a_crash_of_two_steps_is_a_crash_and_not_a_slope(tmp_path):
    """The thick line starts anew at a jump: it lies on the rewards of the crash, and on those beside it."""
    rewards = [0.8 + 0.01 * (t % 3) for t in range(40)]
    rewards[20:22] = [0.02, 0.03]
    (tmp_path / "run.csv").write_text("step,reward\n" + "".join(f"{t + 1},{r}\n" for t, r in enumerate(rewards)))
    figure = Page(track(summary_of(tmp_path / "run.csv"), 40).svg)
    drawn = {kind: [a["d"] for t, a in figure.elements if t == "path" and a["class"] == kind] for kind in
             ("line reward", "line reward thin")}  # fmt: skip
    assert [len(paths) for paths in drawn.values()] == [3, 1]
    heights = [[float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)] for path in drawn["line reward"]]
    assert [len(piece) for piece in heights] == [20, 2, 18]
    top, bottom = 192 - 166 * 0.8, 192 - 166 * 0.03
    assert max(heights[0] + heights[2]) <= top + 0.1
    assert min(heights[1]) >= bottom - 0.1


def test_noise_is_no_jump():
    rng = np.random.default_rng(0)
    noisy = np.clip(0.5 + 0.2 * rng.standard_normal(300), 0, 1).tolist()
    rising = (np.linspace(0.1, 0.9, 60) + 0.02 * rng.standard_normal(60)).tolist()
    for values in (noisy, rising, [0.5] * 9, [math.nan] * 9, [], [0.1, 0.9]):
        assert jumps(values, 5) == []
    smoothed, starts = smooth_pieces(noisy, 5)
    assert (smoothed, starts) == (smooth(noisy, 5).tolist(), [])
    assert jumps([0.5, 0.51, 0.5, math.nan, 0.49, 0.0, 0.01], 5) == [5]
    assert math.isnan(smooth_pieces([math.nan, 0.5, 0.51, 0.5, 0.0], 5)[0][0])


def test_alarms_are_shown_and_come_first(make_run, tmp_path):
    page = page_of([make_run("up", held_out=(0.5, 0.5), gold=(0.6, 0.1))], tmp_path)
    words = page.words
    assert "Alarm, reward hacking:" in words
    assert "the policy is learning to please the reward" in words
    assert words.index("Alarm, reward hacking:") < words.index("The reward rose from 0.38 to 0.95 while the true")
    folded = re.findall(r"<details.*?</details>", (tmp_path / "page.html").read_text(), re.DOTALL)
    assert not any("Alarm" in part for part in folded)


def test_a_page_of_one_run_uses_its_width(make_run, tmp_path):
    def classes(page):
        return [word for _, attributes in page.elements for word in attributes.get("class", "").split()]

    one = classes(page_of([make_run("a")], tmp_path))
    assert ("alone" in one, one.count("beside")) == (True, 3)  # one set, one run, its pass@k
    several = classes(page_of([make_run("b", ood=(0.2, 0.3)), make_run("c")], tmp_path))
    assert ("alone" in several, several.count("beside")) == (False, 0)


def test_the_lines_are_named_below_the_figure_where_there_is_no_room_beside(make_run, tmp_path):
    found = track(summary_of(make_run(gold=(0.3, 0.2), ood=(0.2, 0.4))), 40)
    assert [(end.kind, end.label, end.scale) for end in found.ends] == [
        ("reward", "train reward", ""), ("gold", "true accuracy", ""), ("held", "held_out", ""), ("other", "ood", "")
    ]  # fmt: skip
    page = page_of([make_run("again", gold=(0.3, 0.2))], tmp_path)
    assert "0.20 true accuracy" in page.words
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "page.html").read_text(), re.DOTALL).group(1)
    narrow = style[style.index("max-width: 560px") :]
    (all_text,), (cropped,) = (
        [float(size) for size in re.findall(rf"\n  {kind} text[^{{]*\{{ font-size: ([\d.]+)px", narrow)]
        for kind in (r"\.plot", r"\.cropped \.plot")
    )
    share = float(re.search(r"\.cropped \.plot \{ width: (\d+)%", narrow).group(1)) / 100
    page_wide, card_wide = 390 - 2 * 16, 390 - 2 * 16 - 2 * 12 - 2
    assert all_text * page_wide / WIDTH >= 11
    assert cropped * card_wide * share / WIDTH >= 11
    assert WIDTH / share < RIGHT + 8  # the labels beside the lines are cut off as a whole


def test_all_numbers_show_true_accuracy_where_it_is_not_what_is_paid(make_run, tmp_path):
    words = page_of([make_run("a", gold=(0.3, 0.1)), make_run("b")], tmp_path).words
    assert "train reward true accuracy t_sat" in words.partition("All numbers")[2]
    same = page_of([make_run("c", gold=(0.3, 0.95))], tmp_path).words
    assert "true accuracy" not in same


def evaluated(folder, names, scores):
    """An `eval` run of one set: what the models at its steps are called, and their scores."""
    with RunWriter(folder, {}, "eval") as writer:
        for step, (name, score) in zip((0, 30, 100), zip(names, scores, strict=True), strict=True):
            note_evaluated(folder, step, "math", name, {"seed": 0})
            writer.append(step, {"eval/math/avg@4": score, "eval/math/greedy": score})
    return folder


def test_several_models_in_one_evaluation_are_points_with_names_and_no_curve(tmp_path):
    names = ["Qwen/Qwen2.5-1.5B", "runs/sft/checkpoints/step_30", "runs/rl/checkpoints/step_100"]
    folder = evaluated(tmp_path / "eval", names, (0.2, 0.5, 0.7))
    summary = summary_of(folder)
    assert summary.main_set.models == ["Qwen2.5-1.5B", "sft/step_30", "rl/step_100"]
    figure = Page(track(summary, 100).svg)
    assert figure.count("circle") == 3
    assert not [a for t, a in figure.elements if t == "path"]
    assert all(text in figure.words for text in ("Qwen2.5-1.5B 0.20", "sft/step_30 0.50", "rl/step_100 0.70"))
    page = page_of([folder], tmp_path)
    assert "Before and after" not in page.words
    assert "Sharpened or learned?" not in page.words
    assert "pre-saturation phase" not in page.words  # there is no reward to speak of
    assert "math, avg@4 by model: Qwen2.5-1.5B 0.20, sft/step_30 0.50, rl/step_100 0.70." in page.words
    table = list(csv.DictReader((tmp_path / "page.csv").open()))
    assert [(row["model"], row["score_last"], row["score_first"]) for row in table] == [
        ("Qwen2.5-1.5B", "0.2", ""), ("sft/step_30", "0.5", ""), ("rl/step_100", "0.7", "")
    ]  # fmt: skip


def test_checkpoints_of_one_run_are_a_curve(tmp_path):
    names = ["Qwen/Qwen2.5-1.5B", "runs/rl/checkpoints/step_30", "runs/rl/checkpoints/step_100"]
    summary = summary_of(evaluated(tmp_path / "eval", names, (0.2, 0.5, 0.7)))
    assert summary.main_set.models == []
    assert [a["class"] for t, a in Page(track(summary, 100).svg).elements if t == "path"] == ["line held"]
