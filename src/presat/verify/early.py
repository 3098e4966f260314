"""Judging begun early: in a thread of its own, while responses are still being drawn.

The work is done in worker processes; the thread only waits for them. Nothing is decided here: who asks for the verdicts
takes those that are found, and has all others judged as if nothing had been begun, errors included.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from presat.verify.pool import Item, Verdict


class Early:
    """Judges items ahead of time. One caller begins and takes; `run` is never called by two threads at once.

    Args:
        run: judges items; whoever else calls it calls `take` first, which waits.
    """

    def __init__(self, run: Callable[[Sequence[Item]], list[Verdict]]) -> None:
        self._run = run
        self._waiting: dict[Any, Item] = {}
        self._found: dict[Any, Verdict] = {}
        self._begun: set[Any] = set()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, items: Mapping[Any, Item]) -> None:
        """Judge items, each once, as soon as those begun before are judged."""
        with self._lock:
            self._waiting |= {key: item for key, item in items.items() if key not in self._begun}
            self._begun |= items.keys()
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="verifier", daemon=True)
                self._thread.start()

    def take(self, keys: Iterable[Any]) -> dict[Any, Verdict]:
        """Wait until everything begun is judged; return and forget the verdicts on `keys` that are found."""
        self.wait()
        return {key: self._found.pop(key) for key in keys if key in self._found}

    def wait(self) -> None:
        """Wait until everything begun is judged."""
        if (thread := self._thread) is not None:
            thread.join()

    def forget(self, hurry: Callable[[], None] = lambda: None) -> None:
        """Begin nothing more, wait for what is being judged, and forget all there is.

        Args:
            hurry: has what is being judged end sooner.
        """
        with self._lock:
            self._waiting = {}
        hurry()
        self.wait()
        self._begun.clear()
        self._found.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                items, self._waiting = self._waiting, {}
                if not items:
                    self._thread = None
                    return
            try:
                verdicts = self._run(list(items.values()))
            except Exception:  # noqa: BLE001, S112  (who asks for these verdicts has them judged anew, and gets the error)
                continue
            self._found.update(zip(items, verdicts, strict=True))
