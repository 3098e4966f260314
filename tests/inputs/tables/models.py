"""Folders of models and adapters, through `eval`."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from tests.inputs.case import TRAP, Case, Kit
from tests.inputs.tables.data import NOISE, trap_pickle, trap_torch

EITHER = (0, 1)
SETTINGS = """
run: run
model: {name: model}
sets: [{source: lab/chains, count: 1}]
samples: 1
greedy: false
max_new_tokens: 4
threads: 1
"""


def damaged(damage: Callable[[Path], object]):
    def write(path: Path, kit: Kit) -> None:
        shutil.copytree(kit.model, path)
        damage(path)

    return write


def model(name: str, damage: Callable[[Path], object], *says: str, codes=(1,)) -> Case:
    files = {"e.yaml": SETTINGS, "model": damaged(damage)}
    return Case("model", name, "eval --config e.yaml", files, codes, says or ("model",), slow=True)


def put(name: str, content: str | bytes):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def drop(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


def cut(name: str, share: float):
    return lambda folder: (folder / name).write_bytes((raw := (folder / name).read_bytes())[: int(share * len(raw))])


def change(name: str, **values):
    """Other values of keys of a JSON file; None removes one."""

    def write(folder: Path) -> None:
        data = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in data.items() if value is not None}))

    return write


def both(*damages):
    return lambda folder: [damage(folder) for damage in damages]


def tensors(edit: Callable[[dict], object]):
    """Other weights."""

    def write(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return write


def nan(weights: dict) -> None:
    weights["lm_head.weight"][0, 0] = float("nan")


def narrow(weights: dict) -> None:
    weights["model.norm.weight"] = weights["model.norm.weight"][:3].clone()


def layer_more(weights: dict) -> None:
    for name in [name for name in weights if ".layers.1." in name]:
        weights[name.replace(".layers.1.", ".layers.2.")] = weights[name].clone()


def small_embedding(weights: dict) -> None:
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:20].clone()


def as_pickle(write):
    """Weights as a pickle that runs code when it is opened."""

    def damage(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        write(folder / "pytorch_model.bin", None)

    return damage


C, T, K, W = "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"
JINJA = "chat_template.jinja"
CODE = put("modeling_trap.py", f"{TRAP}\n")
AUTO = {"AutoConfig": "modeling_trap.TrapConfig", "AutoModelForCausalLM": "modeling_trap.TrapModel"}
HEADER = struct.pack("<Q", 2**60) + NOISE
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "base", "r": 2, "lora_alpha": 4,
           "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}  # fmt: skip
MODELS = [
    model("empty-folder", lambda f: (shutil.rmtree(f), f.mkdir())),
    model("a-file", lambda f: (shutil.rmtree(f), f.write_text("x"))),
    model("without-config", drop(C)),
    model("without-weights", drop(W)),
    model("without-tokenizer", drop(T, K)),
    model("weights-empty", put(W, b"")),
    model("weights-cut-at-the-head", cut(W, 0.001)),
    model("weights-cut-in-the-header", cut(W, 0.004)),
    model("weights-cut-in-half", cut(W, 0.5)),
    model("weights-cut-at-the-end", cut(W, 0.999)),
    model("weights-noise", put(W, NOISE)),
    model("weights-header-huge", put(W, HEADER)),
    model("weights-header-garbled", put(W, struct.pack("<Q", 100) + NOISE)),
    model("weights-nan", tensors(nan)),
    model("weights-of-other-shape", tensors(narrow)),
    model("weights-missing", tensors(lambda w: w.pop("model.norm.weight"))),
    model("weights-of-a-layer-more", tensors(layer_more), "layers.2"),
    model("weights-of-a-layer-less-in-config", change(C, num_hidden_layers=1), "layers.1"),
    model("weights-a-trap", as_pickle(lambda path, _: path.write_bytes(trap_pickle()))),
    model("weights-a-torch-trap", as_pickle(trap_torch)),
    model("index-garbled", both(drop(W), put("model.safetensors.index.json", "{"))),
    model("index-of-missing", both(drop(W), put("model.safetensors.index.json", json.dumps(
        {"metadata": {}, "weight_map": {"lm_head.weight": "a.safetensors"}})))),
    model("index-without-map", both(drop(W), put("model.safetensors.index.json", "{}"))),
    model("config-empty", put(C, "")),
    model("config-garbled", put(C, "{")),
    model("config-list", put(C, "[]")),
    model("config-noise", put(C, NOISE)),
    model("config-empty-object", put(C, "{}")),
    model("config-deep", put(C, '{"a": ' * 100_000)),
    model("config-type-unknown", change(C, model_type="llamaa")),
    model("config-type-number", change(C, model_type=3)),
    model("config-not-a-language-model", change(C, model_type="vit", architectures=["ViTModel"])),
    model("config-hidden-text", change(C, hidden_size="many")),
    model("config-hidden-negative", change(C, hidden_size=-64)),
    model("config-hidden-zero", change(C, hidden_size=0)),
    model("config-hidden-huge", change(C, hidden_size=10**9)),
    model("config-hidden-odd", change(C, hidden_size=63)),
    model("config-heads-zero", change(C, num_attention_heads=0)),
    model("config-heads-null", put(C, '{"model_type": "llama", "num_attention_heads": null}')),
    model("config-layers-text", change(C, num_hidden_layers="two")),
    model("config-layers-huge", change(C, num_hidden_layers=10**7)),
    model("config-vocabulary-huge", change(C, vocab_size=10**12)),
    model("config-vocabulary-negative", change(C, vocab_size=-5)),
    model("config-activation-unknown", change(C, hidden_act="silly")),
    model("config-rope-text", change(C, rope_parameters="x")),
    model("config-rope-unknown", change(C, rope_parameters={"rope_type": "spiral", "rope_theta": 1.0})),
    model("config-positions-zero", change(C, max_position_embeddings=0), codes=EITHER),
    model("config-eps-text", change(C, rms_norm_eps="x")),
    model("config-eps-nan", change(C, rms_norm_eps=float("nan"))),
    model("config-dtype-unknown", change(C, dtype="float7", torch_dtype="float7"), codes=EITHER),
    model("config-quantised-unknown", change(C, quantization_config={"quant_method": "silly"}), codes=EITHER),
    model("config-quantised-text", change(C, quantization_config="x")),
    model("config-eos-text", change(C, eos_token_id="end"), codes=EITHER),
    model("config-eos-outside", change(C, eos_token_id=10**9), codes=EITHER),
    model("embedding-smaller-than-the-vocabulary", both(change(C, vocab_size=20), tensors(small_embedding))),
    model("code-in-config", both(CODE, change(C, auto_map=AUTO, model_type="trap"))),
    model("code-in-config-of-a-known-type", both(CODE, change(C, auto_map=AUTO)), codes=(0,)),
    model("code-in-tokenizer", both(CODE, change(K, tokenizer_class="TrapTokenizer", auto_map={
        "AutoTokenizer": ["modeling_trap.Trap", None]}))),
    model("code-elsewhere", change(C, model_type="trap", auto_map={"AutoConfig": "someone/repo--trap.TrapConfig"})),
    model("code-in-generation", both(lambda f: (f / "custom_generate").mkdir(),
                                     put("custom_generate/generate.py", f"{TRAP}\n")), codes=EITHER),
    model("generation-garbled", put("generation_config.json", "{"), codes=EITHER),
    model("generation-list", put("generation_config.json", "[]"), codes=EITHER),
    model("generation-values", put("generation_config.json", '{"temperature": "hot", "eos_token_id": "x"}'),
          codes=EITHER),
    model("tokenizer-empty", put(T, "")),
    model("tokenizer-garbled", put(T, "{")),
    model("tokenizer-list", put(T, "[]")),
    model("tokenizer-empty-object", put(T, "{}")),
    model("tokenizer-noise", put(T, NOISE)),
    model("tokenizer-model-unknown", change(T, model={"type": "Silly", "vocab": {}})),
    model("tokenizer-vocabulary-text", change(T, model={"type": "WordLevel", "vocab": "x", "unk_token": "<pad>"})),
    model("tokenizer-vocabulary-negative", change(T, model={"type": "WordLevel", "vocab": {"a": -1},
                                                            "unk_token": "a"})),
    model("tokenizer-vocabulary-empty", change(T, model={"type": "WordLevel", "vocab": {}, "unk_token": "<pad>"},
                                               added_tokens=[])),
    model("tokenizer-config-garbled", put(K, "{")),
    model("tokenizer-config-list", put(K, "[]")),
    model("tokenizer-config-empty-object", put(K, "{}")),
    model("tokenizer-config-class-unknown", change(K, tokenizer_class="SillyTokenizer"), codes=EITHER),
    model("tokenizer-config-eos-number", change(K, eos_token=3)),
    model("tokenizer-config-eos-none", change(K, eos_token=None)),
    model("tokenizer-config-eos-new", change(K, eos_token="<the end>"), codes=EITHER),
    model("tokenizer-config-length-text", change(K, model_max_length="x"), codes=EITHER),
    model("template-raises", put(JINJA, "{{ raise_exception('System role not supported') }}"), "System role"),
    model("template-raises-on-system", put(JINJA, "{% if messages[0].role == 'user' %}{{ raise_exception('no') }}"
                                                  "{% endif %}x"), "no"),
    model("template-does-not-parse", put(JINJA, "{% if %}"), "template"),
    model("template-open", put(JINJA, "{% for m in messages %}{{ m.content }}"), "template"),
    model("template-divides-by-zero", put(JINJA, "{{ 1 / 0 }}"), "template"),
    model("template-undefined", put(JINJA, "{{ nothing.at.all }}"), "template"),
    model("template-wrong-types", put(JINJA, "{{ messages + 1 }}"), "template"),
    model("template-loops", put(JINJA, "{% for i in range(1000000000000) %}x{% endfor %}"), "template"),
    model("template-of-itself", put(JINJA, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "template"),
    model("template-reaches-out", put(JINJA, "{{ ''.__class__.__mro__[1].__subclasses__() }}"), "template"),
    model("template-executes", put(JINJA, "{{ cycler.__init__.__globals__.os.system('touch executed') }}"),
          "template"),
    model("template-not-utf-8", put(JINJA, b"\xff\xfe{{ messages }}")),
    model("template-empty", put(JINJA, ""), "template"),
    model("template-says-nothing", put(JINJA, "{# #}"), codes=EITHER),
    model("template-list", both(drop(JINJA), change(K, chat_template=[1])), codes=EITHER),
]  # fmt: skip
OWN = "model: {name: model, chat_template: t.jinja}"


def template(name: str, text: str | bytes, *says: str) -> Case:
    """A template of the user's own."""
    files = {"e.yaml": SETTINGS.replace("model: {name: model}", OWN), "model": damaged(lambda f: None),
             "t.jinja": text}  # fmt: skip
    return Case("model", f"own-template-{name}", "eval --config e.yaml", files, (1,), ("t.jinja", *says), slow=True)


