"""A real vLLM server on this machine, asked through the OpenAI protocol."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from tests.training.runs import lines

from presat.config.schema import EvalConfig, FilterConfig, ModelConfig, ServerConfig, TaskConfig
from presat.errors import ModelError
from presat.models import load_model_and_tokenizer
from presat.rollouts import make_engine
from presat.training import run_eval, run_filter
from presat.types import Sampling

pytest.importorskip("vllm")

SETTINGS = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def served(lab, tmp_path_factory):
    """Folder and address of a lab model whose own settings would make every response the likeliest one."""
    model, tokenizer, _ = lab
    folder = tmp_path_factory.mktemp("served")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"top_k": 1, "do_sample": True}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # the command `vllm serve` of the CPU build looks for a distribution called vllm and fails; this is what it starts
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--served-model-name", "lab", "--dtype", "float32", "--enforce-eager"]
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, env={**os.environ, **SETTINGS}, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", folder / "server.log")
        yield folder, ServerConfig(url=f"http://127.0.0.1:{port}/v1", timeout_s=60)
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        shutil.rmtree(folder)


def _wait(process: subprocess.Popen, address: str, log: Path) -> None:
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return


@pytest.fixture(scope="module")
def engine(served):
    from presat.rollouts.server import ServerEngine

    folder, server = served
    return ServerEngine(load_model_and_tokenizer(str(folder))[1], server)


def test_greedy_responses_are_the_small_engines(served, engine, lab_problems):
    model, tokenizer = load_model_and_tokenizer(str(served[0]))
    sampling = Sampling(0.0, 30, 64)
    ours = make_engine(model, tokenizer, "small").generate(lab_problems, 1, sampling, [1] * 5)
    theirs = engine.generate(lab_problems, 1, sampling, [1] * 5)
    assert [g.prompt_ids for g in theirs] == [g.prompt_ids for g in ours]
    for ours_, theirs_ in zip(ours, theirs, strict=True):
        (one,), (other,) = ours_.completions, theirs_.completions
        assert (one.text, one.token_ids, one.finished) == (other.text, other.token_ids, other.finished)
        assert other.logprobs is None


def test_draws_are_the_models_distribution_whatever_the_servers_defaults(served, engine, lab_problems):
    model, tokenizer = load_model_and_tokenizer(str(served[0]))
    group = engine.generate(lab_problems[:1], 1000, Sampling(0.8, 1, 64), [3])[0]
    drawn = torch.bincount(torch.tensor([c.token_ids[0] for c in group.completions]), minlength=len(tokenizer))
    with torch.no_grad():
        probs = (model(input_ids=torch.tensor([group.prompt_ids])).logits[0, -1] / 0.8).softmax(-1)
    wanted = 1000 * probs
    seen = wanted > 5
    assert seen.sum() >= 5
    assert ((drawn[seen] - wanted[seen]) / (wanted[seen] * (1 - probs[seen])).sqrt()).abs().max() < 4.5


def test_seeds_decide_the_draws(engine, lab_problems):
    sampling = Sampling(1.0, 30, 64)
    texts = [
        [c.text for g in engine.generate(lab_problems, 4, sampling, seeds) for c in g.completions]
        for seeds in ([2**62 + i for i in range(5)], [2**62 + i for i in range(5)], [50 + i for i in range(5)])
    ]
    assert texts[0] == texts[1] != texts[2]


def test_evaluation_and_filter_ask_the_server(served, tmp_path):
    folder, server = served
    task = TaskConfig(source="lab/chains", name="chains", count=6)
    common = {"model": ModelConfig(name=str(folder)), "max_new_tokens": 16, "max_prompt_tokens": 64, "threads": 1}
    found = {}
    for kind in ("server", "small"):
        config = EvalConfig(run=tmp_path / kind, sets=[task], samples=4, engine=kind, server=server, **common)
        run_eval(config, quiet=True)
        found[kind] = lines(config.run)[-1]
    assert found["server"]["eval/chains/greedy"] == found["small"]["eval/chains/greedy"]
    assert f"lab at {server.url}" in (tmp_path / "server" / "provenance.json").read_text()
    config = FilterConfig(
        run=tmp_path / "filter", out=tmp_path / "kept.parquet", data=task, samples=4, lowest=0, highest=4,
        engine="server", server=server, **common,
    )  # fmt: skip
    assert run_filter(config, quiet=True).problems == 6


def test_what_a_server_cannot_do_is_said(served, engine):
    from presat.rollouts.server import ServerEngine

    tokenizer = engine.tokenizer
    url = served[1].url
    with pytest.raises(ModelError, match=r"does not serve 'labs'.*Did you mean 'lab'"):
        ServerEngine(tokenizer, ServerConfig(url=url, model="labs"))
    with pytest.raises(ModelError, match="did not answer"):
        ServerEngine(tokenizer, ServerConfig(url="http://127.0.0.1:9/v1"))
