"""The settings of a run: one frozen tree, edited by name, written as JSON, compared row by row."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from skelbench.errors import ConfigError
from skelbench.methods.base import Method
from skelbench.train.tree import build, leaves, plain, replaced, resolve

_OWN: dict[str, type[Method]] = {}


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a method is trained.

    Attributes:
        epochs: passes over the training clips.
        batch: N, clips a step; an incomplete last batch is dropped.
        optimiser: ``sgd``, as in most of the papers, or ``adam``.
        lr: learning rate before any drop.
        momentum: of SGD, beta 1 of Adam (not of the key encoder).
        nesterov: SGD looks ahead along its momentum.
        weight_decay: of the optimiser, on every parameter.
        warmup: epochs over which the learning rate rises in equal steps to ``lr``.
        drops: epochs, counted from 0, from which on the learning rate is a tenth of what it was.
        cosine: the learning rate falls step by step along half a cosine, to 0 after the last step.
        patience: epochs that the loss on validation may go without falling before the learning rate is halved; 0 never.
        select: end with the weights of the epoch that was best on validation, not those of the last.
        seed: every random draw follows from it.
        precision: ``bf16`` runs the forward pass in bfloat16 where the device has it.
        device: ``auto`` takes the GPU where there is one.
        threads: CPU threads; 0 leaves it to torch. A run keeps the number it began with: sums come out differently with another.
        normalise: preset of ``skelbench.skeleton.normalise`` the clips go through.
        refit: train on the validation subjects too (the last run before a test result); the probe then has no accuracy to tell.
        probe_every: epochs between two probes; 0 never.
        probe_clips: most clips a probe takes from the training set, and half of it from validation; 0 all.
        meter_every: steps between two readings of the collapse meters; 0 never.
        save_every: epochs between two checkpoints; 0 at the end only.
        save_steps: steps between two checkpoints, besides; 0 none.
        keep: checkpoints kept, the newest ones; 0 all.
    """

    epochs: int = 60
    batch: int = 64
    optimiser: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    warmup: int = 0
    drops: tuple[int, ...] = ()
    cosine: bool = False
    patience: int = 0
    select: bool = False
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "auto"
    threads: int = 0
    normalise: str = "isc"
    refit: bool = False
    probe_every: int = 5
    probe_clips: int = 2000
    meter_every: int = 10
    save_every: int = 1
    save_steps: int = 0
    keep: int = 2

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 2, "at least 2 (BatchNorm and the contrast need company)"),
            "lr": (self.lr > 0, "above 0"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "drops": (list(self.drops) == sorted(set(self.drops)) and all(d > 0 for d in self.drops), "rising epochs above 0"),
            "seed": (0 <= self.seed < 2**63, "0 or more"),
            "optimiser": (self.optimiser in ("sgd", "adam"), "'sgd' or 'adam'"),
            "nesterov": (not self.nesterov or (self.optimiser == "sgd" and self.momentum > 0), "False, or SGD with momentum"),
        }
        for name in (
            "warmup",
            "patience",
            "threads",
            "probe_every",
            "probe_clips",
            "meter_every",
            "save_every",
            "save_steps",
            "keep",
        ):
            rules[name] = (getattr(self, name) >= 0, "0 or more")
        for name, (fits, wanted) in rules.items():
            if not fits:
                raise ConfigError(f"train.{name} = {getattr(self, name)}: wanted {wanted}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides how a run goes.

    Attributes:
        method: name of the method.
        data: name or path of the store.
        split: name of the split (``skelbench.data.splits``).
        preset: where the settings came from.
        method_config: the method's own ``Config``.
        train: how it is trained.
    """

    method: str
    data: str
    split: str = "cross_subject"
    preset: str = "custom"
    method_config: Any
    train: Train = field(default_factory=Train)

    def edit(self, changes: Mapping[str, Any] | None = None, /, **flat: Any) -> RunConfig:
        """The same settings but for these, each given by its name wherever it stands in the tree.

        ``config.edit(lr=0.1, hidden=64)``; where a name stands twice, say which: ``config.edit({"train.momentum": 0.8})``.

        Raises:
            ConfigError: unknown or ambiguous name, or a value out of range.
        """
        wanted = {resolve(self, name): value for name, value in {**(changes or {}), **flat}.items()}
        for fixed in ("method", "preset"):
            if fixed in wanted and wanted[fixed] != getattr(self, fixed):
                raise ConfigError(f"{fixed!r} cannot be edited: take presets(method, preset) and edit that")
        return replaced(self, wanted)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return plain(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, table: Any, *, method: type[Method] | None = None) -> RunConfig:
        """Read the JSON form. ``method`` is needed for a method of one's own that no ``start`` in this process has seen.

        Raises:
            ConfigError: unknown keys, values of the wrong kind, unknown method.
        """
        if not isinstance(table, Mapping) or not {"method", "data", "method_config"} <= set(table):
            raise ConfigError("a run's settings are one JSON object with at least 'method', 'data' and 'method_config'")
        found = method_class(method if method is not None else table["method"])
        if found.name != table["method"]:
            raise ConfigError(f"these settings are for method {table['method']!r}, not {found.name!r}")
        own = build(found.Config, table["method_config"], "method_config.")
        return build(cls, {**table, "method_config": own})

    @classmethod
    def from_json(cls, text: str, *, method: type[Method] | None = None) -> RunConfig:
        """``from_dict`` of JSON text; ConfigError names the line where it is no JSON."""
        try:
            table = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"line {error.lineno}: not valid JSON ({error.msg})") from error
        return cls.from_dict(table, method=method)

    def hash(self) -> str:
        """Twelve hex digits that change with any setting."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def _repr_html_(self) -> str:
        head = f"<b>{html.escape(self.method)}</b> on {html.escape(self.data)}, split {html.escape(self.split)}"
        rows = [
            f"<tr><th colspan=2 style='text-align:left'>{head}, preset {html.escape(self.preset)} &middot; {self.hash()}</th></tr>"
        ]
        for path, value in leaves(self).items():
            if "." in path:
                cells = (html.escape(path), html.escape(repr(value)))
                rows.append(
                    "<tr><td style='text-align:left'>{}</td><td style='text-align:left'><code>{}</code></td></tr>".format(*cells)
                )
        return f"<table>{''.join(rows)}</table>"


class Difference(NamedTuple):
    """One setting that two configs do not share; a value is None where a config lacks the setting."""

    name: str
    a: Any
    b: Any


def diff(a: RunConfig, b: RunConfig) -> list[Difference]:
    """Settings in which two runs differ, in the order they stand in the tree."""
    left, right = leaves(a), leaves(b)
    names = [*left, *(n for n in right if n not in left)]
    return [Difference(n, left.get(n), right.get(n)) for n in names if n not in left or n not in right or left[n] != right[n]]


def known_method(name: str) -> bool:
    """Whether a name stands for a method in this process."""
    from skelbench import methods

    return name in methods.METHODS or name in _OWN


def method_class(method: str | type[Method]) -> type[Method]:
    """The class behind a name; a class of one's own is remembered under its ``name`` for this process.

    Raises:
        ConfigError: no such method.
    """
    if isinstance(method, str):
        from skelbench import methods

        return _OWN[method] if method in _OWN and method not in methods.METHODS else methods.method(method)
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise ConfigError(f"a method is a name or a subclass of skelbench.methods.base.Method, got {method!r}")
    from skelbench import methods

    if method.name in methods.METHODS and methods.method(method.name) is not method:
        raise ConfigError(
            f"{method.__qualname__}: the name {method.name!r} is taken by a built-in method; give your class its own `name`"
        )
    _OWN[method.name] = method
    return method
