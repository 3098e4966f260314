"""The command reference is complete, and the committed page is the one the types give."""

from __future__ import annotations

from pathlib import Path

from presat.config.load import settings_of
from presat.config.reference import reference
from presat.verbs import VERBS

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_committed_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs` and commit docs/reference.md"


def test_a_list_of_settings_says_what_each_holds():
    lines = {line.split(" |")[0]: line for line in reference().split("## presat train\n")[1].splitlines()}
    assert "each has the settings of `data`" in lines["| `eval.sets`"]
    assert "each has `source`, `weight`, `name`, `gate`, `options`" in lines["| `reward.parts`"]


def test_every_setting_of_every_verb_is_explained():
    sections = dict(zip(VERBS, reference().split("\n## presat ")[1:], strict=True))
    for name, verb in VERBS.items():
        for setting, field in settings_of(verb.config):
            assert field.description, f"{name}: {setting} has no docstring"
            parts = setting.split(".")
            wanted = [f"| `{setting}` |", *(f"| `{'.'.join(parts[:n])}.*` |" for n in range(1, len(parts)))]
            assert any(start in sections[name] for start in wanted), f"{name}: {setting} is missing"
