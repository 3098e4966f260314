"""Every rule of `verdict.py`, each with a case on either side of it."""

from dataclasses import replace

import pytest

from presat.analysis import RunSummary, SetSummary, Verdict
from presat.analysis.collapse import Fall
from presat.analysis.estimates import Change
from presat.analysis.numbers import _MEANING, Choices
from presat.analysis.peak import Peak
from presat.analysis.verdict import judge, signed
from presat.metrics import Interval, is_share, saturation_gains


def change(before, after, spread=None):
    """A change, with an interval `spread` to either side."""
    difference = after - before
    return Change(before, after, spread and Interval(difference, difference - spread, difference + spread))


def scores(headline, last=40, **others):
    """An evaluation set with scores at step 0 and at `last`."""
    steps, values = [0, last], [headline.before, headline.after]
    gains = saturation_gains([], [], [])
    changes = {"avg@16": headline, **{name.replace("_at_", "@"): value for name, value in others.items()}}
    return SetSummary("held_out", "avg@16", steps, values, [None, None], 0, last, gains, gains, changes)


def fall(after, kind="main"):
    """A fall from 0.5 that is clear from step 20 on."""
    return Fall(
        kind, "the score", change(0.5, after, 0.1), 0, 20, "paired over 40 problems", "other" * (kind == "other")
    )


def summary(reward=(0.3, 0.9), sets=(), gold=None, loss=None, falls=()):
    rewards, truth = (Change(*found) if isinstance(found, tuple) else found for found in (reward, gold))
    steps = [rewards.before, rewards.after] if rewards else []
    return RunSummary(
        "run", "runs/run", "presat", "finished", "", 40, steps, is_share(steps), [], rewards, truth,
        loss and Change(*loss), None, None, "", None, 4, Choices(), list(sets), falls=list(falls),
    )  # fmt: skip


UP, FLAT, DOWN = change(0.3, 0.7, 0.1), change(0.3, 0.31, 0.05), change(0.5, 0.3, 0.1)
GREEDY_UP, GREEDY_FLAT = change(0.4, 0.7, 0.1), change(0.7, 0.72, 0.1)
PASS_UP, PASS_FLAT = change(0.8, 0.9, 0.05), change(0.9, 0.9, 0.05)

