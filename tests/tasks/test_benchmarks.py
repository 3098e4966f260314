"""The registry agrees with the paper's table; benchmarks load from folders, are made, or say how they can be had."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from presat import load_problems
from presat.config.schema import TaskConfig
from presat.errors import ConfigError, DataError
from presat.tasks.benchmarks import (
    BENCHMARKS,
    EVALUATED,
    MADE_SEED,
    MissingBenchmarkError,
    benchmark_file,
    benchmark_names,
    size_note,
)
from presat.tasks.prompts import SYSTEM_PROMPTS, THINKING_PROMPTS, with_prompt
from presat.types import Problem


def test_the_registry_is_the_papers_table():
    assert {b.title: b.size for b in BENCHMARKS.values()} == {
        "MATH-500": 500, "AMC 2023": 40, "AIME 2024": 30, "AIME 2025": 30, "Minerva Math": 272, "OlympiadBench": 675,
        "SciBench": 692, "SuperGPQA": 319 + 250, "GPQA-Diamond": 198, "SCP-Hard": 50, "MMLU-Sci": 0, "Quantum Lock": 50,
        "Largest Island": 50,
    }  # fmt: skip
    counts = {domain: [len(names) for names in parts.values()] for domain, parts in EVALUATED.items()}
    assert counts == {"math": [6, 5], "science": [5, 4], "graph": [2, 5]}
    for domain, parts in EVALUATED.items():
        assert {BENCHMARKS[name].domain for name in parts["in_domain"]} == {domain}
        assert domain not in {BENCHMARKS[name].domain for name in parts["out_of_domain"]}
    # each can be had somehow, or its note says why not
    assert all(b.hub or b.made or "own selection" in b.note for b in BENCHMARKS.values())


def test_words_stand_for_one_or_several():
    assert benchmark_names("aime2025") == ("aime2025",)
    assert benchmark_names("graph/in_domain") == ("quantum_lock", "largest_island")
    assert benchmark_names("science") == (*EVALUATED["science"]["in_domain"], *EVALUATED["science"]["out_of_domain"])
    for word, hint in {"maths500": "math500", "graph/in-domain": "graph/in_domain"}.items():
        with pytest.raises(ConfigError, match=f"no benchmark '{word}'. Did you mean '{hint}'"):
            benchmark_names(word)


def write(folder: Path, name: str, *rows: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_folders_file_is_read_as_the_benchmark_is(tmp_path, monkeypatch):
    rows = [{"problem_text": f"Find x{i}.", "answer_number": f"{i}.5", "unit": "m"} for i in range(4)]
    write(tmp_path / "raw", "scibench.jsonl", *rows)
    problems = load_problems("benchmark/scibench", folder=str(tmp_path))
    assert [(p.gold, p.domain, p.messages[0]["content"]) for p in problems] == [
        (f"{i}.5", "science", SYSTEM_PROMPTS["science"]) for i in range(4)
    ]
    monkeypatch.setenv("PRESAT_BENCHMARKS", str(tmp_path))
    assert load_problems("benchmark/scibench") == problems
    assert load_problems(TaskConfig(source="benchmark/scibench", count=2)) == problems[:2]
    assert TaskConfig(source="benchmark/scibench").label() == "scibench"
    write(tmp_path / "raw", "scibench.jsonl", {"question": "Find y.", "answer": 3})
    assert [p.gold for p in load_problems("benchmark/scibench")] == ["3"]


def test_gpqa_like_files_are_multiple_choice_and_shuffled_by_the_tasks_seed(tmp_path):
    row = {"Question": "?", "Correct Answer": "r", **{f"Incorrect Answer {i}": f"w{i}" for i in (1, 2, 3)}}
    write(tmp_path, "gpqa_diamond.jsonl", row)
    tasks = [
        TaskConfig(source="benchmark/gpqa_diamond", seed=seed, options={"folder": str(tmp_path)}) for seed in range(40)
    ]
    problems = [problem for task in tasks for problem in load_problems(task)]
    assert {problem.verifier for problem in problems} == {"choice"}
    assert {problem.gold for problem in problems} == set("ABCD")


def test_what_a_hub_holds_is_read_by_split_and_by_layout(tmp_path, monkeypatch):
    """The datasets library reads a folder as it reads the hub; the registry's ids are pointed at such folders."""
    gpqa = {
        "Question": ["?", "!"],
        "Correct Answer": ["r", "s"],
        **{f"Incorrect Answer {i}": ["x", "y"] for i in (1, 2, 3)},
    }
    scibench = {"problem_text": ["Find x."], "answer_number": ["2.5"], "unit": ["m"]}
    for name, columns in (("gpqa_diamond", gpqa), ("scibench", scibench)):
        folder = tmp_path / name
        other = Dataset.from_dict({"text": ["not this split"]})
        DatasetDict({"train": Dataset.from_dict(columns), "test": other}).save_to_disk(folder)
        monkeypatch.setitem(BENCHMARKS, name, replace(BENCHMARKS[name], hub=str(folder)))
    problems = load_problems("benchmark/gpqa_diamond", seed=2)
    assert [p.metadata["choices"]["ABCD".index(p.gold)] for p in problems] == ["r", "s"]
    (one,) = load_problems("benchmark/scibench")
    assert (one.gold, one.messages[-1]["content"], one.metadata["unit"]) == ("2.5", "Find x.", "m")


