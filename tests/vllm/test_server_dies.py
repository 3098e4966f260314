"""A server that dies, or talks nonsense, in the middle of a run: one sentence, and the run goes on with the next one.

The server is a small one of our own: what a real one does to a run is in tests/vllm.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.inputs.case import TRAIN

from presat.cli import run

pytest.importorskip("openai")

ANSWER = "\\boxed{ 8 }"


class Server(ThreadingHTTPServer):
    """Answers `good` requests for responses, and then as `then` says.

    Attributes:
        asked: requests for responses so far.
    """

    daemon_threads = True

    def __init__(self, port: int = 0, good: int = 10**9, then: str = "") -> None:
        self.asked, self.good, self.then = 0, good, then
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.then == "lists nothing":
            self._send(200, b"<html>a proxy's page</html>", None, "text/html")
            return
        if self.server.then == "lists broken JSON":
            self._send(200, b'{"data": [', None, "application/json")
            return
        self._answer({"object": "list", "data": [{"id": "lab", "object": "model", "created": 0, "owned_by": "x"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        if not self.path.endswith("/completions"):  # new weights
            self._answer({})
            return
        self.server.asked += 1
        if self.server.asked <= self.server.good:
            choices = [
                {"index": place, "text": ANSWER, "finish_reason": "stop", "logprobs": None}
                for place in range(asked["n"])
            ]
            self._answer({"id": "1", "object": "text_completion", "created": 0, "model": "lab", "choices": choices})
        elif self.server.then == "dies":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.server.then == "is cut off":
            self._send(200, b'{"id": "1", "choices": [', 4000, "application/json")
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.server.then == "says HTML":
            self._send(200, b"<html>a proxy's page</html>", None, "text/html")
        elif self.server.then == "says broken JSON":
            self._send(200, b'{"id": "1", "choices": [', None, "application/json")
        elif self.server.then == "says nothing":
            self._answer({"id": "1", "choices": None})
        elif self.server.then == "says half of a character":
            choices = [{"index": 0, "text": "\ud83d", "finish_reason": "stop", "logprobs": None}] * asked["n"]
            self._answer({"id": "1", "object": "text_completion", "created": 0, "model": "lab", "choices": choices})
        else:
            self._send(503, b'{"error": {"message": "shutting down \\u001b]0;x\\u0007"}}', None, "application/json")

    def _answer(self, body: dict) -> None:
        self._send(200, json.dumps(body).encode(), None, "application/json")

    def _send(self, status: int, body: bytes, length: int | None, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *words: object) -> None:
        """Nothing."""


@contextmanager
def served(*, port: int = 0, good: int = 10**9, then: str = "") -> Iterator[Server]:
    with Server(port, good, then) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def here(tmp_path: Path, monkeypatch, toy_model) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Path("model").symlink_to(toy_model)
    Path("c.yaml").write_text(TRAIN.replace("steps: 2", "steps: 4"))
    return tmp_path


def refused(capsys, words: list[str]) -> str:
    assert run(words) == 1
    said = capsys.readouterr().err
    told = said[said.index("presat: ") :]
    assert "Unexpected" not in said
    assert "Traceback" not in said
    assert "\x1b]" not in said
    assert len(told) < 700, told
    return " ".join(told.split())


FAULTS = ["dies", "is cut off", "says HTML", "says broken JSON", "says nothing", "is shutting down"]


@pytest.mark.parametrize("then", FAULTS)
def test_a_server_that_fails_in_mid_run_is_one_sentence_and_the_run_goes_on(here, capsys, then):
    words = ["train", "--config", "c.yaml", "--engine", "server"]
    with served(good=4, then=then) as server:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        said = refused(capsys, [*words, "--server.url", url])
        assert f"The server {url}" in said
    logged = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert max(logged) == 2
    assert "Go on with --resume." in said
    with served() as server:  # elsewhere, as a job that is started again
        assert run([*words, "--server.url", f"http://127.0.0.1:{server.server_port}/v1", "--resume"]) == 0
    logged = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert logged == sorted(set(logged))
    assert max(logged) == 4
    assert json.loads(Path("run/status.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("then", FAULTS)
def test_a_filter_whose_server_fails_goes_on_where_it_was(here, capsys, then):
    words = ["data", "filter", "--data.source", "lab/chains", "--data.count", "6", "--model.name", "model", "--engine"]
    words += ["server", "--samples", "2", "--chunk", "2", "--lowest", "0", "--highest", "2", "--run", "run"]
    words += ["--max-new-tokens", "4"]
    with served(good=4, then=then) as server:
        said = refused(capsys, [*words, "--server.url", f"http://127.0.0.1:{server.server_port}/v1"])
        assert "The server http" in said
    with served() as server:
        assert run([*words, "--server.url", f"http://127.0.0.1:{server.server_port}/v1"]) == 0
        assert server.asked == 2  # the first four were kept


def test_half_of_a_character_is_kept_as_a_sign_for_it(here):
    """A response may be cut within one."""
    words = ["data", "filter", "--data.source", "lab/chains", "--data.count", "2", "--model.name", "model", "--engine"]
    words += ["server", "--samples", "2", "--lowest", "0", "--highest", "2", "--max-new-tokens", "4", "--run", "run"]
    with served(good=0, then="says half of a character") as server:
        assert run([*words, "--server.url", f"http://127.0.0.1:{server.server_port}/v1"]) == 0


@pytest.mark.parametrize("then", ["lists nothing", "lists broken JSON"])
def test_what_is_no_server_for_models_is_said(here, capsys, then):
    words = ["data", "filter", "--data.source", "lab/chains", "--data.count", "2", "--model.name", "model", "--engine"]
    with served(then=then) as server:
        said = refused(capsys, [*words, "server", "--server.url", f"http://127.0.0.1:{server.server_port}/v1"])
    assert "answered with something else than a list of models" in said
