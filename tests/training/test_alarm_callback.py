"""The alarms in a stock TRL script: said once, logged, and a stop at one that lasts."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from presat.errors import ConfigError
from presat.training import AlarmCallback


def play(callback, rewards, tmp_path, history=()):
    """Log one line a step as the trainer does, until it is to stop; returns the state and the last step."""
    state = TrainerState(max_steps=200, log_history=[*history])
    args, control = SimpleNamespace(output_dir=str(tmp_path), beta=0.001), TrainerControl()
    callback.on_train_begin(args, state, control)
    for step, reward in enumerate(rewards, start=len(history) + 1):
        state.global_step = step
        logs = {"reward": reward, "loss": 0.1, "grad_norm": 0.5, "learning_rate": 0.0 if reward == 0.4 else 1e-6}
        state.log_history.append({**logs, "step": step})
        callback.on_log(args, state, control, logs)
        if control.should_training_stop:
            break
    return state, state.global_step


def test_alarms_are_said_once_and_logged_while_they_hold(tmp_path, caplog):
    callback = AlarmCallback(every=5)
    with caplog.at_level(logging.WARNING, "presat"):
        state, last = play(callback, [0.4] * 40, tmp_path)
    assert last == 40
    said = [text for text in caplog.messages if "does not move" in text]
    assert len(said) == 1
    assert said[0].startswith("Alarm (critical): The policy does not move: the learning rate is 0")
    with_alarm = [line["step"] for line in state.log_history if "alarms/policy_stuck" in line]
    assert with_alarm == [20, 25, 30, 35, 40]
    with caplog.at_level(logging.WARNING, "presat"):
        play(AlarmCallback(every=5), [0.4] * 10, tmp_path, state.log_history)
    assert len([text for text in caplog.messages if "does not move" in text]) == 1  # a resumed run has said it


def test_it_stops_at_a_critical_alarm_that_lasts_and_only_if_asked(tmp_path):
    callback = AlarmCallback(stop=True, every=5, patience=3)
    assert play(callback, [0.4] * 60, tmp_path)[1] == 30
    assert "does not move" in callback.stop_reason
    assert callback.state()["attributes"] == {"stop_reason": callback.stop_reason}
    rising = [0.2 + 0.01 * step for step in range(60)]
    assert play(AlarmCallback(stop=True, every=5), rising, tmp_path)[1] == 60


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        AlarmCallback(every=0)