TEMPLATES = [
    Case("model", "own-template-missing", "eval --config e.yaml", {
        "e.yaml": SETTINGS.replace("model: {name: model}", OWN), "model": damaged(lambda f: None)}, (1,), ("t.jinja",),
        slow=True),
    template("empty", ""),
    template("raises", "{{ raise_exception('never') }}", "never"),
    template("does-not-parse", "{% if %}"),
    template("divides-by-zero", "{{ 1 / 0 }}"),
    template("wrong-types", "{{ messages + 1 }}"),
    template("not-utf-8", b"\xff\xfe"),
]  # fmt: skip


def adapter(name: str, damage: Callable[[Path], object], *says: str, codes=(1,)) -> Case:
    """A LoRA adapter on the model, damaged."""

    def write(path: Path, kit: Kit) -> None:
        shutil.copytree(kit.model, path.parent / "base")
        path.mkdir()
        (path / "adapter_config.json").write_text(json.dumps(ADAPTER))
        for file in (T, K, JINJA):
            shutil.copy(kit.model / file, path / file)
        _weights(path / "adapter_model.safetensors")
        damage(path)

    files = {"e.yaml": SETTINGS, "model": write}
    return Case("adapter", name, "eval --config e.yaml", files, codes, says or ("model",), slow=True)


