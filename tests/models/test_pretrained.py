"""Models that others made: their code is not run and nobody is asked, and damage is one sentence."""

from __future__ import annotations

import ast
import io
import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import presat
from presat.config.schema import LoraConfig, ModelConfig, SftConfig
from presat.errors import DataError, ModelError, PresatError
from presat.evaluation.problems import describe_model
from presat.models import load_model_and_tokenizer, make_lab_model, model_note
from presat.models.adapters import peft_config
from presat.models.checks import check_reference
from presat.models.examples import tokenised
from presat.rollouts import make_engine
from presat.training.runtime.launch import launch_notes
from presat.types import Message, Problem, Sampling

PROBLEM = Problem("p", ({"role": "user", "content": "a b"},), "1", "lab", "lab", {})
SOURCE = Path(presat.__file__).parent
CODE = """
from pathlib import Path
Path({ran!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = {kind!r}
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lab_model(tmp_path_factory.mktemp("made") / "model", seed=1)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def edit(file: Path, **changes: object) -> None:
    known = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**known, **changes}))


def refusal(name: Path, **how: object) -> str:
    """The one sentence that refuses a model."""
    with pytest.raises(ModelError) as caught:
        load_model_and_tokenizer(str(name), **how)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900
    return str(caught.value)


# --- code that comes with a model ------------------------------------------------------------------------------------


def bring_code(folder: Path, kind: str = "llama") -> Path:
    """Give a model code that leaves a file behind when it runs; `kind` says whether transformers has such a model."""
    ran = folder.parent / "ran"
    (folder / "code_of_theirs.py").write_text(CODE.format(ran=str(ran), kind=kind))
    maps = {"AutoConfig": "code_of_theirs.Config", "AutoModelForCausalLM": "code_of_theirs.Model"}
    edit(folder / "config.json", model_type=kind, auto_map=maps)
    return ran


@pytest.fixture
def yes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Somebody who says yes to all that is asked; the text says whether anything was."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    return lambda: capsys.readouterr().out + sys.stdin.read().removeprefix("y\n" * 20)


def test_code_in_a_folder_is_not_run_and_nobody_is_asked(folder, yes):
    ran = bring_code(folder, "of_theirs")
    said = refusal(folder)
    assert "wants to run its own code (config.json names code_of_theirs.py)" in said
    assert "`model.trust_remote_code: true`" in said
    assert not ran.exists()
    assert yes() == ""


def test_code_for_a_model_that_transformers_has_is_not_run_either_which_is_said(folder, yes, caplog):
    ran = bring_code(folder)
    with caplog.at_level(logging.WARNING, "presat"):
        load_model_and_tokenizer(str(folder))
    assert "code of its own (code_of_theirs.py), which was not run" in caplog.text
    assert not ran.exists()
    assert yes() == ""


def test_code_of_a_tokenizer(folder, yes):
    ran = bring_code(folder)
    edit(folder / "tokenizer_config.json", tokenizer_class="OfTheirs", auto_map={"AutoTokenizer": [None, "code.T"]})
    assert "wants to run its own code (tokenizer_config.json names code.py)" in refusal(folder)
    assert not ran.exists()
    assert yes() == ""


def test_code_under_an_adapter(folder, tmp_path, yes):
    adapter = make_adapter(folder, tmp_path / "adapter")
    ran = bring_code(folder, "of_theirs")
    edit(adapter / "adapter_config.json", auto_mapping={"base_model_class": "Model", "parent_library": "code"})
    assert "wants to run its own code (config.json names code_of_theirs.py)" in refusal(adapter)
    assert not ran.exists()
    assert yes() == ""


def test_code_runs_where_the_setting_says_so_and_the_provenance_does_too(folder, caplog):
    ran = bring_code(folder, "of_theirs_trusted")
    with caplog.at_level(logging.WARNING, "presat"):
        model, _ = load_model_and_tokenizer(str(folder), trust_remote_code=True)
    assert ran.exists()
    assert type(model).__name__ == "Model"
    assert "ran code of its own" in describe_model(model)["note"]
    assert not caplog.text


def test_training_notes_that_code_of_the_model_may_run(tmp_path):
    model = ModelConfig(name="x", trust_remote_code=True)
    assert "`model.trust_remote_code`" in launch_notes(SftConfig(run=tmp_path, model=model))[0]
    assert launch_notes(SftConfig(run=tmp_path, model=ModelConfig(name="x"))) == []


def test_models_are_opened_in_one_place_and_never_without_a_word_on_their_code():
    found: dict[str, list[bool]] = {}
    words = ("from_pretrained", "from_config", "apply_chat_template", "torch.load", "pickle")
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if not any(word in text for word in words):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            of = ast.unparse(node.func.value).rpartition(".")[2]
            if node.func.attr in ("from_pretrained", "from_config") and of != "PeftModel":
                given = {keyword.arg for keyword in node.keywords}
                found.setdefault(file.relative_to(SOURCE).as_posix(), []).append("trust_remote_code" in given)
            assert node.func.attr != "from_pretrained" or file.name == "pretrained.py", file
            assert node.func.attr != "apply_chat_template" or file.name == "templates.py", file
            own = file.name == "beside.py"  # what its own process says, through a pipe: no file of anybody's
            assert own or ast.unparse(node.func) not in ("pickle.load", "pickle.loads"), file
            assert ast.unparse(node.func) != "torch.load" or "weights_only=True" in ast.unparse(node), file
    assert set(found) == {"models/pretrained.py", "models/packaged.py"}
    assert all(all(said) for said in found.values())


def test_a_pickle_that_is_more_than_tensors_is_not_run(folder, tmp_path):
    class Opener:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    load_model_and_tokenizer(str(folder))  # tensors alone are read
    torch.save({**weights, "more": Opener()}, folder / "pytorch_model.bin")
    said = refusal(folder)
    assert "more than tensors" in said
    assert "weights_only" not in said
    assert not (tmp_path / "ran").exists()


# --- weights ---------------------------------------------------------------------------------------------------------


def add_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    file = folder / "model.safetensors"
    save_file({**load_file(file), **weights}, file, metadata={"format": "pt"})


@pytest.mark.parametrize("layers", [0, 1])
def test_layers_that_the_configuration_does_not_name_are_refused(folder, layers):
    edit(folder / "config.json", num_hidden_layers=layers)
    said = refusal(folder)
    assert f"hold {9 * (2 - layers)} weights of layers that its configuration does not name" in said
    assert f"model.layers.{layers}." in said


def test_other_weights_without_a_place_are_counted(folder, caplog):
    add_weights(folder, {"score.weight": torch.ones(2, 64), "v_head.summary.weight": torch.ones(1, 64)})
    with caplog.at_level(logging.WARNING, "presat"):
        load_model_and_tokenizer(str(folder))
    assert "2 of the weights in the files" in caplog.text
    assert "score.weight" in caplog.text


def test_what_every_version_of_transformers_leaves_out_is_not_mentioned(folder, caplog):
    add_weights(folder, {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16)})
    with caplog.at_level(logging.WARNING, "presat"):
        load_model_and_tokenizer(str(folder))
    assert not caplog.text


def test_an_embedding_smaller_than_the_vocabulary(folder):
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:40].clone()
    add_weights(folder, weights)
    edit(folder / "config.json", vocab_size=40)
    assert "the model embeddings for 40" in refusal(folder)


def test_an_embedding_larger_than_the_vocabulary_is_fine(folder):
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = torch.cat([weights[name], weights[name][:6]])
    add_weights(folder, weights)
    edit(folder / "config.json", vocab_size=len(weights["lm_head.weight"]))
    load_model_and_tokenizer(str(folder))


@pytest.mark.parametrize("end", [99999, -1, "<eos>", [2, 99999], [None], True, 2.5])
def test_ends_of_a_response_that_are_no_tokens(folder, end):
    edit(folder / "generation_config.json", eos_token_id=end)
    refusal(folder)


def test_a_response_may_have_several_ends(folder):
    edit(folder / "generation_config.json", eos_token_id=[2, 4])
    assert make_engine(*load_model_and_tokenizer(str(folder))).eos_ids == (2, 4)


def test_a_reference_that_could_not_be_loaded_is_refused_before_training(folder):
    for named in (None, [], ["pipeline"], "LlamaForCausalLM", [3]):
        edit(folder / "config.json", architectures=named)
        model, _ = load_model_and_tokenizer(str(folder))
        with pytest.raises(ModelError, match=r'set it to \["LlamaForCausalLM"\], or train with `beta: 0`'):
            check_reference(model)
    edit(folder / "config.json", architectures=["LlamaForCausalLM"])
    check_reference(load_model_and_tokenizer(str(folder))[0])


# --- positions -------------------------------------------------------------------------------------------------------


def test_more_tokens_than_the_model_has_positions_are_refused(folder):
    from transformers import GPT2Config, GPT2LMHeadModel

    _, tokenizer = load_model_and_tokenizer(str(folder))
    (folder / "generation_config.json").unlink()
    sizes = GPT2Config(
        vocab_size=len(tokenizer), n_positions=16, n_embd=8, n_layer=1, n_head=1, bos_token_id=1, eos_token_id=2
    )
    GPT2LMHeadModel(sizes).save_pretrained(folder)
    model, _ = load_model_and_tokenizer(str(folder))
    engine = make_engine(model, tokenizer)
    engine.generate([PROBLEM], 1, Sampling(1.0, 8, 64), [0])
    with pytest.raises(ModelError, match=r"16 positions and no more, and prompts .*`max_new_tokens`.* take 1\d\d\."):
        engine.generate([PROBLEM], 1, Sampling(1.0, 100, 64), [0])


def test_tokens_past_the_length_a_model_was_made_for_are_said_once(folder, caplog):
    edit(folder / "config.json", max_position_embeddings=8)
    engine = make_engine(*load_model_and_tokenizer(str(folder)))
    with caplog.at_level(logging.WARNING, "presat"):
        for seed in (0, 1):
            engine.generate([PROBLEM], 2, Sampling(1.0, 40, 64), [seed])
    assert caplog.text.count("the model was made for 8") == 1


# --- adapters --------------------------------------------------------------------------------------------------------


def make_adapter(base: Path, folder: Path) -> Path:
    import peft

    model, tokenizer = load_model_and_tokenizer(str(base))
    adapted = peft.get_peft_model(model, peft_config(model, LoraConfig(rank=2)))
    adapted.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_adapter_for_more_or_fewer_layers_than_the_model_has(folder, tmp_path):
    adapter = make_adapter(folder, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    one = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
    save_file({**weights, one.replace(".0.", ".7."): weights[one].clone()}, file)
    assert "0 of the weights it should have are not in its file and 1 are there for layers" in refusal(adapter)
    save_file({name: value for name, value in weights.items() if name != one}, file)
    assert "1 of the weights it should have are not in its file and 0 are there for layers" in refusal(adapter)


def test_an_adapter_that_stands_on_itself(folder, tmp_path):
    adapter = make_adapter(folder, tmp_path / "adapter")
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(adapter))
    assert "stands on itself" in refusal(adapter)
    assert model_note(str(adapter)) is None


# --- damage ----------------------------------------------------------------------------------------------------------

DEEP = b"[" * 100_000 + b"]" * 100_000
WRONG = (True, -1, 0, 10**9, 10**30, "x", [None])


def loads_or_is_refused(folder: Path) -> bool:
    """Load a model and draw a response; anything but a result or one sentence is an error of the test."""
    try:
        model, tokenizer = load_model_and_tokenizer(str(folder))
        make_engine(model, tokenizer).generate([PROBLEM], 1, Sampling(1.0, 2, 64), [0])
    except PresatError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    assert len(said) < 900
    return False


@pytest.mark.parametrize(
    "name",
    ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
     "chat_template.jinja", "special_tokens_map.json", "model.safetensors.index.json"],
)  # fmt: skip
def test_a_file_that_is_cut_or_garbled(folder, name):
    file = folder / name
    whole = file.read_bytes() if file.is_file() else b"{}"
    for content in (b"null", b"\xff\xfe\x00", DEEP, whole[: len(whole) // 2], whole[9:]):
        file.write_bytes(content)
        loads_or_is_refused(folder)
    file.write_bytes(whole)
    if name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        file.write_bytes(b"")
        assert not loads_or_is_refused(folder)


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_hidden_layers", "num_key_value_heads", "num_labels"])
def test_a_configuration_with_values_that_cannot_be(folder, key):
    file = folder / "config.json"
    whole = file.read_text()
    for value in WRONG:
        file.write_text(whole)
        edit(file, **{key: value})
        loads_or_is_refused(folder)
        if isinstance(value, int) and abs(value) >= 10**9:
            assert not loads_or_is_refused(folder)


def test_half_a_character_in_the_settings_of_a_tokenizer_which_could_not_be_saved(folder):
    edit(folder / "tokenizer_config.json", legacy="\ud800")
    assert "UnicodeEncodeError" in refusal(folder)


def test_damaged_files_of_an_adapter(folder, tmp_path):
    adapter = make_adapter(folder, tmp_path / "adapter")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        whole = (adapter / name).read_bytes()
        for content in (b"", b"null", DEEP, whole[: len(whole) // 2]):
            (adapter / name).write_bytes(content)
            refusal(adapter)
            if name == "adapter_config.json":
                with pytest.raises(ModelError):
                    model_note(str(adapter))
        (adapter / name).write_bytes(whole)
    load_model_and_tokenizer(str(adapter))


# --- chat templates --------------------------------------------------------------------------------------------------

GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %} <user> {{ m.content }}{% endfor %} <assistant>"
)
SYSTEM: tuple[Message, ...] = ({"role": "system", "content": "a"}, {"role": "user", "content": "b"})


def engine_with(folder: Path, template: str):
    (folder / "chat_template.jinja").write_text(template)
    model, tokenizer = load_model_and_tokenizer(str(folder))
    return make_engine(model, tokenizer), tokenizer


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (GEMMA, r"TemplateError: System role not supported\)\. It takes them without the system message"),
        ("{% for m in messages %}", r"TemplateSyntaxError: .* Set `model\.chat_template`"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError: access to attribute '__class__'"),
        ("{{ messages[7].content.x }}", "UndefinedError: "),
        ("{{ 1 // 0 }}", "ZeroDivisionError: "),
        ("{{ range(999999999) | list }}", "OverflowError: "),
        ("{% if false %}{{ messages }}{% endif %}", "writes nothing for the turns 'system, user'"),
    ],
)
def test_templates_that_refuse_or_break_wherever_they_are_applied(folder, template, says):
    engine, tokenizer = engine_with(folder, template)
    with pytest.raises(ModelError, match=says):
        engine.encode(Problem("p", SYSTEM, "1", "lab", "lab", {}))
    with pytest.raises(ModelError, match=says):
        tokenised(SYSTEM, "0", tokenizer)


def test_half_a_character_is_refused_with_its_place(made):
    model, tokenizer = load_model_and_tokenizer(str(made))
    with pytest.raises(DataError, match=r"The user turn of a prompt holds half of a character \('a .*ud83d b'\)"):
        make_engine(model, tokenizer).encode(
            Problem("p", ({"role": "user", "content": "a \ud83d b"},), "1", "lab", "lab", {})
        )
    with pytest.raises(DataError, match="The response of an example holds half of a character"):
        tokenised(SYSTEM, "\udc00", tokenizer)
