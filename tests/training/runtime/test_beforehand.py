"""A slip of the pen in a configuration is found before anything is written."""

from __future__ import annotations

import pytest
from tests.inputs.case import TRAIN

from presat.cli import run

STAGE = "--run run --model.name model --threads 1 --data.source"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train --config c.yaml --reward.source majority_voet", "Did you mean 'majority_vote'?"),
        ("train --config c.yaml --reward.source nope:x", "The reward nope:x cannot be imported"),
        ("train --config c.yaml --reward.options {a:1}", "The reward random takes no option"),
        ("train --config c.yaml --data.source lab/chian", "There is no lab task 'chian'. Did you mean 'chains'?"),
        ("train --config c.yaml --data.source reasoning_gym/quantum_lok", "Did you mean 'quantum_lock'?"),
        ("train --config c.yaml --data.source benchmark/math50", "Did you mean 'math500'?"),
        ("train --config c.yaml --data.source no.parquet", "There is no file no.parquet."),
        ("train --config sets.yaml", "There is no lab task 'chian'."),
        ("train --config c.yaml --model.name ./no", "There is no model folder './no'."),
        ("train --config c.yaml --model.name empty", "The folder empty holds no model"),
        (f"sft {STAGE} no.jsonl", "There is no file no.jsonl."),
        (f"sft {STAGE} lab/chian", "There is no lab task 'chian'."),
        (f"cpt {STAGE} no.txt", "There is no file no.txt."),
        (f"cpt {STAGE} lab/ctp --steps 1", "There is no lab corpus 'ctp'. Did you mean 'cpt'?"),
        (f"cpt {STAGE}=", "No text is given"),
    ],
)
def test_a_slip_leaves_no_run_directory(tmp_path, monkeypatch, capsys, toy_model, line, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(toy_model, target_is_directory=True)
    (tmp_path / "c.yaml").write_text(TRAIN)
    (tmp_path / "sets.yaml").write_text(TRAIN + "eval: {sets: [{source: lab/chian}]}\n")
    (tmp_path / "empty").mkdir()
    assert run(line.split()) != 0
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
