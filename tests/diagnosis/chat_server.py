"""A small real HTTP server that speaks as much of the OpenAI protocol as a test wants it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Any]
"""Status, and the body: a str as it is, anything else as JSON."""


class ChatServer:
    """Answers as `reply` says, from the question and its number among all.

    Attributes:
        reply: the answer to a question; text is a whole chat completion's.
        questions: all that were asked, in order of arrival.
        keys: the keys that came with them.
        most: the most that were being answered at the same time.
    """

    def __init__(self, reply: Callable[[str, int], str | Reply]) -> None:
        self.reply, self.questions, self.keys, self.bodies = reply, [], [], []
        self.most, self._now, self._lock = 0, 0, threading.Lock()
        self.models: Reply = (200, {"object": "list", "data": [{"id": "judge", "object": "model"}]})
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(*server.models)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._send(*server.answer(body, self.headers["Authorization"]))

            def _send(self, status: int, body: Any) -> None:
                raw = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                if status == 429:
                    self.send_header("retry-after-ms", "20")
                self.end_headers()
                with suppress(BrokenPipeError, ConnectionResetError):  # who asked did not wait
                    self.wfile.write(raw)

            def log_message(self, *words: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def answer(self, body: Any, key: str) -> Reply:
        question = body["messages"][-1]["content"]
        with self._lock:
            number = len(self.questions)
            self.questions.append(question)
            self.keys.append(key)
            self.bodies.append(body)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            said = self.reply(question, number)
        finally:
            with self._lock:
                self._now -= 1
        return (200, completion(said)) if isinstance(said, str) else said

    @contextmanager
    def running(self) -> Iterator[ChatServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def completion(text: str | None, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "judge",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
    }


def failure(message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
