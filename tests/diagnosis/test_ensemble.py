"""The ensemble: calibrated where its parts are not, of the judges it was fitted on and of no others."""

import json

import numpy as np
import pytest

from presat.diagnosis import Cost, EnsembleFit, Judgement, fit_ensemble, make_judge
from presat.errors import ConfigError, DataError, RunError
from presat.metrics import auroc, brier_score, expected_calibration_error

NONE = Judgement(None, None, "It abstains.", Cost(5, 1))


class Said:
    """A judge that says what stands in the response, `NAME=SCORE`, and else abstains."""

    def __init__(self, name):
        self.name, self.identity = name, f"{name}/1"

    def judge(self, items):
        found = [dict(part.split("=") for part in item["response"].split()) for item in items]
        return [
            NONE if self.name not in one else Judgement(1.0, float(one[self.name]), "So.", Cost(5, 1)) for one in found
        ]


def labelled(count, seed):
    """Three judges of n responses: one good, one weak that mostly abstains on the unsound, one that says nothing."""
    rng = np.random.default_rng(seed)
    sound_N = rng.random(count) < 0.6
    responses = []
    for sound in sound_N:
        parts = [f"good={rng.normal(1.5 * sound, 1):.4f}"]
        if rng.random() < (0.8 if sound else 0.3):
            parts.append(f"weak={rng.normal(0.5 * sound, 1):.4f}")
        responses.append({"prompt": "p", "response": " ".join(parts)})
    return responses, list(sound_N)


JUDGES = [Said("good"), Said("weak"), Said("mute")]


def fitted(seed=0, count=1500):
    items, sound = labelled(count, seed)
    return fit_ensemble({judge.identity: judge.judge(items) for judge in JUDGES}, sound, "made-up responses")


def test_it_is_calibrated_and_better_than_its_parts_on_other_responses():
    judge = make_judge("ensemble", fit=fitted(), members=JUDGES[::-1])
    items, sound = labelled(3000, 1)
    found = judge.judge(items)
    p = [one.score for one in found]
    assert expected_calibration_error(p, sound) < 0.04
    assert brier_score(p, sound) < 0.18
    parts = [auroc([one.score for one in JUDGES[0].judge(items)], sound)]
    assert auroc(p, sound) > max(parts) + 0.02  # that one abstains tells something too
    assert all(one.label == float(one.score > 0.5) for one in found)
    assert found[0].cost == Cost(15, 3)
    assert "good" in found[0].reason
    assert "mute abstains" in found[0].reason


def test_that_a_judge_finds_something_wrong_says_more_than_a_low_score():
    rng = np.random.default_rng(2)

    def draw():
        sound = rng.random(2000) < 0.5
        caught = ~sound & (rng.random(2000) < 0.6)
        scores = np.where(caught, 0.0, rng.uniform(0.05, 1.0, 2000))
        return [Judgement(float(score > 0), float(score), "So.") for score in scores], list(sound)

    said, sound = draw()
    fit = fit_ensemble({"one/1": said}, sound, "made-up responses")
    said, sound = draw()
    assert expected_calibration_error(fit.probabilities([said]), sound) < 0.03


def test_it_abstains_where_all_do_and_says_what_did_not_last():
    judge = make_judge("ensemble", fit=fitted(), members=JUDGES)
    (found,) = judge.judge([{"prompt": "p", "response": ""}])
    assert (found.label, found.score, found.lasting) == (None, None, True)

    class Asleep(Said):
        def judge(self, items):
            return [Judgement(None, None, "It sleeps.", lasting=False) for _ in items]

    sleepy = make_judge("ensemble", fit=fitted(), members=[*JUDGES[:2], Asleep("mute")])
    assert not sleepy.judge([{"prompt": "p", "response": "good=1"}])[0].lasting


def test_a_fit_is_a_file_that_says_what_it_is_of(tmp_path):
    fit = fitted()
    path = fit.save(tmp_path / "fit.json")
    judge = make_judge("ensemble", fit=path, members=JUDGES)
    assert judge.identity == fit.identity == make_judge("ensemble", fit=fit, members=JUDGES).identity
    read = json.loads(path.read_text())
    assert read["fitted_on"] == "made-up responses"
    assert (read["cases"], read["sound"]) == (1500, fit.sound)
    assert fitted(seed=3).identity != fit.identity
    fitted(seed=3).save(path)  # over a fit
    other = tmp_path / "mine.json"
    other.write_text("{}")
    with pytest.raises(ConfigError, match="left as it is"):
        fit.save(other)
    for text in ("{}", '{"bias": 1}', path.read_text().replace('"spread": ', '"spread": -')):
        other.write_text(text)
        with pytest.raises(RunError, match=r"mine\.json"):
            make_judge("ensemble", fit=other, members=JUDGES)
    with pytest.raises(ConfigError, match="There is no fit"):
        make_judge("ensemble", fit=tmp_path / "none.json")


def test_it_serves_the_judges_it_was_fitted_on_alone():
    with pytest.raises(ConfigError, match=r"fitted on the judges good/1, weak/1, mute/1; these are good/1"):
        make_judge("ensemble", fit=fitted(), members=JUDGES[:1])


def test_judges_without_settings_are_made():
    judge = make_judge("symbolic")
    items = [{"prompt": "p", "response": text} for text in ("3 + 4 = 7.", "3 + 4 = 8.", "so", "1 + 1 = 2.")]
    fit = fit_ensemble({judge.identity: judge.judge(items)}, [True, False, False, True], "four")
    found = make_judge("ensemble", fit=fit).judge(items)
    assert [one.label for one in found] == [1.0, 0.0, None, 1.0]


def test_a_score_that_never_differs_and_one_label_alone():
    ones = [Judgement(1.0, 1.0, "So.")] * 4
    fit = fit_ensemble({"one/1": ones}, [True, False, True, True], "four")
    assert fit.probabilities([ones]) == pytest.approx([0.75] * 4)
    assert isinstance(fit, EnsembleFit)
    with pytest.raises(DataError):
        fit_ensemble({"one/1": ones}, [True] * 4, "four")
    with pytest.raises(DataError, match="same 3 responses"):
        fit_ensemble({"one/1": ones}, [True, False, True], "three")
    with pytest.raises(DataError):
        fit_ensemble({}, [True], "none")
