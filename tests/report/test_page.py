"""The page: self-contained, every text of a run escaped, and nothing shown that is not there."""

import base64
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from presat.analysis.summary import summarise
from presat.errors import ConfigError
from presat.report import build_report
from presat.report.figures import change_panels, faithfulness_panels, sharpening_panels, spans, track
from presat.tracking import open_run

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
    assert page.count("svg") == 2 + 2 + 2 + 2  # tracks, sets, runs, and the two kinds of valid traces
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
    assert "Held-out avg@8 peaked at step 20 (0." in cards
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
    figure = Page(track(summary, 40))
    kinds = [a.get("class", "") for _, a in figure.elements]
    assert figure.count("circle") == 5 + 1  # one an evaluation, and one in the label
    assert kinds.count("shade") == 1
    assert {"line reward thin", "line reward", "line gold", "line held", "line other"} <= set(kinds)
    assert "tsat = 24" in figure.text
    assert "0.20 true accuracy" in figure.text
    right = [float(a["x"]) for t, a in figure.elements if t == "rect" and a["class"] == "shade"]
    assert right == [28.0]
    (tmp_path / "late.csv").write_text("step,reward\n" + "".join(f"{t},{t / 40}\n" for t in range(1, 41)))
    none = Page(track(summary_of(tmp_path / "late.csv"), 40))
    assert "tsat: none" in none.text
    assert "not reached before the last 4 steps" in none.text


def test_a_reward_of_another_scale_is_drawn_over_its_own_range(tmp_path):
    rows = "".join(f"{t},{10 + t},{0.5 if t % 10 == 0 else ''}\n" for t in range(21))
    (tmp_path / "certainty.csv").write_text("step,reward,math/avg@4\n" + rows)
    figure = Page(track(summary_of(tmp_path / "certainty.csv"), 20))
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
    figure = Page(track(summary, 40))
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
        assert x == pytest.approx(144 + 206 * summary.main_set.headline.after, abs=0.01)
    sharp = sharpening_panels(summaries)
    assert [panel.heading.partition(":")[0] for panel in sharp] == ["up", "down"]
    assert [name in sharp[0].svg for name in ("avg@8", "greedy", "pass@8", "maj@")] == [True, True, True, False]
    assert len(faithfulness_panels(summaries)) == 2
