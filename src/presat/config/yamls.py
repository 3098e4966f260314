"""The one way YAML is read and written here: what looks like a number is one, or it is refused.

PyYAML reads YAML 1.1, where `010` is 8, `1:30` is 90, `1_000` is 1000, `yes` is true and `1e-5` is text. Read here are
the scalars that every reader agrees on: `true`, `false`, `null`, decimal integers and floats (`1e-5` too), and text. A
plain scalar that YAML 1.1 takes for something else is refused, and so are keys given twice, tags (`!!python/object`)
and aliases that unfold into more than a configuration can hold.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from presat.text import brief, printable

MOST_BYTES = 1_000_000
MOST_NODES = 100_000
"""Most keys and values of a file, an alias counted as all that it stands for."""
MOST_LEVELS = 50
"""Deepest nesting."""

_TAG = "tag:yaml.org,2002:"
_OTHERWISE = "tag:presat,2026:otherwise"
_SCALARS = (
    (_TAG + "null", r"~|null|Null|NULL|", "~nN\0"),
    (_TAG + "bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_TAG + "int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (_TAG + "float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    (_TAG + "float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    (_TAG + "merge", r"<<", "<"),
)  # fmt: skip
_NOT_READ = (
    r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
    r"|[-+]?0[0-9_]+"  # octal
    r"|[-+]?0[xXoObB][0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # of base 60
    r"|[-+]?(?=[0-9._]*_)[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
)
"""Plain scalars that YAML 1.1 takes for a number or a truth value, and other readers for another or for text."""


class YamlError(ValueError):
    """What is wrong with a text as YAML: the rest of a sentence, with the line."""


def parse_yaml(raw: bytes | str) -> Any:
    """Return what a YAML document holds; None for an empty one.

    Raises:
        YamlError: it is no UTF-8 text or no YAML, is too large, or holds what is not read here (see the module).
    """
    if len(raw) > MOST_BYTES:
        raise YamlError(f"larger than {MOST_BYTES // 1_000_000} MB, which no configuration is")
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError as error:
        raise YamlError(f"not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from error
    except yaml.reader.ReaderError as error:
        found = f"the character {error.character:#x}" if isinstance(error.character, int) else "a character"
        raise YamlError(f"not text: it holds {found}, which YAML has no place for") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark is not None else ""
        raise YamlError(place + printable((error.problem or error.context or "not YAML")[:300])) from error
    except RecursionError as error:
        raise YamlError(f"nested deeper than {MOST_LEVELS} levels") from error


def read_yaml_file(path: Path) -> Any:
    """Return what a YAML file holds; at most a little more than `MOST_BYTES` of it are read.

    Raises:
        YamlError: as `parse_yaml`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return parse_yaml(file.read(MOST_BYTES + 1))


def dump_yaml(data: Any) -> str:
    """Return `data` as block YAML that `parse_yaml` reads back as it is, and that a terminal can be shown."""
    text = _dump(data, allow_unicode=True)
    return text if printable(text) == text else _dump(data, allow_unicode=False)


def dump_inline(data: Any) -> str:
    """Return `data` as YAML in one line, for a table or a command line."""
    return _dump(data, default_flow_style=True, width=float("inf")).removesuffix("...\n").strip()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with our scalars, which refuses rather than guesses."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = self._level = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node; count it, or all that an alias stands for."""
        event, before = self.peek_event(), self._nodes
        if getattr(event, "tag", None) is not None:
            raise _problem(
                f"the tag {brief(event.tag.replace(_TAG, '!!'))} is not read here: write plain values", event
            )
        self._level += 1
        if self._level > MOST_LEVELS:
            raise _problem(f"nested deeper than {MOST_LEVELS} levels", event)
        node = super().compose_node(parent, index)
        self._level -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _problem(f"the alias *{event.anchor} stands within what it stands for", event)
            self._nodes += self._sizes[id(node)]
        else:
            self._nodes += 1
            self._sizes[id(node)] = self._nodes - before
        if self._nodes > MOST_NODES:
            raise _problem(f"more than {MOST_NODES:,} keys and values, which no configuration has", event)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; a key must not stand twice in it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (first := lines.get((key.tag, key.value))) is not None:
                    raise _problem(f"the key {brief(key.value)} stands twice, first in line {first}", key)
                lines[key.tag, key.value] = key.start_mark.line + 1
        return node

    def construct_otherwise(self, node: yaml.ScalarNode) -> Any:
        """Refuse what YAML 1.1 reads as a number or a truth value that it does not look like."""
        raise _problem(
            f"{brief(node.value)} is read in different ways by different readers: write a plain decimal number, "
            "`true` or `false`, or put text into quotes",
            node,
        )

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Return text; half of a surrogate pair is none."""
        text = self.construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _problem(f"{brief(text)} holds half a character, which is no text", node)
        return text

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """Return a decimal integer."""
        if len(node.value) > 100:
            raise _problem(f"{brief(node.value, 40)} is no number of any use", node)
        return int(node.value)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes besides what our loader would read otherwise; no aliases."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        first: list(found) for first, found in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (PyYAML's signature)
        """Write everything where it stands."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text in double quotes where it holds a line end of Unicode's, which YAML folds everywhere else."""
    quoted = any(mark in text for mark in "\x85\u2028\u2029")
    return dumper.represent_scalar(f"{_TAG}str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def _problem(text: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=where.start_mark)


def _dump(data: Any, **options: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, **{"allow_unicode": True, **options})


for _name, _pattern, _first in ((_OTHERWISE, _NOT_READ, "yYnNoO+-0123456789"), *_SCALARS):  # the first that fits counts
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_name, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])
_Loader.add_constructor(_OTHERWISE, _Loader.construct_otherwise)
_Loader.add_constructor(f"{_TAG}str", _Loader.construct_text)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_integer)
