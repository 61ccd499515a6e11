"""Reader options written as words, ``persons=auto fps=25``, turned into what the reader's signature asks for."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skelbench.data.formats import FORMATS, reader_options
from skelbench.errors import ConfigError

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse_options(format: str, pairs: Sequence[str]) -> dict[str, Any]:
    """``["fps=25", "labels=labels.csv"]`` as keyword arguments of the reader of a format.

    ``none`` stands for None where the option may be None; a list is written with commas.

    Raises:
        ConfigError: not KEY=VALUE, an option the reader does not have, one that stands twice, or a value of another kind.
    """
    known = reader_options(format)
    kinds = typing.get_type_hints(FORMATS[format].read)
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, word = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise ConfigError(
                f"{pair!r}: wanted an option of the reader as KEY=VALUE; {format!r} has: {', '.join(known) or 'none'}"
            )
        if key not in known:
            raise ConfigError(f"the reader of {format!r} has no option {key!r}; it has: {', '.join(known) or 'none'}")
        if key in found:
            raise ConfigError(f"the option {key!r} is given twice: {found[key]!r} and {word!r}")
        found[key] = _value(word, kinds.get(key, str), key)
    return found


def option_words(format: str) -> dict[str, str]:
    """Option -> its default and the kinds of value it takes, for people: ``fps -> "30.0 (a number, or none)"``."""
    kinds = typing.get_type_hints(FORMATS[format].read)
    told = {}
    for name, parameter in reader_options(format).items():
        default = "required" if parameter.default is inspect.Parameter.empty else _word(parameter.default)
        told[name] = f"{default} ({_kind(kinds.get(name, str))})"
    return told


def _members(kind: Any) -> list[Any]:
    """The alternatives of a union, in the order in which a word is tried."""
    plain = list(typing.get_args(kind)) if typing.get_origin(kind) in (typing.Union, types.UnionType) else [kind]
    order = [types.NoneType, bool, int, float]
    return sorted(plain, key=lambda k: (order.index(k) if k in order else len(order), k is str or k is Path))


def _value(word: str, kind: Any, key: str) -> Any:
    for member in _members(kind):
        fits, value = _try(word, member, key)
        if fits:
            return value
    raise ConfigError(f"option {key}={word!r}: wanted {_kind(kind)}")


def _try(word: str, kind: Any, key: str) -> tuple[bool, Any]:
    """(does the word fit this kind, its value)."""
    origin = typing.get_origin(kind)
    if kind is types.NoneType:
        return word.lower() in ("none", ""), None
    if kind is bool:
        return word.lower() in WORDS, WORDS.get(word.lower())
    if kind in (int, float):
        try:
            return True, kind(word)
        except ValueError:
            return False, None
    if origin is typing.Literal:
        return next(((True, v) for v in typing.get_args(kind) if str(v) == word), (False, None))
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        inner = next((a for a in typing.get_args(kind) if a is not ...), str)
        values = [_value(w.strip(), inner, key) for w in word.split(",")]
        return True, values if origin is list else tuple(values)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return False, None
    return kind in (str, Path, Any), Path(word) if kind is Path else word


def _kind(kind: Any) -> str:
    names = {types.NoneType: "none", bool: "true or false", int: "a whole number", float: "a number", str: "a word", Path: "a path"}
    parts: list[str] = []
    for member in _members(kind):
        origin = typing.get_origin(member)
        if origin is typing.Literal:
            parts += [str(v) for v in typing.get_args(member)]
        elif origin is not None:
            parts.append("a list with commas")
        else:
            parts.append(names.get(member, "a value"))
    parts = list(dict.fromkeys(parts))
    parts = [p for p in parts if p != "none"] + [p for p in parts if p == "none"]
    return ", ".join(parts[:-1]) + f" or {parts[-1]}" if len(parts) > 1 else parts[0]


def _word(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