def test_an_exact_name_comes_first_and_two_that_fit_are_refused(tmp_path):
    write(tmp_path, "math500_old.jsonl", {"problem": "?", "answer": "1"})
    assert benchmark_file(BENCHMARKS["math500"], tmp_path) == tmp_path / "math500_old.jsonl"
    write(tmp_path, "math500_new.jsonl", {"problem": "?", "answer": "1"})
    own = rf"{{source: {tmp_path}/math500_new\.jsonl, name: math500, domain: math}}"
    with pytest.raises(DataError, match=rf"MATH-500 could be any of .*new.*old.*a source of `sets`.*{own}"):
        benchmark_file(BENCHMARKS["math500"], tmp_path)
    write(tmp_path, "MATH500.jsonl", {"problem": "?", "answer": "1"})
    assert benchmark_file(BENCHMARKS["math500"], tmp_path) == tmp_path / "MATH500.jsonl"


def test_the_releases_names_are_known_and_scp_hard_is_not_guessed(tmp_path):
    for name in ("stem__gpqa_diamond_198", "scp_test_difficult_1"):
        write(tmp_path, f"{name}.jsonl", {"question": "?", "answer": "1"})
    assert benchmark_file(BENCHMARKS["gpqa_diamond"], tmp_path) == tmp_path / "stem__gpqa_diamond_198.jsonl"
    with pytest.raises(MissingBenchmarkError, match=r"`scp_test_difficult_1\.parquet` may be it.*as scp_hard\.parquet"):
        load_problems("benchmark/scp_hard", folder=str(tmp_path))


def test_a_training_file_or_a_larger_set_does_not_pass_for_a_benchmark(tmp_path):
    for name in ("scp_10240", "gpqa_main", "mmlu", "SuperGPQA-all"):
        write(tmp_path, f"{name}.jsonl", {"question": "?", "answer": "1"})
    wanted = ("scp_hard", "gpqa_diamond", "mmlu_sci")
    assert [benchmark_file(BENCHMARKS[name], tmp_path) for name in wanted] == [None] * 3


def test_what_cannot_be_had_says_how_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)  # no network in a test
    with pytest.raises(DataError, match=r"SCP-Hard is not in any folder.*Put it there as scp_hard.parquet"):
        load_problems("benchmark/scp_hard")
    with pytest.raises(
        MissingBenchmarkError, match=r"AMC 2023 is not in .*math-ai/amc23 is not a path.*as amc.parquet"
    ):
        load_problems("benchmark/amc", folder=str(tmp_path))
    with pytest.raises(DataError, match=r"There is no folder .*nowhere"):
        load_problems("benchmark/scp_hard", folder=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"no benchmark 'mat500'. Did you mean 'math500'"):
        load_problems("benchmark/mat500")
    with pytest.raises(ConfigError, match=r"takes no option 'foldr'. Did you mean 'folder'"):
        load_problems("benchmark/math500", foldr="x")


