"""Frozen dataclasses as trees of settings: walk, edit, check, read from JSON. Knows nothing about training."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from skelbench.errors import ConfigError


def is_config(value: Any) -> bool:
    """True for a dataclass instance (not for a dataclass itself)."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> value of every setting that is not itself a group of settings, in the order they stand in the classes."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value, path = getattr(config, f.name), f"{prefix}{f.name}"
        if is_config(value):
            found |= leaves(value, f"{path}.")
        else:
            found[path] = value
    return found


def groups(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> the nested dataclass standing there."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value, path = getattr(config, f.name), f"{prefix}{f.name}"
        if is_config(value):
            found |= {path: value} | groups(value, f"{path}.")
    return found


def resolve(config: Any, name: str) -> str:
    """The full dotted path that ``name`` (a leaf name, or the last parts of a path) means in this tree.

    Raises:
        ConfigError: nothing of that name, with the nearest names; or several, with all of them.
    """
    paths = [*leaves(config), *groups(config)]
    if name in paths:
        return name
    found = [p for p in paths if p.endswith(f".{name}")]
    if len(found) > 1:
        example = f'{{"{found[0]}": ...}}'
        raise ConfigError(
            f"{name!r} is the name of {len(found)} settings: {', '.join(found)}. Give the dotted name, as in edit({example})"
        )
    if not found:
        raise ConfigError(f"there is no setting {name!r}{_close(name, paths)}")
    return found[0]


def replaced(config: Any, changes: Mapping[str, Any], prefix: str = "") -> Any:
    """The tree with the settings at these full dotted paths changed, all at once, each checked against its type."""
    hints = _hints(type(config))
    here: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        first, _, rest = path.partition(".")
        if rest:
            below.setdefault(first, {})[rest] = value
        else:
            old = getattr(config, first)
            hint = type(old) if is_config(old) else hints.get(first, type(old))
            if is_config(old) and isinstance(value, Mapping):
                here[first] = replaced(old, {resolve(old, k): v for k, v in value.items()}, f"{prefix}{first}.")
            else:
                here[first] = checked(value, hint, f"{prefix}{first}")
    for first, rest_of in below.items():
        here[first] = replaced(here.get(first, getattr(config, first)), rest_of, f"{prefix}{first}.")
    return _construct(type(config), {f.name: here.get(f.name, getattr(config, f.name)) for f in dataclasses.fields(config)}, prefix)


def plain(value: Any) -> Any:
    """What JSON can hold: dataclasses become objects, tuples become arrays."""
    if is_config(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def build(cls: type, table: Any, prefix: str = "") -> Any:
    """Read a dataclass from its JSON form. Settings that are missing keep their defaults.

    Raises:
        ConfigError: a key that is no setting (with the nearest names), or a value of the wrong kind.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{prefix.rstrip('.') or cls.__qualname__}: wanted an object with settings, got {table!r}")
    names = [f.name for f in dataclasses.fields(cls)]
    hints = _hints(cls)
    for key in table:
        if key not in names:
            raise ConfigError(f"{cls.__qualname__} has no setting {prefix + key!r}{_close(key, names)}")
    return _construct(cls, {k: checked(v, hints.get(k, Any), prefix + k) for k, v in table.items()}, prefix)


def checked(value: Any, hint: Any, path: str) -> Any:
    """The value as its type wants it: ints become floats, lists become tuples where that is meant. Raises ConfigError otherwise."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return tuple(value) if isinstance(value, list) else value
    if origin in (Union, types.UnionType):
        return _one_of(value, args, path)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{path} = {value!r}: wanted one of {', '.join(map(repr, args))}")
        return value
    if origin is tuple or hint is tuple:
        return _sequence(value, args, path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, f"{path}.")
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint in (bool, int, float):
        raise ConfigError(f"{path} = {value!r}: wanted {'True or False' if hint is bool else f'a finite {hint.__name__}'}")
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ConfigError(f"{path} = {value!r}: wanted {'nothing (None)' if hint is types.NoneType else hint.__name__}")
    return value


def _one_of(value: Any, hints: tuple[Any, ...], path: str) -> Any:
    errors = []
    for hint in hints:
        try:
            return checked(value, hint, path)
        except ConfigError as error:
            errors.append(str(error))
    raise ConfigError("; or ".join(errors))


def _sequence(value: Any, hints: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path} = {value!r}: wanted several values, as in ({value!r},)")
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if hints and len(hints) != len(value):
        raise ConfigError(f"{path} = {value!r}: wanted {len(hints)} values, got {len(value)}")
    return tuple(checked(v, h, f"{path}[{i}]") for i, (v, h) in enumerate(zip(value, hints or (Any,) * len(value), strict=True)))


def _construct(cls: type, values: dict[str, Any], prefix: str) -> Any:
    try:
        return cls(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{prefix.rstrip('.') or cls.__qualname__}: {error}") from error


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (
        NameError
    ):  # a class written inside a function: its annotations cannot be looked up, so values are held to what they were
        return {}


def _close(name: str, names: list[str]) -> str:
    """'; did you mean ...?' and, where nothing is near, all there are."""
    tails = {n.rpartition(".")[2]: n for n in reversed(names)} | {n: n for n in names}
    near = list(dict.fromkeys(tails[m] for m in difflib.get_close_matches(name, tails, n=3, cutoff=0.6)))
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are: {', '.join(names)}"
