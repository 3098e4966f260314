"""What is looked at in a model once it is loaded, so that no score comes of a broken one."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from presat.errors import ModelError
from presat.text import brief

LOG = logging.getLogger("presat")

_MARGIN = 8
"""Some models keep a few rows of their table of positions for padding."""


def check_weights(name: str, model: Any, info: dict[str, Any]) -> None:
    """Refuse a model whose weights are not those its configuration describes, or are no numbers.

    Weights that have no place in the model are left out: named in a warning, or refused where they are whole layers,
    without which the rest is another model than the one that was saved.

    Args:
        name: what the user calls the model.
        model: the model.
        info: what transformers says of the loading: the keys that were missing, mismatched and unexpected.

    Raises:
        ModelError: weights are missing, layers were left out, or values are not finite.
    """
    lost = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lost:
        raise ModelError(
            f"'{name}' lacks weights a causal language model needs ({len(lost)}, the first is {brief(lost[0])}): it is "
            "another kind of model, or its files are incomplete. Use a causal language model."
        )
    unexpected = sorted(info["unexpected_keys"])
    layers = [key for key in unexpected if _is_of_another_layer(model, key)]
    if layers:
        raise ModelError(
            f"The files of '{name}' hold {len(layers)} weights of layers that its configuration does not name (the "
            f"first is {brief(layers[0])}): without them it is another model. Correct the number of layers in its "
            "config.json, or save the model anew."
        )
    if unexpected:
        LOG.warning(
            "%d of the weights in the files of '%s' have no place in a %s and were left out (the first is %s).",
            len(unexpected), name, type(model).__name__, brief(unexpected[0]),
        )  # fmt: skip
    broken = [key for key, value in model.state_dict().items() if not value.is_meta and not value.sum().isfinite()]
    if broken:
        raise ModelError(
            f"The weights of '{name}' are not finite numbers ({len(broken)} tensors, the first is {broken[0]})."
        )


def _is_of_another_layer(model: Any, key: str) -> bool:
    """Whether a weight's name is that of a layer beyond the last one of one of the model's lists of layers."""
    from torch import nn

    match = re.match(r"(.+?)\.(\d+)\.", key)
    if match is None:
        return False
    modules = dict(model.named_modules())
    places = (match[1], f"{model.base_model_prefix}.{match[1]}")  # files may leave out the inner model's name
    lists = [modules[place] for place in places if isinstance(modules.get(place), nn.ModuleList)]
    return any(int(match[2]) >= len(layers) for layers in lists)


def check_vocabulary(name: str, model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that makes tokens the model has no embedding for, and ends of a response it cannot draw.

    Raises:
        ModelError: which tokens, and how many the model has.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    vocabulary = tokenizer.get_vocab()
    beyond = [token for token, index in vocabulary.items() if index >= rows]
    if beyond:
        raise ModelError(
            f"The tokenizer of '{name}' has {len(vocabulary)} tokens and the model embeddings for {rows}: "
            f"{len(beyond)} tokens ({brief(beyond[0])} is one) have none. Use the tokenizer that belongs to the model, "
            "or add rows to its embedding (`resize_token_embeddings`)."
        )
    ends = end_tokens(model)
    if wrong := [index for index in ends if type(index) is not int or not 0 <= index < rows]:
        raise ModelError(
            f"The end of a response in the generation_config.json (or config.json) of '{name}' is {brief(wrong[0])}, "
            f"which is none of the model's {rows} tokens: correct `eos_token_id` there."
        )


def end_tokens(model: Any) -> Sequence[Any]:
    """The tokens that the model's generation settings end a response with, as they are there."""
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if declared is None:
        return ()
    return declared if isinstance(declared, list | tuple) else (declared,)


def check_positions(model: Any, length: int, what: str) -> None:
    """Refuse sequences longer than the model has positions, where it learned one embedding for each.

    Other models go on past the length they were made for, as well as they can.

    Args:
        model: the model.
        length: tokens of the longest sequence.
        what: what is that long and which setting makes it shorter, for the message.

    Raises:
        ModelError: there are fewer positions.
    """
    from torch import nn

    limit = positions(model)
    if limit is None or length <= limit:
        return
    embeddings = (model.get_input_embeddings(), model.get_output_embeddings())
    tables = [layer for layer in model.modules() if isinstance(layer, nn.Embedding) and layer not in embeddings]
    if any(limit <= table.num_embeddings <= limit + _MARGIN for table in tables):
        raise ModelError(f"The model has {limit} positions and no more, and {what} take {length}.")


def positions(model: Any) -> int | None:
    """How many positions the model was made for; None where its configuration does not say."""
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def check_reference(model: Any) -> None:
    """Refuse a model that TRL could not load again, for the KL term: it goes by the architecture that is named.

    Raises:
        ModelError: none is, or one that there is not.
    """
    import transformers

    named = getattr(model.config, "architectures", None)
    first = named[0] if isinstance(named, list) and named else None
    known = isinstance(first, str) and hasattr(getattr(transformers, first, None), "from_pretrained")
    if not known and not getattr(model.config, "auto_map", None):
        raise ModelError(
            f"The config.json of {model.config._name_or_path} does not say which architecture the model has "
            f"(`architectures` is {brief(named)}), by which the reference of the KL term is loaded: set it to "
            f'["{type(model).__name__}"], or train with `beta: 0`.'
        )
