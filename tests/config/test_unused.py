"""A setting that a verb would not honour is refused by name; what the project itself ships and shows is not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from presat import training
from presat.cli import VERBS, Flags, _find_verb, _parse, _take_flags, run
from presat.config import dump_config, load_config, preset_names
from presat.config.load import build, read_yaml
from presat.config.unused import RULES, refuse_unused, settings_given
from presat.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

REFUSED = {  # the verb, its configuration, the setting named
    "engine": ("eval", "vllm: {gpu_share: 0.5}", "vllm.gpu_share` would do nothing: it belongs to `engine: vllm`"),
    "server": ("data filter", "server: {concurrent: 4}", "server.concurrent` would do nothing"),
    "rows": ("train", "{engine: server, rows: 4}", "rows` would do nothing: it means nothing to a server"),
    "weights": ("eval", "{engine: server, server: {weights: w}}", "server.weights` would do nothing"),
    "remote": ("data corrupt", "{engine: server, model: {dtype: bfloat16}}", "model.dtype` would do nothing"),
    "benchmarks": ("eval", "{count: 4, sets: [{source: lab/chains}]}", "count` would do nothing: it belongs to `bench"),
    "lora": ("sft", "lora: {alpha: 64}", "lora.alpha` would do nothing: it belongs to LoRA"),
    "dropout": ("train", "lora: {rank: 4, dropout: 0.1}", "lora.dropout` would do nothing: it belongs to CPT and SFT"),
    "votes": ("train", "reward: {source: verifiable, votes: 32}", "reward.votes` would do nothing"),
    "own votes": (
        "train",
        "reward: {source: weighted_sum, votes: 32, parts: [{source: majority_vote, options: {votes: 8}}]}",
        "reward.votes` would do nothing",
    ),
    "name": ("train", "data: {name: x}", "data.name` would do nothing"),
    "decay": ("cpt", "optim: {schedule: constant, final_lr: 0.1}", "optim.final_lr` would do nothing"),
    "corpus": ("cpt", "data: {source: a.txt, weights: {x: 1.0}}", "data.weights` would do nothing"),
    "lab corpus": ("cpt", "data: {source: lab/cpt, text: body}", "data.text` would do nothing"),
    "held out": ("data pack", "data: {source: a.txt, seed: 3, held_out_rows: 0}", "data.seed` would do nothing"),
    "tokenizer": ("data sft", "model: {attention: eager}", "model.attention` would do nothing"),
    "counts": (
        "data subset",
        "{samples: 8, data: {source: lab/chains}}",
        "samples` would do nothing: it belongs to bare counts",
    ),
    "inspect": ("data inspect", "{source: lab/chains, name: x}", "name` would do nothing"),
    "watch": ("watch", "{run: x, once: true, refresh_s: 5}", "refresh_s` would do nothing"),
    "report": ("report", "{runs: [x], formats: [csv], title: T}", "title` would do nothing"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_setting_that_would_do_nothing_is_refused_before_anything_is_done(case, tmp_path, capsys, monkeypatch):
    verb, text, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(text)
    assert run([*verb.split(), "--config", "c.yaml"]) == 2
    assert f"`{message}" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


HONOURED = {
    "engine": ("eval", "{engine: vllm, rows: 4, vllm: {gpu_share: 0.5}}"),
    "server": ("train", "{engine: server, server: {weights: w, concurrent: 4}, model: {dtype: bfloat16}}"),
    "checkpoints": ("eval", "{engine: server, every_checkpoint: true, server: {weights: w}, model: {dtype: bfloat16}}"),
    "votes": ("train", "reward: {source: majority_vote, votes: 32}"),
    "parts": ("train", "reward: {source: weighted_sum, votes: 32, parts: [{source: soft_majority_vote}]}"),
    "stop": ("train", "stop: {patience: 30, window: 9}"),  # t_sat is logged by them, and `watch` judges by them
    "off": ("train", "eval: {samples: 4, sets: []}"),
    "label": ("data filter", "data: {source: a.parquet, name: x}"),
    "counts": ("data subset", "{samples: 8, counts: difficulty.MODEL}"),
    "corpus": ("cpt", "data: {source: lab/cpt, seed: 3, weights: {x: 1.0}}"),
    "defaults": ("eval", "{count: null, engine: auto, vllm: {gpu_share: 0.3}, server: {concurrent: 32}}"),
}


@pytest.mark.parametrize("case", list(HONOURED))
def test_what_is_honoured_is_not_refused_and_its_resolved_configuration_neither(case, tmp_path):
    verb, text = HONOURED[case]
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(VERBS[verb].config, str(tmp_path / "c.yaml"))
    refuse_unused(config)
    (tmp_path / "resolved.yaml").write_text(dump_config(config))  # names every setting
    resolved = load_config(VERBS[verb].config, str(tmp_path / "resolved.yaml"))
    assert list(settings_given(resolved)) == list(settings_given(config))
    refuse_unused(resolved)


def test_every_setting_of_a_rule_is_a_setting():
    for kind, rules in RULES.items():
        for name in (name for rule in rules for name in rule.names):
            here = kind
            for part in name.split("."):
                assert part in here.model_fields, (kind, name)
                here = here.model_fields[part].annotation


def test_no_preset_is_refused():
    for name in preset_names():
        for verb in VERBS.values():
            try:
                config = build(verb.config, read_yaml(name))
            except ConfigError:
                continue
            refuse_unused(config)


def commands():
    """Every command line of ours in the documentation and the examples, placeholders left out."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.sh")]
    for file in sorted(files):
        text = file.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^[ \t#]*(?:\$ )?(?:accelerate launch .*-m )?presat ((?!-)\S.*)$", text, re.MULTILINE):
            words = shlex.split(line.partition(" | ")[0], comments=True)
            if not {"...", "[OPTIONS]"} & set(words) and not re.search(
                r"\$|my_|eval\.yaml|train\.yaml|runs/\S+\.yaml", line
            ):
                yield file.name, words


def test_no_command_of_the_documentation_is_refused():
    seen = 0
    for _, words in commands():
        flags = Flags()
        rest = _take_flags(words, flags)
        if rest[0] not in {name.split()[0] for name in VERBS} or flags.dry_run:
            continue
        name, verb, rest = _find_verb(rest)
        refuse_unused(_parse(name, verb, rest, flags))
        seen += 1
    assert seen > 40


def test_the_check_comes_with_the_python_call_too(tmp_path):
    config = VERBS["sft"].config(run=tmp_path / "run", data={"source": "lab/chains"}, lora={"alpha": 7})
    with pytest.raises(ConfigError, match=r"`lora.alpha` would do nothing"):
        training.run_sft(config, quiet=True)
    assert not (tmp_path / "run").exists()
