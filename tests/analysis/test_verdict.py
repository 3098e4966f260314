"""Every rule of `verdict.py`, each with a case on either side of it."""

from dataclasses import replace

import pytest

from presat.analysis import RunSummary, SetSummary, Verdict
from presat.analysis.collapse import Fall
from presat.analysis.estimates import Change, signed
from presat.analysis.numbers import _MEANING, Choices
from presat.analysis.peak import Peak
from presat.analysis.verdict import judge
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
    "peak: what was gained is gone": (
        "learned, then lost it", summary(sets=[replace(scores(FLAT), peak=Peak(20, DOWN, 3, rose=True))])
    ),
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


@pytest.mark.parametrize(("given", "label"), [
    (summary(sets=[scores(UP)]), "improved, then fell"),
    (summary((0.3, 0.34), [scores(UP)]), "did not train"),
    (summary((0.4, 0.97), [scores(UP)], gold=(0.4, 0.4)), "hacked its reward"),
    (summary(sets=[scores(FLAT)]), "learned, then lost it"),
    (summary(sets=[scores(change(0.3, 0.37, 0.02))]), "learned, then lost it"),
    (summary((0.33, 0.52), [scores(change(0.3, 0.35, 0.3))]), "learned, then lost it"),
])  # fmt: skip
def test_a_peak_is_said_first_and_names_what_was_learned_and_lost(given, label):
    (item,) = given.sets
    plain = judge(given)
    for among, words in ((5, "-0.15 to -0.05, widened for the choice of the best of 5"), (1, "-0.15 to -0.05")):
        peaked = replace(item, peak=Peak(100, change(0.8, 0.7, 0.05), among, rose=True))
        found = judge(replace(given, sets=[peaked]))
        assert found.label == label
        best = "Held-out avg@16 on held_out was best at step 100 (0.80) and has fallen to 0.70 since"
        said = f"{best} (-0.10, 95% interval {words}): take that checkpoint."
        assert found.sentence == f"{said} {plain.sentence}"
    assert Verdict("improved, then fell", "").tone == "partly"
    assert Verdict("improved, then fell", "").meaning
    lucky = replace(item, peak=Peak(100, change(0.35, 0.2, 0.05), 5))  # not clearly above the first evaluation
    if plain.tone == "bad":
        assert judge(replace(given, sets=[lucky])).label == plain.label


BREADTH = Fall("breadth", "held-out pass@16 on held_out", change(0.8, 0.5), 0, 20, "no interval", "held_out")


@pytest.mark.parametrize(("given", "label", "tone"), [
    (summary(sets=[scores(UP, greedy=GREEDY_FLAT, pass_at_16=DOWN)]), "sharpened, and lost breadth", "partly"),
    (summary(sets=[scores(FLAT)]), "memorised, and lost breadth", "bad"),
    (summary((0.3, 0.31), [scores(FLAT)]), "did not train, and lost breadth", "bad"),
    (summary((0.33, 0.52), [scores(change(0.3, 0.35, 0.3))]), "lost breadth", "bad"),
    (summary((0.3, 0.5), [scores(change(0.3, 0.3, 0.2), pass_at_4=change(0.7, 0.3, 0.2))]), "lost breadth", "bad"),
])  # fmt: skip
def test_breadth_that_was_lost_is_said_first(given, label, tone):
    found = judge(replace(given, falls=[BREADTH]))
    assert (found.label, found.tone) == (label, tone)
    assert found.sentence.startswith("Held-out pass@16 on held_out fell from 0.80 at step 0 to 0.50, from step 20 on")
    assert "already reached" not in found.sentence
    assert found.meaning.endswith("fewer problems are solved by any of several samples")


def test_a_flat_reward_does_not_hide_the_held_out_score():
    assert judge(summary((0.5, 0.5), [scores(UP)])).sentence == (
        "The train reward went from 0.50 to 0.50 in 40 steps; avg@16 on held_out went from 0.30 to 0.70."
    )
    assert judge(summary((0.97, 0.97), [scores(FLAT)])).sentence == (
        "The train reward was 0.97 from the start; avg@16 on held_out went from 0.30 to 0.31."
    )


def test_a_sum_whose_accuracy_part_never_moved_is_judged_by_it():
    flat = summary(change(0.8, 2.2, 0.1), gold=change(0.25, 0.26, 0.02))
    for given in (flat, replace(flat, sets=[scores(change(0.8, 1.3))]), replace(flat, sets=[scores(UP, last=0)])):
        found = judge(given)
        assert found.label == "hacked its reward"
        assert found.sentence == (
            "The reward rose from 0.80 to 2.20, the answers did not get better: the true accuracy of the same "
            "responses went from 0.25 to 0.26."
        )
    rose = judge(replace(flat, gold=change(0.25, 0.6, 0.02)))
    assert rose.label == "trained, not evaluated"
    assert "the true accuracy of the same responses went from 0.25 to 0.60" in rose.sentence


def test_nothing_is_written_as_minus_nothing():
    assert (signed(-0.001), signed(0.004), signed(-0.006)) == ("+0.00", "+0.00", "-0.01")
