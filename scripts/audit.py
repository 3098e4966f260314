"""Known vulnerabilities of the pinned packages, as the package registry's own data has them: `make audit`.

    python scripts/audit.py requirements.lock requirements-ray.lock requirements-vllm.lock

Exit code 1 where a pinned version has one. Where the registry does not answer, it says so and exits 0: the audit is for
machines with a network, and a build must not fail without one. Needs the standard library alone.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REGISTRY = "https://pypi.org/pypi"
SIDE_BY_SIDE = 4
TIMEOUT_S = 20.0
PROBES = 3
"""A registry that knows none of so many is asked no further."""

Pin = tuple[str, str]
Ask = Callable[[str], dict[str, Any] | None]


def pins(lines: Iterable[str]) -> list[Pin]:
    """Return name and version of every `name==version` line; comments and markers are left out."""
    found = (re.match(r"\s*([A-Za-z0-9._-]+)==([^\s;#+]+)", line) for line in lines)
    return [(match[1], match[2]) for match in found if match]


def ask(page: str) -> dict[str, Any] | None:
    """Return what the registry says of `NAME/VERSION`; None where it does not know it.

    Raises:
        OSError: it does not answer.
    """
    try:
        with urllib.request.urlopen(f"{REGISTRY}/{page}/json", timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    except ValueError as error:
        raise OSError("its answer is no JSON") from error


def advisories(known: dict[str, Any]) -> list[str]:
    """Return a line for each vulnerability that stands."""
    return [
        f"{item['id']}, fixed in {', '.join(item.get('fixed_in') or []) or 'no version yet'}"
        for item in known.get("vulnerabilities", [])
        if not item.get("withdrawn")
    ]


def audit(wanted: list[Pin], ask: Ask = ask) -> tuple[int, list[str]]:
    """Ask about every pin; return the exit code and what to say."""
    try:
        first = [_asked(ask, pin) for pin in wanted[:PROBES]]
        if not any(known is not None for known in first):  # a mirror: it would know no more of the others
            return 0, ["Not audited: the registry here has no data on the vulnerabilities of packages."]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            answers = first + list(pool.map(lambda pin: _asked(ask, pin), wanted[PROBES:]))
    except OSError as error:
        return 0, [f"Not audited: the registry does not answer ({error})."]
    said, unknown, hit = [], [], 0
    for (name, version), known in zip(wanted, answers, strict=True):
        if known is None:
            unknown.append(f"{name}=={version}")
            continue
        found = advisories(known)
        hit += bool(found)
        said += [f"{name}=={version}: {line}" for line in found]
    if unknown:
        said.append(f"Not known to the registry: {', '.join(unknown)}.")
    said.append(f"{hit} of {len(wanted) - len(unknown)} packages have known vulnerabilities.")
    return int(hit > 0), said


def _asked(ask: Ask, pin: Pin) -> dict[str, Any] | None:
    return ask("/".join(pin))


def main(files: list[str]) -> int:
    """Audit the pins of all files, each once."""
    wanted = sorted({pin for file in files for pin in pins(Path(file).read_text(encoding="utf-8").splitlines())})
    code, said = audit(wanted)
    print("\n".join(said))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
