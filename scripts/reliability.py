"""`make test-faults`: runs every fault test and writes docs/reliability.md from what came of them.

python scripts/reliability.py [more words for pytest]
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
SUITES = ("tests/faults", "tests/inputs")
INTRODUCTION = """# Reliability

What presat promises when things go wrong, and how often each was tried. `make test-faults` does the trials and writes
this page; nothing here is written by hand.

- **Killed, or the machine lost.** At any moment, of any verb: the same command again (with `--resume` where the verb
  has it) ends in the same weights, the same numbers and the same files, bit for bit, as if nothing had happened.
  Nothing half-written stays, and no process.
- **No room, no rights.** A full disk, a quota, a folder that cannot be written to: one sentence, exit code 1. With
  room again, the same command ends as ever.
- **Told to stop.** SIGINT and SIGTERM end a command in order and say so; the run is `interrupted`, and goes on.
- **Two at once.** Of two commands that write to one place one does, and the other says that it is busy.
- **Wrong clocks.** Times are only ever shown: no clock, however wrong, changes a result.
- **Malformed inputs.** Data, settings, logs, models, runs, paths: one sentence that names what is wrong and where,
  exit code 1 or 2, in bounded time and memory. Nothing of an input is executed, changed or sent raw to the terminal.
"""


def main(words: Sequence[str]) -> int:
    """Run the trials, write the page, and fail if one failed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trials.jsonl"
        file.touch()
        command = [sys.executable, "-m", "pytest", "-n", "2", "-m", "not slow", *SUITES, *words]
        code = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PRESAT_FAULTS_RECORD": str(file)}, check=False
        ).returncode
        trials = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if code not in (0, 1):
        print(f"pytest did not run to its end (exit code {code}): {PAGE} is left as it was.")
        return 1
    PAGE.write_text(page(trials, (time.monotonic() - began) / 60), encoding="utf-8")
    print(f"{len(trials)} trials, {sum(bool(trial['wrong']) for trial in trials)} failed: {PAGE}")
    return code


def page(trials: Sequence[dict[str, Any]], minutes: float) -> str:
    """The page: a line a fault, and every failure below."""
    faults: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        faults.setdefault(trial["fault"], []).append(trial)
    failed = [trial for trial in trials if trial["wrong"]]
    lines = [INTRODUCTION, f"{_where()} {len(trials)} trials in {minutes:.0f} minutes; {len(failed)} failed.\n"]
    lines += ["| fault | times tried | what has to come of it | outcome |", "|---|---|---|---|"]
    for fault, found in sorted(faults.items()):
        tried = [trial for trial in found if not trial["skipped"]]
        lines.append(f"| {fault} | {_times(tried)} | {found[0]['promise']} | {_outcome(found, tried)} |")
    if failed:
        lines += ["", "## Failures", ""]
        lines += [f"- {trial['fault']}, {trial['trial']}: {_cell('; '.join(trial['wrong']))}" for trial in failed]
    return "\n".join(lines) + "\n"


def _times(tried: Sequence[dict[str, Any]]) -> str:
    """How often a fault was tried; where a trial is many inputs (`1,234 inputs, ...`), how many those were."""
    return tried[0]["trial"] if len(tried) == 1 and " inputs, " in tried[0]["trial"] else str(len(tried))


def _outcome(found: Sequence[dict[str, Any]], tried: Sequence[dict[str, Any]]) -> str:
    if not tried:
        return f"not possible here: {found[0]['skipped']}"
    failed = sum(bool(trial["wrong"]) for trial in tried)
    return f"**{failed} failed**" if failed else "as promised"


def _cell(text: str) -> str:
    """Text of a failure as a line of a page: nothing that Markdown or a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)[:300]
    return f"`{shown.replace('`', chr(39))}`"


def _where() -> str:
    commit = _git("rev-parse", "--short", "HEAD") + (", with changes" if _git("status", "--porcelain") else "")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    seed = "The seed of moments, sizes and signals is 11; fuzzing names its own."
    return f"Commit {commit}; {day}; {_processor()}, Python {platform.python_version()}; `make test-faults`. {seed}"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "") + (
        f", {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
