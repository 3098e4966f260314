"""solve@k: how many of k responses to each problem are right, under the model that will be trained (section 2).

`open_sampler` is what the data verbs draw with: responses are judged chunk by chunk (`presat.evaluation.chunks`, below
`rollouts/solve`), so that a run that is killed and started again goes on, and a finished one costs nothing to repeat. A
problem's draws are a function of the seed and its id: they do not depend on the other problems. They serve the very
problem they were drawn for: one with another prompt or gold answer is drawn anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from presat.config.schema import ModelConfig, SampleConfig, VerifyConfig
from presat.config.unused import refuse_unused
from presat.evaluation.chunks import Chunks
from presat.evaluation.problems import describe, describe_engine, drop_too_long, identity_of, refuse_unlabelled
from presat.evaluation.unearned import unread_format
from presat.files import write_atomically
from presat.jsons import read_json
from presat.metrics import avg_at_k
from presat.models.cpu import use_cpu
from presat.models.libraries import quiet_libraries
from presat.models.loading import open_model, to_gpu
from presat.rollouts import make_engine, seed_for
from presat.rollouts.batching import BatchEngine
from presat.rollouts.opening import open_engine
from presat.tasks import load_task
from presat.tasks.cells import sound_problems
from presat.tasks.doubts import warn_of_doubts
from presat.tasks.rows import content_id
from presat.tracking import RunWriter
from presat.tracking.identity import refuse_other
from presat.tracking.progress import Progress
from presat.tracking.responses import read_file
from presat.types import Problem, Sampling
from presat.verify import Verifier
from presat.verify.groups import score_groups

SPLIT = "solve"
"""Folder of the samples below `rollouts`."""
DRAWN_WITH = "samples.json"
"""What decides the samples of a run directory; another run's are not mixed with them."""
PROMPT = "prompt_id"
"""Column of the samples: a hash of the prompt, which the id of a problem does not tell (styles, columns of ids)."""

_COLUMNS = ("problem_id", "gold", "sample", "extracted", "score", "finished", "text")
UNLABELLED = ("so nobody can say how often they are solved", "leave them out")

_Key = tuple[str, str | None, str]
"""What samples belong to: a problem's id, gold answer and prompt."""


class Samples(NamedTuple):
    """The judged responses to one problem: G final answers and their scores (1, 0, None where missing).

    Of why they earn nothing: which of them are whole, and where none was read, the format they state an answer in.
    """

    answers_G: list[str | None]
    values_G: list[float | None]
    finished_G: Sequence[bool] = ()
    formats_G: Sequence[str | None] = ()

    @property
    def right(self) -> int:
        """How many are right. A missing verdict is not: the count says how often the reward would be 1."""
        return sum(value == 1.0 for value in self.values_G)

    @property
    def judged(self) -> bool:
        """Whether any response could be judged; of a problem without one, nobody knows how often it is solved."""
        return any(value is not None for value in self.values_G)


def solve_counts(
    model: ModelConfig, problems: Sequence[Problem], samples: int, sampling: Sampling, seed: int, verify: VerifyConfig
) -> list[int]:
    """Return solve_counts_P: right responses out of `samples` for each problem, kept nowhere.

    A response whose verdict is missing is not right: the count says how often the reward would be 1.

    Raises:
        DataError: a problem has no gold answer to count by, or a text that is none.
    """
    sound_problems(problems)
    refuse_unlabelled(problems, *UNLABELLED)
    with quiet_libraries(), Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier:
        loaded, tokenizer = open_model(model)
        engine = make_engine(to_gpu(loaded), tokenizer)
        seeds = [seed_for(seed, "solve", index) for index in range(len(problems))]
        scores_PG = score_groups(verifier, engine.generate(problems, samples, sampling, seeds))
    return [sum(score.value == 1.0 for score in row) for row in scores_PG]