def _weights(file: Path) -> None:
    import torch
    from safetensors.torch import save_file

    names = [f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight"
             for layer in (0, 1) for side in "AB"]  # fmt: skip
    save_file({name: torch.zeros((2, 64) if "lora_A" in name else (64, 2)) for name in names}, file)


A, AW = "adapter_config.json", "adapter_model.safetensors"
ADAPTERS = [
    adapter("config-garbled", put(A, "{")),
    adapter("config-list", put(A, "[]")),
    adapter("config-empty-object", put(A, "{}")),
    adapter("config-noise", put(A, NOISE)),
    adapter("base-missing", change(A, base_model_name_or_path="./nowhere"), "nowhere"),
    adapter("base-empty", change(A, base_model_name_or_path="")),
    adapter("base-number", change(A, base_model_name_or_path=3)),
    adapter("base-itself", change(A, base_model_name_or_path="model")),
    adapter("rank-text", change(A, r="x")),
    adapter("rank-negative", change(A, r=-2)),
    adapter("rank-other", change(A, r=4)),
    adapter("kind-unknown", change(A, peft_type="SILLY")),
    adapter("targets-unknown", change(A, target_modules=["nothing"])),
    adapter("targets-number", change(A, target_modules=3)),
    adapter("alpha-nan", change(A, lora_alpha=float("nan")), codes=EITHER),
    adapter("code", both(CODE, change(A, auto_mapping={"base_model_class": "T", "parent_library": "modeling_trap"})),
            codes=EITHER),
    adapter("weights-missing", drop(AW)),
    adapter("weights-empty", put(AW, b"")),
    adapter("weights-cut", cut(AW, 0.5)),
    adapter("weights-noise", put(AW, NOISE)),
    adapter("weights-a-trap", both(drop(AW), lambda f: trap_torch(f / "adapter_model.bin", None))),
    adapter("merged-garbled", lambda f: ((f / "merged").mkdir(), put("merged/config.json", "{")(f)), codes=EITHER),
    adapter("merged-a-file", put("merged", "x"), codes=EITHER),
]  # fmt: skip
CASES = [*MODELS, *TEMPLATES, *ADAPTERS]
