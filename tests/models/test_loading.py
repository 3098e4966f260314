import json
import shutil
import socket
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from presat.errors import ModelError
from presat.models import load_model_and_tokenizer, make_lab_model, model_note, resolve_model


@pytest.fixture
def lab_model(tmp_path: Path) -> Path:
    return make_lab_model(tmp_path / "model", seed=1)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def edit_json(path: Path, **changes) -> None:
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_stands_for_itself(lab_model):
    assert resolve_model(str(lab_model)) == str(lab_model)


def test_a_run_stands_for_its_newest_finished_checkpoint(lab_model, tmp_path):
    for step in (9, 10):
        folder = tmp_path / "run" / "checkpoints" / f"step_{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (tmp_path / "run" / "checkpoints" / "step_11").mkdir()
    assert resolve_model(str(tmp_path / "run")) == str(tmp_path / "run" / "checkpoints" / "step_10")


def test_hub_ids_pass_through():
    assert resolve_model("meta-llama/Llama-3.2-3B") == "meta-llama/Llama-3.2-3B"
    assert resolve_model("gpt2") == "gpt2"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "No model is named"),
        ("smollm2-135", "Did you mean 'smollm2-135m'?"),
        ("SmolLM2-135M", "Did you mean 'smollm2-135m'?"),
        ("runs/train/checkpoints/step_5", "no model folder"),
        ("./absent", "no model folder"),
        ("/absent", "no model folder"),
    ],
)
def test_names_that_mean_nothing(name, says):
    with pytest.raises(ModelError, match="^.*" + says.replace("?", r"\?")):
        resolve_model(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ModelError, match="holds no model"):
        resolve_model(str(tmp_path))


def test_loads_in_the_asked_type_with_the_asked_attention(lab_model):
    model, tokenizer = load_model_and_tokenizer(str(lab_model), "bfloat16", "eager")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"
    assert model.config._name_or_path == str(lab_model)  # where TRL loads the KL reference from
    assert tokenizer.pad_token_id is not None


def test_a_hub_id_that_cannot_be_had(no_hub):
    with pytest.raises(ModelError, match="could not be had from the Hugging Face hub"):
        load_model_and_tokenizer("nobody/nothing")


def test_damaged_weights(lab_model):
    weights = lab_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model_and_tokenizer(str(lab_model))