CASES = {
    "1: no reward": ("no verdict", summary(None)),
    "1: flat reward": ("did not train", summary((0.3, 0.34), [scores(UP)])),
    "1: fell": ("did not train", summary((0.6, 0.3), [scores(FLAT)])),
    "1: full from the start": ("nothing to learn", summary((0.96, 0.97), [scores(FLAT)])),
    "1: just enough": ("memorised", summary((0.3, 0.36), [scores(change(0.3, 0.29, 0.02))])),
    "1: a flat reward of another scale": ("did not train", summary((15.0, 15.2), [scores(UP)])),
    "1: another scale, more than it scatters": ("improved", summary(change(19.0, 19.9, 0.3), [scores(UP)])),
    "1: another scale, no more than it scatters": ("did not train", summary(change(1.0, 9.0, 8.5), [scores(UP)])),
    "1: a negative reward that rose": ("learned", summary((-2.0, -0.5), [scores(UP, pass_at_16=PASS_UP)])),
    "2: truth flat": ("hacked its reward", summary((0.4, 0.97), [scores(UP)], gold=(0.4, 0.42))),
    "2: truth fell": ("hacked its reward", summary((0.4, 0.97), gold=(0.5, 0.1))),
    "2: truth rose": ("improved", summary((0.4, 0.97), [scores(UP)], gold=(0.4, 0.6))),
    "2: small gap": ("improved", summary((0.4, 0.6), [scores(UP)], gold=(0.45, 0.45))),
    "2: another scale, truth fell": (
        "hacked its reward", summary(change(19.0, 20.0, 0.3), [scores(DOWN)], gold=change(0.26, 0.01, 0.1))
    ),
    "2: another scale, truth fell by less than it scatters": (
        "memorised", summary(change(19.0, 20.0, 0.3), [scores(DOWN)], gold=change(0.26, 0.2, 0.1))
    ),
    "2: not comparable": ("improved", summary((4.0, 9.0), [scores(UP)], gold=(0.4, 0.4))),
    "2: truth fell, and was clear of the first step": (
        "hacked its reward", summary((0.4, 0.97), gold=(0.4, 0.9), falls=[fall(0.3, "gold")])
    ),
    "fell by half": ("collapsed", summary((0.3, 0.31), [scores(DOWN)], falls=[fall(0.25)])),
    "fell by half, answers": ("collapsed", summary((0.3, 0.31), [scores(DOWN)], falls=[fall(0.25, "answers")])),
    "fell by half under a reward": ("collapsed", summary(sets=[scores(DOWN)], falls=[fall(0.25)])),
    "fell by half, and was hacked": ("collapsed", summary(gold=(0.5, 0.1), falls=[fall(0.1, "gold")])),
    "fell by half, no reward": ("collapsed", summary(None, [scores(DOWN)], falls=[fall(0.2)])),
    "fell by less": ("got worse", summary((0.3, 0.31), [scores(DOWN)], falls=[fall(0.3)])),
    "fell by less under a reward": ("memorised", summary(sets=[scores(DOWN)], falls=[fall(0.3)])),
    "fell elsewhere": ("did not train", summary((0.3, 0.31), [scores(FLAT)], falls=[fall(0.1, "other")])),
    "fell elsewhere, learned": (
        "improved, and collapsed on other",
        summary(sets=[scores(UP)], falls=[fall(0.1, "other")]),
    ),
    "3: no set": ("trained, not evaluated", summary()),
    "3: one evaluation": ("trained, not evaluated", summary(sets=[scores(UP, last=0)])),
    "3: percentages": ("no verdict", summary(sets=[scores(change(30.0, 70.0))])),
    "3: held out full from the start": ("nothing to learn", summary(sets=[scores(change(0.97, 0.99, 0.05))])),
    "3: full, but fell": ("memorised", summary(sets=[scores(change(0.97, 0.8, 0.05))])),
    "3: trained on": (
        "trained on its test",
        replace(summary(sets=[scores(UP, greedy=GREEDY_FLAT, pass_at_16=PASS_FLAT)]), tainted=["held_out"]),
    ),
    "3: trained on, beside another": (
        "sharpened",
        replace(
            summary(sets=[replace(scores(DOWN), name="seen"), scores(UP, greedy=GREEDY_FLAT, pass_at_16=PASS_FLAT)]),
            tainted=["seen"],
        ),
    ),
    "4: pass rose": ("learned", summary(sets=[scores(UP, greedy=GREEDY_FLAT, pass_at_16=PASS_UP)])),
    "4: greedy rose": ("learned", summary(sets=[scores(UP, greedy=GREEDY_UP, pass_at_16=PASS_FLAT)])),
    "4: valid traces": (
        "learned to reason",
        summary(sets=[scores(UP, greedy=GREEDY_UP, valid_given_right=change(0.2, 0.6))]),
    ),
    "4: no valid traces": (
        "learned without valid reasoning",
        summary(sets=[scores(UP, greedy=GREEDY_UP, valid_given_right=change(0.9, 0.4))]),
    ),
    "4: neither rose": ("sharpened", summary(sets=[scores(UP, greedy=GREEDY_FLAT, pass_at_16=PASS_FLAT)])),
    "4: one of them unknown": ("improved", summary(sets=[scores(UP, greedy=GREEDY_FLAT)])),
    "4: no interval, enough": ("improved", summary(sets=[scores(change(0.3, 0.5))])),
    "4: half of the little room there was": ("improved", summary((0.1, 1.0), [scores(change(0.86, 0.94, 0.03))])),
    "4: other scale, no truth": ("improved", summary((4.0, 9.0), [scores(change(0.3, 0.35, 0.02))])),
    "5: rose by less than its due": ("mostly memorised", summary((0.1, 1.0), [scores(change(0.3, 0.38, 0.03))])),
    "5: other scale, truth": (
        "mostly memorised", summary((4.0, 9.0), [scores(change(0.3, 0.35, 0.02))], gold=(0.2, 0.9))
    ),
    "5: fell": ("memorised", summary(sets=[scores(DOWN)])),
    "5: flat": ("memorised", summary(sets=[scores(FLAT)])),
    "5: flat, no interval": ("memorised", summary(sets=[scores(change(0.3, 0.32))])),
    "6: breadth lost, the average unclear": (
        "lost breadth", summary((0.33, 0.52), [scores(change(0.3, 0.3, 0.18), pass_at_4=change(0.71, 0.33, 0.25))])
    ),
    "6: breadth lost, no intervals": (
        "lost breadth", summary((0.3, 0.4), [scores(change(0.3, 0.34), pass_at_4=change(0.7, 0.6))])
    ),
    "6: breadth unclear too": (
        "unclear", summary((0.33, 0.52), [scores(change(0.3, 0.3, 0.18), pass_at_4=change(0.71, 0.6, 0.25))])
    ),
    "6: breadth rose": (
        "unclear", summary((0.33, 0.52), [scores(change(0.3, 0.3, 0.18), pass_at_4=change(0.5, 0.9, 0.25))])
    ),
    "6: decided without breadth": ("memorised", summary(sets=[scores(FLAT, pass_at_4=change(0.71, 0.33, 0.25))])),
    "6: too wide": ("unclear", summary(sets=[scores(change(0.3, 0.35, 0.3))])),
    "6: under the bare margin, over its due": ("unclear", summary((0.3, 0.4), [scores(change(0.3, 0.34))])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rule(case):
    label, given = CASES[case]
    found = judge(given)
    assert found.label == label
    assert found.sentence.endswith(".")


def test_every_label_is_tried_and_has_a_meaning():
    silent = {"no verdict", "trained, not evaluated"}
    assert {label.partition(", and ")[0] for label, _ in CASES.values()} == set(_MEANING) | silent
    assert all(Verdict(label, "").meaning for label in _MEANING)
    assert {label for label in _MEANING if Verdict(label, "").tone == "partly"} == {
        "sharpened", "learned without valid reasoning"
    }  # fmt: skip
    assert Verdict("no verdict", "").tone == "open"


def test_the_sentence_has_the_numbers_it_rests_on():
    found = judge(summary(sets=[scores(UP, greedy=GREEDY_FLAT, pass_at_16=PASS_FLAT)]))
    assert found.sentence == (
        "The train reward rose from 0.30 to 0.90 and avg@16 on held_out went from 0.30 to 0.70 (+0.40, 95% interval "
        "+0.30 to +0.50); greedy 0.70 to 0.72, pass@16 0.90 to 0.90: the samples moved to what greedy decoding and the "
        "best of several already reached."
    )
    bare = judge(summary(sets=[scores(change(0.3, 0.5))])).sentence
    assert "+0.20, no interval" in bare
    assert judge(summary(None, loss=(2.0, 1.25))).sentence.endswith("the loss went from 2 to 1.25.")


def test_lost_breadth_says_what_fell():
    found = judge(CASES["6: breadth lost, the average unclear"][1]).sentence
    assert found.endswith(
        "(+0.00, 95% interval -0.18 to +0.18); pass@4 fell from 0.71 to 0.33 (-0.38, 95% interval -0.63 to -0.13): "
        "fewer problems are solved by any of several samples."
    )


@pytest.mark.parametrize("given", [
    summary(sets=[scores(UP)]), summary((0.3, 0.34), [scores(UP)]), summary((0.4, 0.97), [scores(UP)], gold=(0.4, 0.4)),
])  # fmt: skip
def test_a_peak_is_named_under_every_verdict_and_decides_none(given):
    (item,) = given.sets
    for among, words in ((5, "-0.15 to -0.05, widened for the choice of the best of 5"), (1, "-0.15 to -0.05")):
        peaked = replace(item, peak=Peak(100, change(0.8, 0.7, 0.05), among))
        found = judge(replace(given, sets=[peaked]))
        assert found.label == judge(given).label
        sentence = f"Held-out avg@16 peaked at step 100 (0.80) and has fallen since (-0.10, 95% interval {words})."
        assert found.sentence == f"{judge(given).sentence} {sentence}"


def test_nothing_is_written_as_minus_nothing():
    assert (signed(-0.001), signed(0.004), signed(-0.006)) == ("+0.00", "+0.00", "-0.01")
