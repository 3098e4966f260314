"""The path a GPU takes: shapes stay, steps are recorded once, tokens looked at seldom. On the CPU by a stand-in."""

from __future__ import annotations

import logging

import pytest
import torch
from tests.device import DEVICE, same_draws
from tests.recorded import CpuRecorder
from tests.rollouts.conftest import build

from presat.rollouts import graphs, loop, make_engine, seed_for
from presat.types import Sampling

pytestmark = pytest.mark.device

SAMPLING = Sampling(1.0, 90, 64)
SEEDS = [seed_for(2, i) for i in range(5)]


@pytest.fixture
def recorded(monkeypatch):
    """Nothing is recorded until this is called; what follows is decoded as on a GPU."""
    monkeypatch.setattr(CpuRecorder, "recordings", 0)
    monkeypatch.setattr(CpuRecorder, "replays", 0)
    monkeypatch.setattr(graphs, "records", lambda device: False)

    def switch() -> None:
        if DEVICE == "cpu":
            monkeypatch.setattr(graphs, "Recorder", CpuRecorder)
        monkeypatch.setattr(graphs, "off_cpu", lambda device: True)
        monkeypatch.setattr(graphs, "records", lambda device: True)

    return switch


def drawn(groups):
    return [[(c.token_ids, c.finished) for c in group.completions] for group in groups]


def logprobs(groups):
    return torch.tensor([value for group in groups for c in group.completions for value in c.logprobs])


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
def test_recorded_steps_draw_what_plain_ones_draw(temperature, model, tokenizer, problems, recorded):
    sampling = Sampling(temperature, 90, 64)
    plain = make_engine(model, tokenizer, "small").generate(problems, 5, sampling, SEEDS)
    recorded()
    again = make_engine(model, tokenizer, "small").generate(problems, 5, sampling, SEEDS)
    assert same_draws(drawn(again), drawn(plain))
    if DEVICE == "cpu":
        assert (logprobs(again) - logprobs(plain)).abs().max() < 1e-5
        assert CpuRecorder.replays > 80
        assert CpuRecorder.recordings == 2  # at the start, and where the caches grew


def test_rows_leave_and_draws_stay(llama, tokenizer, problems, recorded, monkeypatch):
    sampling = Sampling(1.0, 40, 64)
    whole = make_engine(llama, tokenizer, "small", rows=30).generate(problems, 6, sampling, SEEDS)
    recorded()
    monkeypatch.setattr(loop, "_GPU", loop._Pace(every=4, drop=0.2, narrow=2))
    monkeypatch.setattr("presat.rollouts.small._GROWTH", 8)
    shapes = set()
    keep = loop._Turns.keep
    monkeypatch.setattr(loop._Turns, "keep", lambda self, rows: (shapes.add(len(rows)), keep(self, rows))[1])
    for rows in (30, 13):  # 13: a prompt's rows are split between batches
        again = make_engine(llama, tokenizer, "small", rows=rows).generate(problems, 6, sampling, SEEDS)
        assert same_draws(drawn(again), drawn(whole))
    assert len(shapes) > 3


def test_a_recording_is_made_of_the_weights_of_its_batch(tokenizer, problems, recorded):
    model = build("llama", tokenizer)
    recorded()
    engine = make_engine(model, tokenizer, "small")
    engine.generate(problems, 3, SAMPLING, SEEDS)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    found = engine.generate(problems, 3, SAMPLING, SEEDS)
    plain = make_engine(model, tokenizer, "transformers").generate(problems, 3, SAMPLING, SEEDS)
    assert same_draws(drawn(found), drawn(plain))


def test_where_nothing_can_be_recorded_steps_are_done_plainly(
    llama, tokenizer, problems, recorded, monkeypatch, caplog
):
    plain = make_engine(llama, tokenizer, "small").generate(problems, 3, SAMPLING, SEEDS)
    recorded()

    def refuse(self, work):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs.Recorder, "record", refuse)
    engine = make_engine(llama, tokenizer, "small")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert same_draws(drawn(engine.generate(problems, 3, SAMPLING, SEEDS)), drawn(plain))
    assert caplog.text.count("not recorded as a CUDA graph") == 1


@pytest.mark.parametrize("kind", ["small", "transformers"])
def test_tokens_are_looked_at_seldom(kind, llama, tokenizer, problems, recorded, monkeypatch):
    recorded()
    monkeypatch.setattr(graphs, "records", lambda device: False)
    looks = []
    found = loop._Turns.found
    monkeypatch.setattr(loop._Turns, "found", lambda self, *places: (looks.append(places), found(self, *places))[1])
    make_engine(llama, tokenizer, kind).generate(problems, 2, SAMPLING, SEEDS)
    assert looks == [(0, 16), (16, 32), (32, 48), (48, 64), (0, 16), (16, 26)]