def test_graph_sets_are_made_where_there_is_no_file_and_say_so():
    problems = load_problems("benchmark/quantum_lock")
    assert len(problems) == 50
    assert {p.verifier for p in problems} == {"reasoning_gym"}
    assert problems == load_problems("reasoning_gym/quantum_lock", count=50, seed=MADE_SEED, difficulty=[1, 2, 3, 4, 5])
    assert "not the paper's problems" in size_note("quantum_lock", 50)
    assert size_note("math500", 500) == ""
    assert size_note("math500", 499) == "MATH-500: 499 problems, the paper's set has 500."


def test_a_graph_set_that_is_read_from_a_file_is_not_called_made(tmp_path, monkeypatch):
    write(tmp_path, "test_quantum_lock_qwen_7b.jsonl", {"question": "?", "answer": "A"})
    assert size_note("quantum_lock", 50, tmp_path) == ""
    assert size_note("quantum_lock", 49, tmp_path) == "Quantum Lock: 49 problems, the paper's set has 50."
    assert "not the paper's problems" in size_note("largest_island", 50, tmp_path)
    monkeypatch.setenv("PRESAT_BENCHMARKS", str(tmp_path))
    assert size_note("quantum_lock", 50) == ""


@pytest.mark.parametrize(
    ("name", "problems", "kind"),
    [("math500", 500, "math"), ("amc", 83, "math"), ("quantum_lock", 50, "reasoning_gym"),
     ("largest_island", 50, "reasoning_gym")],
)  # fmt: skip
def test_the_published_files_are_found(sample_data, name, problems, kind):
    loaded = load_problems(f"benchmark/{name}", folder=str(sample_data / "eval"))
    assert len(loaded) == problems
    assert {(p.verifier, p.domain) for p in loaded} == {(kind, BENCHMARKS[name].domain)}
    assert ("holds 83 problems, not 40" in size_note(name, problems)) == (name == "amc")


def test_prompt_styles_replace_the_system_message_and_nothing_else(tmp_path):
    problem = Problem(
        "p", ({"role": "system", "content": "Own."}, {"role": "user", "content": "2+2?"}), "4", "science", "math"
    )
    plain, thinking, opened = (with_prompt(problem, style) for style in ("plain", "thinking", "think_opened"))
    assert [m["content"] for m in plain.messages] == [SYSTEM_PROMPTS["science"], "2+2?"]
    assert [m["content"] for m in thinking.messages] == [THINKING_PROMPTS["science"], "2+2?"]
    assert [m["role"] for m in opened.messages] == ["system", "user", "assistant"]
    assert opened.messages[-1]["content"] == "<think>\n"
    assert {p.id for p in (plain, thinking, opened)} == {"p"}
    for domain in ("math", "science", "graph"):
        assert "\\boxed{}" in SYSTEM_PROMPTS[domain]
        assert all(word in THINKING_PROMPTS[domain] for word in ("<think>", "</think>", "\\boxed{}"))
    file = write(tmp_path, "x.jsonl", {"question": "2+2?", "answer": 4}) / "x.jsonl"
    (loaded,) = load_problems(TaskConfig(source=str(file), prompt="thinking"))
    assert loaded.messages[0]["content"] == THINKING_PROMPTS["math"]
    with pytest.raises(ConfigError, match="Lab problems have one prompt only"):
        load_problems("lab/chains", prompt="plain")
    with pytest.raises(ConfigError, match=r"no prompt style 'thinkin'. Did you mean 'thinking'"):
        load_problems(file, prompt="thinkin")
