"""No setting takes what it is not: tried on every setting of every verb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from presat.config.load import build
from presat.config.schema import EvalConfig, RewardConfig, RewardPart, ServerConfig, TaskConfig, TrainConfig
from presat.errors import ConfigError
from presat.verbs import VERBS

ODD = [-1, 0, 10**18, float("nan"), float("inf"), -float("inf"), True, "", [], {}, None, "3", 3.5, "\ud800", "a\0b"]
MOST = 2**31
"""Beyond any bound but that of a learning rate."""


def models(kind: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Yield a model and all below it, lists of models too, each once."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for field in kind.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from models(part, seen)


def every_setting() -> list[tuple[type[BaseModel], str]]:
    seen: set[type[BaseModel]] = set()
    kinds = [model for verb in VERBS.values() for model in models(verb.config, seen)]
    return [(kind, name) for kind in kinds for name in kind.model_fields]


def accepted(kind: type[BaseModel], name: str) -> list[Any]:
    """The odd values that the setting takes; every other one is one sentence a fault, not too long."""
    found = []
    for value in ODD:
        try:
            build(kind, {name: value})
        except ConfigError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1, (kind, name, value, lines)
            assert len(lines[0]) < 700
            str(error).encode()
        else:
            found.append(value)
    return found


def test_every_setting_refuses_what_it_is_not() -> None:
    assert len(every_setting()) > 150
    for kind, name in every_setting():
        where, taken = f"{kind.__name__}.{name}", accepted(kind, name)
        default = kind.model_fields[name].get_default(call_default_factory=True)
        assert not [value for value in taken if value != value or value in (float("inf"), -float("inf"))], where
        assert "\ud800" not in taken, where
        assert "a\0b" not in taken, where
        numbers = [value for value in taken if isinstance(value, int | float) and not isinstance(value, bool)]
        if name != "lr":
            assert max(numbers, default=0) < MOST, where
        if True in [value for value in taken if isinstance(value, bool)]:
            assert isinstance(default, bool), where
        if isinstance(default, bool | int | float):
            assert "3" not in taken, where
            assert "" not in taken, where
        if isinstance(default, int):
            assert 3.5 not in taken, where
        if isinstance(default, Path):
            assert "" not in taken, where
        if None in taken:
            assert default is None, where


@pytest.mark.parametrize(
    "make",
    [
        lambda: RewardPart(weight=float("nan")),
        lambda: RewardConfig(source="x:y", options={"deep": [{"scale": float("inf")}]}),
        lambda: TrainConfig(eval={"sets": [{"source": "lab/chains", "options": {"weights": [float("nan")]}}]}),
        lambda: setattr(TrainConfig(), "temperature", float("nan")),
        lambda: setattr(TaskConfig(), "options", {"a": float("nan")}),
        lambda: TrainConfig(steps=True),
        lambda: TrainConfig(steps="3"),
        lambda: TrainConfig(beta=True),
        lambda: TaskConfig(columns={"question": "\udc80"}),
    ],
)  # fmt: skip
def test_from_python_too(make) -> None:
    with pytest.raises(ValueError, match=r"finite|valid|UTF-8"):
        make()


SECRETS = [
    (TaskConfig, "source", "https://user:tok-en@hf.co/datasets/x", "tok-en"),
    (TaskConfig, "options", {"judge_key": "abcdefg"}, "abcdefg"),
    (TaskConfig, "options", {"a": [{"hub-token": "abcdefg"}]}, "abcdefg"),
    (RewardConfig, "options", {"url": "http://x/v1?api_key=abcdefg"}, "abcdefg"),
    (ServerConfig, "url", "http://u:p@ss/w0rd@host:8000/v1", "w0rd"),
    (ServerConfig, "url", "http://host/v1?token=abcdefg", "abcdefg"),
    (EvalConfig, "model", {"name": "hf_0123456789abcdefghij"}, "0123456789"),
]


@pytest.mark.parametrize(("kind", "name", "value", "secret"), SECRETS)
def test_a_secret_is_refused_and_not_repeated(kind, name, value, secret) -> None:
    with pytest.raises(ConfigError) as caught:
        build(kind, {name: value})
    assert secret not in str(caught.value)


def test_what_only_looks_a_little_like_a_secret_is_taken() -> None:
    TaskConfig(source="https://hf.co/a?max_tokens=3", options={"key": "answer", "tokens": "5", "system": "a: b@c"})
    TaskConfig(source="runs/sk-learn-pipelines-and-more", name="task-force-0123456789abcdef")
    ServerConfig(url="http://[::1]:8000/v1")


def test_long_values_are_cut_and_many_faults_counted() -> None:
    with pytest.raises(ConfigError) as caught:
        build(TrainConfig, {"steps": "x" * 10**6, **{f"k{i}" * 99: i for i in range(100)}})
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].strip() == "and 81 faults more."
    assert max(map(len, lines)) < 1000
