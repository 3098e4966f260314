"""A real vLLM server on this machine, asked through the OpenAI protocol."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
import torch
from tests.toy import make_toy_model, toy
from tests.training.runs import largest_gap, lines, on_two_processes

from presat.config.schema import EvalConfig, FilterConfig, ModelConfig, RewardConfig, ServerConfig, TaskConfig
from presat.errors import ModelError, RunError
from presat.evaluation import run_eval, run_filter
from presat.models import load_model_and_tokenizer
from presat.rollouts import make_engine
from presat.training import run_train
from presat.types import Problem, Sampling

pytest.importorskip("vllm")  # before what skips itself while it is imported

from .test_engine import SEEDS, forced_logprobs
from .test_runs import small_answer

SETTINGS = {
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Folder and address of a lab model, its head tied, whose own settings make every response the likeliest one."""
    folder = make_toy_model(tmp_path_factory.mktemp("served"), tied=True)
    (folder / "generation_config.json").write_text(json.dumps({"top_k": 1, "do_sample": True}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # the command `vllm serve` of the CPU build looks for a distribution called vllm and fails; this is what it starts
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--served-model-name", "lab", "--dtype", "float32", "--enforce-eager"]
    command += ["--no-enable-chunked-prefill"]  # on a CPU it dies of a prompt it reads in two rounds (docs/vllm.md)
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(command, env={**os.environ, **SETTINGS}, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", folder / "server.log")
        yield folder, ServerConfig(url=f"http://127.0.0.1:{port}/v1", timeout_s=60)
        assert process.poll() is None, (folder / "server.log").read_text()[-6000:]
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        shutil.rmtree(folder)


def _wait(process: subprocess.Popen, address: str, log: Path) -> None:
    deadline = time.monotonic() + 400
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return


@pytest.fixture
def engine(served, tmp_path):
    """Asks the server, which has the folder's weights again, whatever the test before has handed over."""
    from presat.rollouts.server import ServerEngine

    folder, server = served
    model, tokenizer = load_model_and_tokenizer(str(folder))
    engine = ServerEngine(tokenizer, server, model, tmp_path / "weights")
    engine.generate([], 1, Sampling(0.0, 1, 64), [])
    return engine


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


def test_more_prompts_than_the_server_reads_at_once(engine):
    long = Problem("long", ({"role": "user", "content": "1 a +3 " * 30},), "1", "lab", "lab")
    group = engine.generate([long], 200, Sampling(1.0, 2, 240), [1])[0]
    assert len(group.completions) == 200
    assert len({c.text for c in group.completions}) > 20


def test_seeds_decide_the_draws(engine, lab_problems):
    sampling = Sampling(1.0, 30, 64)
    texts = [
        [c.text for g in engine.generate(lab_problems, 4, sampling, seeds) for c in g.completions]
        for seeds in ([2**62 + i for i in range(5)], [2**62 + i for i in range(5)], [50 + i for i in range(5)])
    ]
    assert texts[0] == texts[1] != texts[2]


def of(kind, server):
    """The server, for runs that have one: a setting that would do nothing is refused."""
    return server if kind == "server" else ServerConfig()


def test_evaluation_and_filter_ask_the_server(served, engine, tmp_path):
    folder, server = served
    task = TaskConfig(source="lab/chains", name="chains", count=6)
    common = {"model": ModelConfig(name=str(folder)), "max_new_tokens": 16, "max_prompt_tokens": 64, "threads": 1}
    found = {}
    for kind in ("server", "small"):
        config = EvalConfig(run=tmp_path / kind, sets=[task], samples=4, engine=kind, server=of(kind, server), **common)
        run_eval(config, quiet=True)
        found[kind] = lines(config.run)[-1]
    assert found["server"]["eval/chains/greedy"] == found["small"]["eval/chains/greedy"]
    described = json.loads((tmp_path / "server" / "provenance.json").read_text())["model"]
    assert described == {"name": "lab", "server": server.url}
    config = FilterConfig(
        run=tmp_path / "filter", out=tmp_path / "kept.parquet", data=task, samples=4, lowest=0, highest=4,
        engine="server", server=server, **common,
    )  # fmt: skip
    assert run_filter(config, quiet=True).problems == 6
    drawn_with = json.loads((config.run / "samples.json").read_text())
    assert (drawn_with["engine"], drawn_with["model"]) == ("server", "lab")
    with pytest.raises(RunError, match=r"drawn otherwise .*engine server, now small"):
        run_filter(config.model_copy(update={"engine": "small", "server": ServerConfig()}), quiet=True)


def served_logprobs(engine, group):
    """What the server says of the response tokens' log-probabilities: drawn anew, greedily, from its own weights."""
    answer = engine._client.completions.create(
        model=engine.served, prompt=list(group.prompt_ids), max_tokens=30, temperature=0.0, logprobs=0,
        extra_body={"return_token_ids": True},
    )  # fmt: skip
    choice = answer.choices[0]
    assert tuple(choice.token_ids) == group.completions[0].token_ids
    return torch.tensor(choice.logprobs.token_logprobs)


def test_a_live_models_weights_are_the_servers_before_and_after_they_change(engine, lab_problems, tmp_path):
    model = engine.model
    assert model.lm_head.weight is model.model.embed_tokens.weight
    sampling = Sampling(0.0, 30, 64)
    torch.manual_seed(0)
    seen = []
    for _ in range(3):
        groups = engine.generate(lab_problems, 1, sampling, SEEDS)
        assert list((tmp_path / "weights").iterdir()) == []  # what the server has loaded is not kept
        for group in groups:
            gap = served_logprobs(engine, group) - forced_logprobs(model, group, group.completions[0], 1.0)
            assert gap.abs().max() < 2e-5
        seen.append([group.completions[0].token_ids for group in groups])
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1 + 0.1 * torch.randn_like(weight))
    assert seen[0] != seen[1] != seen[2]


def trained(folder, server, run, kind, **changes):
    """Rewards by step of a run with 128 responses a step that learns to box a small number."""
    config = toy(folder, run)
    config.engine, config.server, config.steps, config.save_every = kind, of(kind, server), 8, 4
    config.prompts_per_step, config.group_size, config.micro_batch = 16, 8, 128
    config.reward = RewardConfig(source=f"{small_answer.__module__}:small_answer")
    config.optim.lr, config.eval.every = 2e-3, 8
    run_train(config, quiet=True)
    return [row["reward"] for row in lines(config.run) if "reward" in row]


def test_a_run_trains_on_the_servers_responses(served, tmp_path):
    folder, server = served
    theirs, ours = (trained(folder, server, tmp_path / kind, kind) for kind in ("server", "vllm"))
    for rewards in (ours, theirs):
        assert sum(rewards[-3:]) / 3 - sum(rewards[:2]) / 2 > 0.2  # what is sampled are the live weights
    assert abs(ours[0] - theirs[0]) < 0.2  # one policy: 3.2 standard errors of a difference of two shares of 128
    assert abs(sum(ours) - sum(theirs)) / 8 < 0.1
    assert list((tmp_path / "server" / "weights").iterdir()) == []


def test_every_checkpoint_is_handed_to_the_server(served, engine, tmp_path):
    folder, server = served
    trained(folder, server, tmp_path / "run", "small")
    found = {}
    for kind, model in (("start", folder), ("small", tmp_path / "run"), ("server", tmp_path / "run")):
        config = EvalConfig(
            run=tmp_path / kind, model=ModelConfig(name=str(model)), every_checkpoint=kind != "start", temperature=0.0,
            sets=[TaskConfig(source="lab/chains", count=24)], engine="server" if kind == "server" else "small",
            server=of(kind, server), max_new_tokens=16, samples=1, max_prompt_tokens=64, threads=1,
        )  # fmt: skip
        run_eval(config, quiet=True)
        files = sorted((config.run / "rollouts" / "eval").glob("*.parquet"))
        found[kind] = [pl.read_parquet(file)["text"].to_list() for file in files]
    assert len(found["server"]) == 2
    assert found["server"] == found["small"]
    assert found["start"][0] not in found["server"]


@pytest.mark.slow  # `make test-vllm` has it
def test_two_processes_share_the_server_as_one_has_it(served, tmp_path):
    folder, server = served
    runs = []
    for name in ("one", "two"):
        config = toy(folder, tmp_path / name)
        config.engine, config.server, config.steps, config.save_every = "server", server, 3, 0
        config.reward = RewardConfig(source="self_certainty")
        runs.append(config)
    one, two = runs
    run_train(one, quiet=True)
    on_two_processes({"train": two}, tmp_path)
    assert responses(two.run) == responses(one.run)
    for ours, theirs in zip(lines(two.run), lines(one.run), strict=True):
        assert ours.get("reward") == pytest.approx(theirs.get("reward"), abs=1e-4)
    assert largest_gap(two.run, one.run) < 1e-4


def responses(run):
    files = sorted((run / "rollouts" / "train").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).sort("step", "problem_id", "text")["text"].to_list()


def test_what_a_server_cannot_do_is_said(served, engine):
    from presat.rollouts.server import ServerEngine

    tokenizer = engine.tokenizer
    url = served[1].url
    with pytest.raises(ModelError, match=r"does not serve 'labs'.*Did you mean 'lab'"):
        ServerEngine(tokenizer, ServerConfig(url=url, model="labs"))
    with pytest.raises(ModelError, match="did not answer"):
        ServerEngine(tokenizer, ServerConfig(url="http://127.0.0.1:9/v1"))


class _Plain(BaseHTTPRequestHandler):
    """What is left of the protocol without development mode: one model, and no way to change it."""

    def do_GET(self):
        body = json.dumps({"object": "list", "data": [{"id": "lab", "object": "model", "created": 0, "owned_by": "x"}]})
        self._answer(200, body)

    def do_POST(self):
        self._answer(404, json.dumps({"detail": "Not Found"}))

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words):
        """Nothing."""


def test_a_server_that_takes_no_weights_is_told_apart(engine, lab_problems, tmp_path):
    from presat.rollouts.server import ServerEngine

    with HTTPServer(("127.0.0.1", 0), _Plain) as plain:
        Thread(target=plain.serve_forever, daemon=True).start()
        other = ServerConfig(url=f"http://127.0.0.1:{plain.server_port}/v1")
        with pytest.raises(ModelError, match=r"takes no new weights.*VLLM_SERVER_DEV_MODE=1"):
            ServerEngine(engine.tokenizer, other, engine.model, tmp_path / "w").generate(
                lab_problems, 1, Sampling(0.0, 4, 64), SEEDS
            )
        plain.shutdown()


def test_weights_of_another_shape_are_refused(served, engine, lab_problems, tmp_path):
    from presat.rollouts.server import ServerEngine

    config = copy.deepcopy(engine.model.config)
    config.hidden_size, config.intermediate_size = 64, 96
    other = ServerEngine(engine.tokenizer, served[1], type(engine.model)(config), tmp_path / "w")
    with pytest.raises(ModelError, match=r"could not load the weights.*same shape"):
        other.generate(lab_problems, 1, Sampling(0.0, 4, 64), SEEDS)
