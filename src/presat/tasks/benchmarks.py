"""The paper's benchmarks (arXiv:2604.18574, section 2) as data: what each is, where it comes from, how it is read.

`benchmark/NAME` is a problem source. A benchmark is looked for in a folder first (option `folder`, or the environment
variable PRESAT_BENCHMARKS), by the names of its files; then it is made by Reasoning Gym, or loaded from the hub, where
the registry says so. Hub ids are those that public evaluation code names; hub loading needs network, and for gated sets
(GPQA) a token. Where the paper took an unpublished part of a larger set, only its own file can stand for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from presat.errors import ConfigError, DataError, nearest
from presat.files import expanded
from presat.tasks.readers import KINDS, kind_of
from presat.types import Problem

FOLDER_VARIABLE = "PRESAT_BENCHMARKS"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: what it is called in `benchmark/NAME`.
        title: what people call it.
        domain: decides the prompt.
        size: how many problems the paper evaluates on.
        files: beginnings of file names it goes by in a folder, besides its name.
        hub: Hugging Face dataset id; empty when none holds exactly these problems.
        subset: configuration of that dataset.
        split: its split.
        columns: question and answer columns where they are not usual ones.
        made: options for Reasoning Gym, which makes the set where there is no file of it.
        note: what one should know about it.
    """

    name: str
    title: str
    domain: str
    size: int
    files: tuple[str, ...] = ()
    hub: str = ""
    subset: str | None = None
    split: str = "test"
    columns: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


_MADE = "Without a file of it the set is made by Reasoning Gym: not the paper's problems."
_OWN = "The paper's own selection, which no hub id is known to hold."
BENCHMARKS: dict[str, Benchmark] = {
    item.name: item
    for item in (
        Benchmark("math500", "MATH-500", "math", 500, ("math_500", "math-500"), "HuggingFaceH4/MATH-500"),
        Benchmark("amc", "AMC 2023", "math", 40, ("amc_test", "amc23", "amc2023"), "math-ai/amc23",
                  note="The release's file `amc_test.parquet` holds 83 problems, not 40."),
        Benchmark("aime2024", "AIME 2024", "math", 30, ("aime24", "aime_2024"), "HuggingFaceH4/aime_2024",
                  split="train"),
        Benchmark("aime2025", "AIME 2025", "math", 30, ("aime25", "aime_2025"), "math-ai/aime25"),
        Benchmark("minerva", "Minerva Math", "math", 272, ("minerva_math",), "math-ai/minervamath"),
        Benchmark("olympiadbench", "OlympiadBench", "math", 675, ("olympiad",), "math-ai/olympiadbench"),
        Benchmark("scibench", "SciBench", "science", 692, (), "xw27/scibench", split="train",
                  columns={"question": "problem_text", "answer": "answer_number"},
                  note="Answers are numbers; the unit is a column of its own and is not asked for."),
        Benchmark("gpqa_diamond", "GPQA-Diamond", "science", 198, ("gpqa-diamond", "stem__gpqa_diamond"),
                  "Idavidrein/gpqa", "gpqa_diamond", split="train",
                  note="Gated: accept its terms on the hub. Letters are shuffled by the task's seed."),
        Benchmark("supergpqa", "SuperGPQA", "science", 569, ("super_gpqa",), note=_OWN
                  + " 319 science and 250 other questions of m-a-p/SuperGPQA."),
        Benchmark("scp_hard", "SCP-Hard", "science", 50, ("scp-hard",), note=_OWN
                  + " Fifty questions of SCP-116K. The release's `scp_test_difficult_1.parquet` may be it by its"
                  " name, which was not checked."),
        Benchmark("mmlu_sci", "MMLU-Sci", "science", 0, ("mmlu-sci",), note=_OWN
                  + " The paper does not say how many questions it has."),
        Benchmark("quantum_lock", "Quantum Lock", "graph", 50, ("test_quantum_lock",),
                  made={"difficulty": [1, 2, 3, 4, 5]}, note=_MADE),
        Benchmark("largest_island", "Largest Island", "graph", 50, ("test_largest_island",),
                  made={"difficulty": [1, 2, 3, 4]}, note=_MADE),
    )
}  # fmt: skip

_SCIENCE = ("scp_hard", "gpqa_diamond", "mmlu_sci", "supergpqa", "scibench")
EVALUATED: dict[str, dict[str, tuple[str, ...]]] = {
    "math": {
        "in_domain": ("math500", "amc", "aime2024", "aime2025", "minerva", "olympiadbench"),
        "out_of_domain": ("scibench", "supergpqa", "gpqa_diamond", "scp_hard", "mmlu_sci"),
    },
    "science": {"in_domain": _SCIENCE, "out_of_domain": ("math500", "amc", "minerva", "olympiadbench")},
    "graph": {
        "in_domain": ("quantum_lock", "largest_island"),
        "out_of_domain": ("math500", "aime2024", "minerva", "gpqa_diamond", "scp_hard"),
    },
}
"""What the paper evaluates a model on, by the domain it was trained on."""

MADE_SEED = 1_000_003
"""Added to the seed of made sets, so that they share nothing with training sets of small seeds."""


class MissingBenchmarkError(DataError):
    """A benchmark cannot be had here: it is in no folder, and not made or loaded from the hub either."""


