"""What a case of the corpus is, how it is run, and what has to hold of every one.

A case is a command line in a folder of its own that holds the case's files. It ends in exit code 1 or 2 with one
message on stderr that names the file (and the row) at fault; a few inputs are legitimately read, and then what was left
out is said. Nothing of an input is executed, changed, or sent to the terminal as it is.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shlex
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.forked import Done, Forked

from presat.text import printable

LIMIT_S, WAIT_S = 20, 60.0
"""Longest that any input may keep a processor busy, and longest that a command may wait: for a pipe, or its turn."""
MEMORY = 8 * 2**30
"""Most memory a command may ask for, in bytes of address space: torch alone takes three gigabytes of it."""
LONGEST = 2_000
"""Most characters on stderr."""
CANARY = "executed"
"""The file that every trap in the corpus makes when it is run."""
TRAP = f"import pathlib; pathlib.Path({CANARY!r}).touch()"


@dataclass
class Kit:
    """What cases are made from: one good example of everything, made once."""

    folder: Path

    @cached_property
    def model(self) -> Path:
        """A lab model with random weights."""
        from presat.models.lab import make_lab_model

        return make_lab_model(self.folder / "model", seed=0)

    @cached_property
    def run(self) -> Path:
        """A finished run of ours: four steps, two evaluations with responses."""
        return _make_run(self.folder / "run")

    @cached_property
    def dataset(self) -> Path:
        """A dataset as `save_to_disk` leaves it."""
        from datasets import Dataset

        Dataset.from_dict({"question": ["1+1", "1+2"], "answer": ["2", "3"]}).save_to_disk(self.folder / "dataset")
        return self.folder / "dataset"

    @cached_property
    def trained(self) -> Path:
        """A GRPO run of two steps in a folder that holds its model, with the `config.yaml` to go on with."""
        folder = self.folder / "trained"
        folder.mkdir()
        shutil.copytree(self.model, folder / "model")
        (folder / "c.yaml").write_text(TRAIN, encoding="utf-8")
        done = Forked().run(["train", "--config", "c.yaml"], folder)
        assert done.code == 0, done.stderr
        return folder


TRAIN = """
run: run
model: {name: model}
data: {source: lab/chains, count: 2}
reward: {source: random}
optim: {lr: 1.0e-3}
steps: 2
prompts_per_step: 2
group_size: 2
micro_batch: 4
max_new_tokens: 4
max_prompt_tokens: 64
save_every: 1
threads: 1
"""
Content = str | bytes | Callable[[Path, Kit], Any]


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        kind: which table it stands in.
        name: unique within its kind.
        words: the command line after `presat`.
        files: what the folder holds: text, bytes, or what makes it, by relative path.
        codes: the exit codes that are right.
        says: what the message has to name. Where the code is 0, all of the output counts.
        environment: variables it is run with.
        own: the files and folders that the command is there to change.
        slow: whether it loads a model or trains.
    """

    kind: str
    name: str
    words: str | Sequence[str]
    files: Mapping[str, Content] = field(default_factory=dict)
    codes: Iterable[int] = (1,)
    says: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    own: Sequence[str] = ()
    slow: bool = False

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.name}"

    @property
    def costly(self) -> bool:
        """Whether it takes seconds: then continuous integration runs it in a sample only."""
        return self.slow or 0 in self.codes

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.words) if isinstance(self.words, str) else list(self.words)


def make(case: Case, folder: Path, kit: Kit) -> None:
    """Write a case's files to its folder."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path, kit)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def limited() -> None:
    """In the child: no input may have all memory or time, and none is looked for on the hub."""
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True  # read from the environment when the fork server imported it
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 10))


def run(case: Case, folder: Path, kit: Kit, forked: Forked) -> list[str]:
    """Run a case in `folder`; return what is wrong with how it went, in a sentence each."""
    make(case, folder, kit)
    before = fingerprint(folder)
    environment = {"PRESAT_CACHE": str(folder / "cache"), "COLUMNS": "200", **case.environment}
    done = forked.run(case.arguments, folder, WAIT_S, environment, typed="y\n" * 20, before=limited)
    return [*judged(case, done), *_harm(folder, before, case.own)]


def judged(case: Case, done: Done) -> list[str]:
    """What is wrong with how a command ended and what it said."""
    if done.code is None:
        return [f"waits for more than {WAIT_S:g} s"]
    if done.code == -signal.SIGXCPU:
        return [f"computes for more than {LIMIT_S} s"]
    wrong = []
    if done.code not in tuple(case.codes):
        wrong.append(f"exit code {done.code}, not {case.codes}: {done.stderr[-300:]!r}")
    told = done.stdout + done.stderr if done.code == 0 else done.stderr
    if done.code != 0 and (not done.stderr.startswith("presat: ") or done.stderr.count("presat: ") != 1):
        wrong.append(f"not one message: {done.stderr[:300]!r}")
    wrong += [f"says {word!r}" for word in ("Traceback", "presat: Unexpected", "bug in presat") if word in told]
    if done.code != 0 or tuple(case.codes) == (0,):  # where either may come of it, success need not name what it read
        wrong += [f"does not name {word!r}: {told[:300]!r}" for word in case.says if not _named(word, told)]
    if len(done.stderr) > LONGEST:
        wrong.append(f"{len(done.stderr)} characters on stderr")
    if printable(done.stdout + done.stderr) != done.stdout + done.stderr:
        wrong.append("sends to the terminal what it would obey")
    return wrong


def _named(word: str, told: str) -> bool:
    """Whether a message has the word; a row is as well called a line."""
    return word in told or (word.startswith("row ") and word.replace("row ", "line ") in told)


def _harm(folder: Path, before: Mapping[str, str], own: Sequence[str]) -> list[str]:
    after = fingerprint(folder)
    kept = {path: state for path, state in before.items() if path.split("/")[0] not in own}
    wrong = [f"changed {path}" for path, state in kept.items() if after.get(path) != state]
    wrong += [f"left {path}" for path in after if path.endswith(".part")]
    return [*wrong, "executed an input"] if any(Path(path).name == CANARY for path in after) else wrong


def fingerprint(folder: Path) -> dict[str, str]:
    """What every path below `folder` holds."""
    return {
        str((Path(root) / name).relative_to(folder)): _state(Path(root) / name)
        for root, folders, files in os.walk(folder)
        for name in [*folders, *files]
    }


def _state(path: Path) -> str:
    if path.is_symlink():
        return f"link {path.readlink()}"
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else "other"


def _make_run(folder: Path) -> Path:
    from presat.tracking import RolloutStore, RunWriter
    from presat.types import Completion, Problem, RolloutGroup, Score

    problem = Problem("p0", ({"role": "user", "content": "7 a +1 <b>"},), "8", "lab", "lab")
    group = RolloutGroup(problem, (1,), (Completion("\\boxed{ 8 }", (1, 2), None, True),) * 2)
    scores = [[Score(1.0, "8"), Score(0.0, "7")]]
    with RunWriter(folder, {"steps": 4, "seed": 3, "eval": {"sets": [{"name": "held_out"}]}}, "train") as writer:
        for step in range(5):
            if step:
                writer.append(step, {"reward": 0.2 * step, "loss": 0.1})
            if step % 4 == 0:
                RolloutStore(folder / "rollouts").write("eval", step, [group], scores, set_name="held_out")
                writer.append(step, {"eval/held_out/avg@2": 0.5, "eval/held_out/pass@2": 1.0})
        writer.finish("finished", "")
    return folder
