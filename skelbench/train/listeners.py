"""Listeners of a run: called on the thread that trains, at most as often as they ask."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from skelbench.train.events import Event, Step

Hear = Callable[[Event], object]


@dataclass(eq=False)
class _Listener:
    hear: Hear
    every: float
    heard: float = -math.inf
    held: Step | None = None


class Listeners:
    """Tells events on. Of steps that come faster than a listener asked for, the newest is kept and told when the run pauses."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._all: list[_Listener] = []
        self._failed = failed

    def add(self, hear: Hear, *, every: float) -> Callable[[], None]:
        """Start telling; the answer is a function that stops it."""
        one = _Listener(hear, every)
        self._all.append(one)

        def remove() -> None:
            if one in self._all:
                self._all.remove(one)

        return remove

    def tell(self, event: Event) -> None:
        """Every listener hears of it, or holds it back."""
        now = time.monotonic()
        for one in list(self._all):
            if isinstance(event, Step) and now - one.heard < one.every:
                one.held = event
                continue
            if isinstance(event, Step):
                one.heard, one.held = now, None
            self._call(one, event)

    def flush(self) -> None:
        """Tell what was held back."""
        for one in list(self._all):
            held, one.held = one.held, None
            if held is not None:
                self._call(one, held)

    def _call(self, one: _Listener, event: Event) -> None:
        """A listener that raises is dropped and reported: a broken picture must not end a night's training."""
        try:
            one.hear(event)
        except Exception:
            if one in self._all:
                self._all.remove(one)
            self._failed(traceback.format_exc(limit=-4))