def benchmark_names(wanted: str) -> tuple[str, ...]:
    """Return the benchmarks a word stands for: a name, a training domain, or `DOMAIN/in_domain`.

    Raises:
        ConfigError: it stands for none; the message has the nearest one.
    """
    domain, _, part = wanted.partition("/")
    if wanted in BENCHMARKS:
        return (wanted,)
    if domain in EVALUATED and not part:
        return tuple(name for names in EVALUATED[domain].values() for name in names)
    if domain in EVALUATED and part in EVALUATED[domain]:
        return EVALUATED[domain][part]
    known = [*BENCHMARKS, *EVALUATED, *(f"{domain}/{part}" for domain, parts in EVALUATED.items() for part in parts)]
    raise ConfigError(f"There is no benchmark '{wanted}'.{nearest(wanted, known)}")


def benchmark_problems(
    name: str,
    folder: str | Path | None = None,
    seed: int = 0,
    system: str | None = None,
    count: int | None = None,
    sample: bool = False,
) -> list[Problem]:
    """Load a benchmark.

    Args:
        name: its name in `BENCHMARKS`.
        folder: where its file may be, itself or in a folder below; PRESAT_BENCHMARKS when None.
        seed: of the letters of multiple-choice options, of a made set, and of a random choice.
        system: system message for bare questions in place of the domain's.
        count: how many problems to take or to make; all, or the paper's number, when None.
        sample: take random ones, not the first.

    Raises:
        ConfigError: there is no such benchmark.
        MissingBenchmarkError: it is not in the folder and cannot be had otherwise.
        DataError: there is no such folder, or a row is malformed.
    """
    from presat.tasks.files import load_file_problems, read_rows
    from presat.tasks.gym import gym_problems
    from presat.tasks.subsets import cut, sampled

    if name not in BENCHMARKS:
        raise ConfigError(f"There is no benchmark '{name}'.{nearest(name, BENCHMARKS)}")
    item = BENCHMARKS[name]
    given, file = _look(item, folder)
    if file is None and item.made:
        return gym_problems(name, count or item.size, seed + MADE_SEED, domain=item.domain, system=system,
                            **item.made)  # fmt: skip # pyright: ignore[reportArgumentType]
    source = str(file or item.hub)
    place = given or f"any folder (option `folder`, or {FOLDER_VARIABLE})"
    if not source:
        raise MissingBenchmarkError(_absent(item, place, item.note))
    split, subset = (item.split, item.subset) if file is None else ("train", None)
    try:
        _, row = next(read_rows(source, split, subset), ("", {}))
    except DataError as error:
        if file is not None:
            raise
        raise MissingBenchmarkError(_absent(item, place, str(error))) from error
    columns = {role: column for role, column in item.columns.items() if column in row}  # a file may have usual names
    problems = load_file_problems(source, split, subset, columns, item.domain, system, choice_seed=seed)
    return cut(problems, f"benchmark/{name}", count, seed, sampled(count, 0, {"sample": sample}))


def _look(item: Benchmark, folder: str | Path | None) -> tuple[str | Path | None, Path | None]:
    """The folder a benchmark is looked for in and its file there, None where there is none."""
    given = folder or os.environ.get(FOLDER_VARIABLE)
    return given, benchmark_file(item, expanded(given)) if given else None


def named_file(name: str, folder: str | Path | None = None) -> Path | None:
    """Return the file that `benchmark_problems` reads; None where the benchmark is made, or comes from a hub.

    Raises:
        ConfigError, DataError: as `benchmark_problems`.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"There is no benchmark '{name}'.{nearest(name, BENCHMARKS)}")
    return _look(BENCHMARKS[name], folder)[1]


def _absent(item: Benchmark, place: str | Path, reason: str) -> str:
    return (
        f"{item.title} is not in {place}. {reason.rstrip('.')}. Put it there as {item.name}.parquet, in the verl "
        "format or as a table of questions and answers."
    )


def benchmark_file(item: Benchmark, folder: Path) -> Path | None:
    """Return the file of a benchmark in a folder or in one below it; None when there is none.

    A file called exactly like the benchmark, or like one of its `files`, comes before one whose name only begins so.

    Raises:
        DataError: there is no such folder, or several files fit equally well.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} to look for benchmarks in.")
    files = sorted(path for path in folder.rglob("*") if kind_of(path) in KINDS)
    names = (item.name, *item.files)
    exact = [path for path in files if path.stem.lower() in names]
    found = exact or [path for path in files if path.stem.lower().startswith(names)]
    if len(found) > 1:
        raise DataError(
            f"{item.title} could be any of {', '.join(map(str, found))}. Keep one of them in the folder, or name the "
            "one you mean as a source of `sets`, in place of the benchmark: "
            f"{{source: {found[0]}, name: {item.name}, domain: {item.domain}}}."
        )
    return found[0] if found else None


def size_note(name: str, problems: int, folder: str | Path | None = None) -> str:
    """Say what one should know about a benchmark loaded with this `folder`; empty when there is nothing."""
    item = BENCHMARKS[name]
    made = bool(item.made) and _look(item, folder)[1] is None
    note = "" if item.made and not made else item.note
    if item.size and problems != item.size:
        return f"{item.title}: {problems} problems, the paper's set has {item.size}. {note}".strip()
    return f"{item.title}: {note}" if made or note.startswith("Answers") else ""
