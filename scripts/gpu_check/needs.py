"""Which packages the GPU check needs that are not here: names on stdout, or with --how the commands that fetch them."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit(f"presat needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Set PYTHON.")
try:
    from packaging.requirements import Requirement
except ModuleNotFoundError:
    sys.exit("The GPU check needs PyTorch and transformers; this Python has not even `packaging`. Set PYTHON.")

ROOT = Path(__file__).parents[2]
GIVEN = ("torch", "transformers")
"""Must be here; what they need is taken to be here too."""
BROUGHT = ("huggingface-hub",)
"""Come with those, and so does what they need."""
UNUSED = ("reasoning-gym",)
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux1")


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def lock() -> dict[str, str]:
    """Every locked package and its version."""
    pairs = [line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
    return {name_of(name): version for name, version in pairs}


def closure() -> list[str]:
    """What presat and its tests need; `needs.txt` keeps it, because it can only be read where all of it is here."""
    asked, found = [*_own(), Requirement("pytest"), Requirement("pytest-timeout")], {}
    while asked:
        need = asked.pop()
        name = name_of(need.name)
        if name in found or name in GIVEN or name in UNUSED:
            continue
        found[name] = need
        asked += [] if name in BROUGHT else _needs_of(name, need.extras)
    return sorted(found)


def _own() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"]]


def _needs_of(name: str, extras: set[str] | frozenset[str] = frozenset()) -> list[Requirement]:
    needs = [Requirement(line) for line in metadata.requires(name) or []]
    return [
        need
        for need in needs
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras or {""})
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def missing() -> list[str]:
    """Names that are absent, or too old (or too new) for presat or for a package it needs."""
    names = (ROOT / "scripts" / "gpu_check" / "needs.txt").read_text().split()
    here = [name for name in names if _version(name)]
    asked = [*_own(), *(need for name in here for need in _needs_of(name))]
    unfit = {
        name_of(need.name)
        for need in asked
        if (version := _version(need.name)) and not need.specifier.contains(version, prereleases=True)
    }
    if wrong := sorted(unfit & set(GIVEN)):
        sys.exit(f"presat does not take the versions of these that are here: {', '.join(wrong)}. See pyproject.toml.")
    return sorted(({*names} - {*here}) | (unfit & {*lock()} - {*UNUSED}))


def how(names: list[str]) -> str:
    """How to make the folder of wheels."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    platforms = " ".join(f"--platform {name}_x86_64" for name in PLATFORMS)
    pinned = " ".join(f"{name}=={lock()[name]}" for name in names)
    return (
        f"Missing here, or of another version: {', '.join(names)}.\n"
        "On a machine with a network, in this folder:\n\n"
        f"  python3 -m pip download --no-deps --only-binary=:all: --python-version {python} --implementation cp "
        f"{platforms} -d wheels {pinned}\n\n"
        "then bring `wheels` here: scripts/gpu_check.sh --wheels wheels"
    )


if __name__ == "__main__":
    for given in GIVEN:
        if _version(given) is None:
            sys.exit(f"The GPU check needs {' and '.join(GIVEN)}; {sys.executable} has no {given}. Set PYTHON.")
    if sys.argv[1:] == ["--closure"]:
        print(*closure(), sep="\n")
    elif sys.argv[1:] == ["--how"]:
        print(how(missing()))
    else:
        print(*missing())
