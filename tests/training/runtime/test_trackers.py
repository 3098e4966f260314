"""What trackers are told: the evaluation before training, our names, the run's own name."""

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from presat.config.schema import CorpusConfig, CptConfig, ModelConfig
from presat.tracking import open_run
from presat.training import run_cpt, run_train
from presat.training.runtime.trackers import named_for


class Fake(TrainerCallback):
    """A tracker as those of transformers are, that keeps what it is told."""

    def __init__(self):
        Fake.told, Fake.names = [], set()

    def on_log(self, args, state, control, logs=None, **kwargs):
        Fake.names.add(args.run_name)
        Fake.told += [(name, state.global_step, value) for name, value in integration_utils.rewrite_logs(logs).items()]


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Fake)
    monkeypatch.setattr(
        "presat.training.runtime.trackers.get_available_reporting_integrations", lambda: ["tensorboard"]
    )
    return Fake


def test_a_tracker_is_told_what_the_log_has(fake, toy_config):
    run_train(toy_config.model_copy(update={"report_to": ["tensorboard"]}))
    assert fake.names == {toy_config.run.name}
    told = {(name, step): value for name, step, value in fake.told}
    run = open_run(toy_config.run)
    names = [name for name in run.names() if name.startswith("eval/")]
    assert names
    for name in names:
        for step, value in run.values[name].items():
            assert told.get((name, step)) == pytest.approx(value) or value != value
    assert {step for name, step in told if name in names} >= {0, toy_config.steps}
    assert told["train/reward", 1] == pytest.approx(run.values["reward"][1])
    assert not [name for name, _ in told if name.startswith(("train/train", "train/eval"))]
    assert not [value for value in told.values() if value is None or value != value]


def test_what_is_measured_before_pretraining_is_told_too(fake, toy_model, tmp_path):
    run_cpt(
        CptConfig(
            run=tmp_path / "own_name",
            model=ModelConfig(name=str(toy_model)),
            data=CorpusConfig(source="lab/cpt", held_out_rows=3),
            report_to=["tensorboard"], sequence_length=24, batch=4, micro_batch=4, steps=2, threads=1,
        ),
        quiet=True,
    )  # fmt: skip
    assert fake.names == {"own_name"}
    assert {step for name, step, _ in fake.told if name == "eval/held_out/bits_per_token"} == {0, 2}


def test_names_that_a_tracker_of_another_kind_is_told():
    line = {"reward": 0.5, "eval/math/avg@4": 0.25, "train_loss": 1.0, "kl": None, "entropy": float("nan")}
    assert named_for("mlflow", line) == {"reward": 0.5, "eval/math/avg@4": 0.25, "train_loss": 1.0}
    assert named_for("wandb", line) == {"reward": 0.5, "eval_math/avg@4": 0.25, "train_loss": 1.0}
    assert named_for("tensorboard", line) == {"reward": 0.5, "eval_math/avg@4": 0.25, "mean_loss": 1.0}
