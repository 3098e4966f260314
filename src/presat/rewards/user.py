"""The user's own reward: a function (or a class) of theirs, named by a dotted path or an entry point.

The one signature is `(group, scores) -> one number or None per response`, with `group` a `RolloutGroup` and `scores`
the verifier's verdicts. A class is made with the reward's options first, and its instance called; a function gets the
options as keyword arguments. What else a reward may carry (`presat.rewards.outcome`) is passed on.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from numbers import Real
from pathlib import Path
from typing import Any

from presat.errors import ConfigError, PresatError, RunError, nearest
from presat.rewards.certainty import Statistic
from presat.rewards.outcome import Outcome
from presat.text import brief
from presat.types import RolloutGroup, Score

ENTRY_POINTS = "presat.rewards"
"""Group of the entry points by which installed packages offer rewards."""


@dataclass
class UserReward:
    """A reward from outside, held to the signature.

    Attributes:
        function: the user's callable.
        name: what it is logged under.
        options: keyword arguments it gets at every call.
    """

    function: Callable[..., Any]
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    _parts: list[str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a callable that cannot be called like a reward."""
        lowest = self.lowest
        if lowest is not None and not (isinstance(lowest, Real) and math.isfinite(lowest)):
            raise ConfigError(
                f"`lowest` of the reward {self.name} should be a finite number or None; it is {lowest!r}."
            )
        try:
            inspect.signature(self.function).bind(None, None, **self.options)
        except TypeError as error:
            called = ", ".join(["group", "scores", *(f"{option}=..." for option in self.options)])
            raise ConfigError(
                f"The reward {self.name} is called as ({called}), but its signature is "
                f"{inspect.signature(self.function)}: {error}."
            ) from error

    @property
    def votes(self) -> int | None:
        """How many responses it asks to see: its own attribute `votes`."""
        return getattr(self.function, "votes", None)

    @property
    def lowest(self) -> float | None:
        """A value it never goes below: its own attribute `lowest`. What fails a gate earns that."""
        return getattr(self.function, "lowest", None)

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """Statistics of the policy it reads: its own attribute `needs`."""
        return tuple(getattr(self.function, "needs", ()))

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Call it and check what it returns.

        Raises:
            RunError: it failed, or returned not one number or None per response.
        """
        return self._rewards(self._called(self.function, group, scores), group)

    def outcome(self, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
        """Its own `outcome`, where it has one: the rewards with the vote and the parts they come from.

        Raises:
            RunError: it failed; no `Outcome`, or not one number or None (of a vote: one verdict) per response; or parts
                of other names than before, whose sums over groups and processes would be of different things.
        """
        own = getattr(self.function, "outcome", None)
        if own is None:
            return Outcome(self(group, scores))
        found = self._called(own, group, scores)
        if not isinstance(found, Outcome):
            raise RunError(
                f"`outcome` of the reward {self.name} returned {type(found).__name__}, not a presat.rewards.Outcome."
            )
        if found.vote is not None and len(found.vote.agrees_N) != len(group.completions):
            raise RunError(
                f"The vote of the reward {self.name} has {len(found.vote.agrees_N)} verdicts (`agrees_N`) for "
                f"{len(group.completions)} responses."
            )
        names = sorted(found.parts)
        if self._parts is not None and names != self._parts:
            raise RunError(
                f"The reward {self.name} returned the parts {names} for one group and {self._parts} for another; give "
                "every group the same, with None for the responses that a part does not apply to."
            )
        self._parts = names
        parts = {name: self._checked(found.parts[name], group) for name in names}
        return replace(found, values_N=self._rewards(found.values_N, group), parts=parts)

    def _called(self, function: Callable[..., Any], group: RolloutGroup, scores: Sequence[Score]) -> Any:
        try:
            return function(group, scores, **self.options)
        except (PresatError, BrokenPipeError):  # the latter: nobody reads what it prints any more
            raise
        except Exception as error:  # whatever the user's code raises
            raise RunError(
                f"The reward {self.name} failed ({type(error).__name__}: {error}). --debug shows where."
            ) from error

    def _rewards(self, values: Any, group: RolloutGroup) -> list[float | None]:
        checked = self._checked(values, group)
        below = [value for value in checked if value is not None and self.lowest is not None and value < self.lowest]
        if below:
            raise RunError(
                f"The reward {self.name} returned {below[0]}, which is below its own `lowest`, {self.lowest}. Name a "
                "value that it never goes below, or none."
            )
        return checked

    def _checked(self, values: Any, group: RolloutGroup) -> list[float | None]:
        if not isinstance(values, Sequence) or len(values) != len(group.completions):
            got = f"{len(values)} values" if isinstance(values, Sequence) else type(values).__name__
            raise RunError(f"The reward {self.name} returned {got} for {len(group.completions)} responses.")
        return [None if value is None else self._number(value) for value in values]

    def _number(self, value: Any) -> float:
        if not isinstance(value, Real) or not math.isfinite(value):
            raise RunError(
                f"The reward {self.name} returned {brief(value)}; a reward is a finite number, or None where it does "
                "not apply."
            )
        return float(value)


def user_reward(source: str, options: Mapping[str, Any]) -> UserReward | None:
    """Load the user's reward that `source` names; None when it is neither a dotted path nor an entry point.

    Args:
        source: `package.module:name` (the current folder counts), or the name of an entry point in `presat.rewards`.
        options: settings of the reward.

    Raises:
        ConfigError: it cannot be imported or made, is no callable, or does not take what it would be given.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if source not in points and ":" not in source:
        return None
    found = _import(points[source].value if source in points else source)
    if not callable(found):
        raise ConfigError(f"The reward {source} is of type {type(found).__name__}, not a function or a class.")
    default = source if source in points else source.rpartition(":")[2]
    if not inspect.isclass(found):
        return UserReward(found, _name(found, default), dict(options))
    try:
        made = found(**options)
    except TypeError as error:
        raise ConfigError(f"The reward {source} cannot be made with the options {dict(options)}: {error}.") from error
    except PresatError:
        raise
    except Exception as error:  # whatever the user's class raises
        raise ConfigError(
            f"The reward {source} cannot be made with the options {dict(options)} ({type(error).__name__}: {error}). "
            "--debug shows where."
        ) from error
    if not callable(made):
        raise ConfigError(f"The reward {source} is a class whose instances cannot be called.")
    return UserReward(made, _name(made, default))


def offered() -> list[str]:
    """Names of the rewards that installed packages offer."""
    return sorted(point.name for point in entry_points(group=ENTRY_POINTS))


def _name(found: Any, default: str) -> str:
    name = getattr(found, "name", None)
    return name if isinstance(name, str) and name else default


def _import(path: str) -> Any:
    module_name, _, names = path.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:  # a console script does not look there by itself
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"The reward {path} cannot be imported ({error}). Give it as package.module:name, of a module that is "
            "installed, on PYTHONPATH or in the current folder."
        ) from error
    except Exception as error:  # whatever the user's module raises, a slip of its syntax included
        raise ConfigError(
            f"The reward {path} cannot be imported: its module fails ({type(error).__name__}: {error}). --debug shows "
            "where."
        ) from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise ConfigError(f"There is no {name} in {module_name}.{nearest(name, vars(found))}")
        found = getattr(found, name)
    return found