@dataclass
class Sampler:
    """Draws and judges responses, and remembers them in the run directory.

    Attributes:
        config: the verb's settings.
        problems: the problems whose prompts fit.
        too_long: how many do not.
        verifier: judges the responses; shared with whoever judges more.
        writer: the run directory's writer.
    """

    config: SampleConfig
    problems: list[Problem]
    too_long: int
    verifier: Verifier
    writer: RunWriter
    engine: BatchEngine
    progress: Progress
    chunks: Chunks
    known: dict[_Key, Samples] = field(default_factory=dict)

    def draw(self, problems: Sequence[Problem]) -> list[Samples]:
        """Return the samples of each problem, drawing those that are not on disk yet."""
        config = self.config
        new = [problem for problem in problems if _key(problem) not in self.known]
        sampling = Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens)
        by = _places(self.problems) if getattr(config, "draws_by", "id") == "position" else {}
        seeds = [seed_for(config.seed, "solve", by.get(problem.id, problem.id)) for problem in new]
        drawn = self.chunks.draw(self.engine, self.verifier, new, config.samples, sampling, seeds, config.chunk)
        for groups, scores_PG in drawn:
            for group, scores in zip(groups, scores_PG, strict=True):
                texts = [completion.text for completion in group.completions]
                finished = [completion.finished for completion in group.completions]
                answers, values = [s.extracted for s in scores], [s.value for s in scores]
                self.known[_key(group.problem)] = _samples(answers, values, finished, texts)
            rate = avg_at_k([samples.values_G for samples in self.known.values()])
            self.progress.show(len(self.known), {f"eval/solved/avg@{config.samples}": rate})
        return [self.known[_key(problem)] for problem in problems]


@contextlib.contextmanager
def open_sampler(config: SampleConfig, command: str, quiet: bool = False) -> Iterator[Sampler]:
    """Open the run directory, load problems and model, and read the samples that are there already.

    Args:
        config: the verb's settings.
        command: the verb.
        quiet: show no progress line.

    Raises:
        DataError, ModelError: the problems or the model cannot be loaded; a problem has no gold answer to count by.
        RunError: the run directory is busy, or holds samples that were drawn otherwise (the message names how).
    """
    refuse_unused(config)
    problems = load_task(config.data)  # quick to refuse, so before the model
    refuse_unlabelled(problems, *UNLABELLED)
    warn_of_doubts(problems, config.data.source)
    use_cpu(config.threads, config.onednn)
    verify = config.verify
    with (
        quiet_libraries(),
        Verifier(verify.extraction, verify.workers, verify.timeout_s) as verifier,
        Progress(command, quiet) as progress,
        contextlib.ExitStack() as stack,
    ):
        progress.phase("loading")
        engine = open_engine(config, config.model.name)
        described = describe_engine(engine, config.server)
        drawn = identity_of(engine, config, described, config.samples)
        _refuse_other_draws(config.run, drawn)  # before anything is written there
        writer = stack.enter_context(RunWriter(config.run, config, command, resume=True))
        write_atomically(config.run / DRAWN_WITH, json.dumps(drawn, indent=2))
        fitting, too_long = drop_too_long(engine, problems, config.max_prompt_tokens)
        writer.note_provenance(model=described, problems={"data": describe(fitting, too_long)})
        wanted = {_key(problem) for problem in fitting}
        chunks = Chunks(config.run, SPLIT, drawn, columns={PROMPT: lambda problem: content_id(problem.messages)})
        known = {key: samples for key, samples in _read(chunks).items() if key in wanted}
        progress.start(len(known), len(fitting))
        progress.phase("sampling")
        yield Sampler(config, fitting, too_long, verifier, writer, engine, progress, chunks, known)


def _places(problems: Sequence[Problem]) -> dict[str, int]:
    return {problem.id: place for place, problem in enumerate(problems)}


def _key(problem: Problem) -> _Key:
    return problem.id, problem.gold, content_id(problem.messages)


def _refuse_other_draws(run: Path, now: dict[str, Any]) -> None:
    """Refuse to mix samples with those that were drawn otherwise."""
    refuse_other(
        read_json(run / DRAWN_WITH),
        now,
        f"{run} holds samples that were drawn otherwise",
        "Choose another run directory, or delete this one to draw anew.",
    )


def _read(chunks: Chunks) -> dict[_Key, Samples]:
    """The samples on disk; those that do not say which prompt they were drawn with are nobody's."""
    known = {}
    for file in chunks.files():
        rows = read_file(file, [*_COLUMNS, PROMPT]).drop_nulls(PROMPT)
        for (identity, gold, prompt), part in rows.group_by("problem_id", "gold", PROMPT, maintain_order=True):
            ordered = part.sort("sample")
            columns = (ordered[name].to_list() for name in ("extracted", "score", "finished", "text"))
            known[str(identity), gold, str(prompt)] = _samples(*columns)
    return known


def _samples(answers: list[str | None], values: list[float | None], finished: list[bool], texts: list[str]) -> Samples:
    formats = [unread_format(text, answer) for text, answer in zip(texts, answers, strict=True)]
    return Samples(answers, values, finished, formats)