def test_missing_weights(lab_model):
    edit_weights(lab_model, lambda weights: weights.pop("model.layers.0.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"lacks weights .*up_proj"):
        load_model_and_tokenizer(str(lab_model))


def test_weights_that_are_not_numbers(lab_model):
    edit_weights(lab_model, lambda weights: weights["model.norm.weight"].fill_(float("nan")))
    with pytest.raises(ModelError, match=r"not finite .*model\.norm\.weight"):
        load_model_and_tokenizer(str(lab_model))


def test_no_weights_at_all(lab_model):
    (lab_model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="hold 0 bytes: one of them is damaged, or weights are missing"):
        load_model_and_tokenizer(str(lab_model))


def test_another_kind_of_model(lab_model):
    from transformers import T5Config, T5ForConditionalGeneration

    tiny = T5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(tiny).save_pretrained(lab_model)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model_and_tokenizer(str(lab_model))


def test_an_encoder_lacks_the_weights_of_a_language_model(lab_model):
    from transformers import BertConfig, BertModel

    tiny = BertConfig(vocab_size=64, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    BertModel(tiny).save_pretrained(lab_model)
    with pytest.raises(ModelError, match="lacks weights"):
        load_model_and_tokenizer(str(lab_model))


def test_an_unknown_attention_implementation(lab_model):
    says = r"no attention implementation 'flashy': set `model\.attention` to sdpa, or to eager"
    with pytest.raises(ModelError, match=says):
        load_model_and_tokenizer(str(lab_model), attention="flashy")


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_an_attention_implementation_whose_package_is_not_installed(lab_model):
    with pytest.raises(
        ModelError, match=r"is flash_attention_2, whose package .* or set `model\.attention` to sdpa\.$"
    ):
        load_model_and_tokenizer(str(lab_model), attention="flash_attention_2")


def test_no_chat_template(lab_model):
    (lab_model / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template.*`model\.chat_template`"):
        load_model_and_tokenizer(str(lab_model))
    _, tokenizer = load_model_and_tokenizer(str(lab_model), chat=False)
    assert tokenizer.chat_template is None


def test_a_chat_template_from_a_file_or_another_model_is_saved_with_the_tokenizer(lab_model, tmp_path):
    other = make_lab_model(tmp_path / "other", seed=2)
    own = (lab_model / "chat_template.jinja").read_text()
    (tmp_path / "asks.jinja").write_text("{% for turn in messages %}<user> {{ turn.content }}{% endfor %} <assistant>")
    (other / "chat_template.jinja").unlink()
    for source, text in ((tmp_path / "asks.jinja", (tmp_path / "asks.jinja").read_text()), (lab_model, own)):
        _, tokenizer = load_model_and_tokenizer(str(other), template=str(source))
        assert tokenizer.chat_template == text
        tokenizer.save_pretrained(tmp_path / "saved")
        assert (tmp_path / "saved" / "chat_template.jinja").read_text() == text
    _, tokenizer = load_model_and_tokenizer(str(lab_model), template=str(tmp_path / "asks.jinja"))
    assert tokenizer.chat_template != own  # what is set comes before what the model has


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("absent.jinja", "There is no file 'absent.jinja'"),
        ("broken.jinja", "cannot write the turns .user. .*Set `model.chat_template`"),
        ("bare", "has no chat template either"),
        ("./absent", "no model folder"),
    ],
)
def test_chat_templates_that_cannot_be_used(lab_model, tmp_path, monkeypatch, source, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jinja").write_text("{% for turn in messages %}")
    (make_lab_model(tmp_path / "bare", seed=2) / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=says):
        load_model_and_tokenizer(str(lab_model), template=source)


def in_hub_cache(model: Path, cache: Path, name: str) -> None:
    """Lay a model out as the hub's client does after a download."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model, folder / "snapshots" / ("0" * 40))


def test_without_a_hub_the_cache_alone_is_asked_at_once(lab_model, tmp_path, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + "/{repo_id}/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    in_hub_cache(lab_model, tmp_path / "cache", "somebody/lab")
    began = time.monotonic()
    model, tokenizer = load_model_and_tokenizer("somebody/lab")
    assert (model.dtype, tokenizer.eos_token) == (torch.float32, "<eos>")
    with pytest.raises(ModelError, match="could not be had from the Hugging Face hub"):
        load_model_and_tokenizer("nobody/nothing")
    assert time.monotonic() - began < 10  # the client's own patience is three times as long


def test_no_padding_token_pads_with_the_end_of_sequence(lab_model):
    edit_json(lab_model / "tokenizer_config.json", pad_token=None)
    _, tokenizer = load_model_and_tokenizer(str(lab_model))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_no_end_of_sequence_token(lab_model):
    edit_json(lab_model / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        load_model_and_tokenizer(str(lab_model))


def test_the_note_follows_a_model_trained_from_a_packaged_one(lab_model, tmp_path):
    assert model_note(str(lab_model)) is None
    edit_json(lab_model / "config.json", presat_origin="smollm2-135m")
    model, _ = load_model_and_tokenizer(str(lab_model))
    model.save_pretrained(tmp_path / "trained")
    note = model_note(str(tmp_path / "trained"))
    assert note == model_note("smollm2-135m")
    assert "4-bit" in (note or "")


def test_the_note_follows_adapters_to_their_base(lab_model, tmp_path):
    edit_json(lab_model / "config.json", presat_origin="smollm2-135m")
    for name, base in (("one", "qwen2.5-coder-1.5b"), ("two", str(lab_model)), ("three", str(tmp_path / "two"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    assert model_note(str(tmp_path / "one")) == model_note("qwen2.5-coder-1.5b")
    assert model_note(str(tmp_path / "two")) == model_note(str(tmp_path / "three")) == model_note("smollm2-135m")


def test_no_note_on_a_hub_id():
    assert model_note("meta-llama/Llama-3.2-3B") is None
