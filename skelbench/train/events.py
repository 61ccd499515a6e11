"""What a run tells while it goes: one small frozen object an occasion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened.

    Attributes:
        step: optimiser steps made so far, this one included.
        epoch: epoch it belongs to, counted from 0.
    """

    step: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """One optimiser step was made.

    Attributes:
        loss: what was minimised.
        parts: named numbers that make up or explain the loss.
        meters: collapse meters of the batch, every ``train.meter_every`` steps, else empty (see ``skelbench.train.meters``).
        lr: learning rate it was made with.
        rows: rows of the batch's clips in the store.
        out: the method's named intermediates (``query``, ``positives`` ...). Only listeners and ``run.out`` see them: they are
            large, so the event an iteration yields carries none.
    """

    loss: float
    parts: Mapping[str, float] = field(default_factory=dict)
    meters: Mapping[str, float] = field(default_factory=dict)
    lr: float = 0.0
    rows: tuple[int, ...] = field(default=(), repr=False)
    out: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Probe(Event):
    """The representation was looked at, without training on the answer.

    Attributes:
        accuracy: share of validation clips (held-out *training* subjects, never the test set) whose nearest training clip has the
            same class; None where the split keeps no labelled validation clips.
        meters: collapse meters of those features.
        clips: (gallery, queries), how many clips were compared.
    """

    accuracy: float | None
    meters: Mapping[str, float] = field(default_factory=dict)
    clips: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class Epoch(Event):
    """An epoch ended. ``loss`` is the mean over its steps; ``held_out`` what validation said, where it decides something."""

    loss: float
    held_out: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint was written."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Status(Event):
    """The run changed hands: listeners hear it, an iteration does not yield it.

    Attributes:
        status: ``playing | paused | stopped | finished | failed``.
        error: what went wrong, where it failed.
    """

    status: str
    error: str = ""


def without_out(event: Event) -> Event:
    """The event as an iteration yields it: a list of a whole run's events must not hold every tensor the run ever made."""
    return replace(event, out={}) if isinstance(event, Step) else event
