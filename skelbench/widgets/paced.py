"""Messages to the browser at a bounded rate: the latest value wins and the last one is never lost.

A Jupyter server drops widget messages above 1000 a second without a word, and a slow page queues them up. Anything a widget sends
therefore goes out at most ``HERTZ`` times a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import anywidget

HERTZ = 30.0


class Pace:
    """Calls ``act`` at once, or at the end of the current pause of ``1 / hertz`` seconds; calls in between melt into that one.

    ``act`` reads the newest state itself, so nothing is queued. It may run on a timer thread; with ``later`` it always does, after
    a pause, so that whoever calls does not wait for it.
    """

    def __init__(self, act: Callable[[], None], *, hertz: float = HERTZ, later: bool = False) -> None:
        self._act, self._pause, self._later = act, 1 / hertz, later
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._free = 0.0

    def __call__(self) -> None:
        with self._lock:
            if self._timer is not None:
                return
            wait = self._pause if self._later else self._free - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._run)
                self._timer.daemon = True
                self._timer.start()
                return
            self._free = time.monotonic() + self._pause
        self._act()

    def _run(self) -> None:
        with self._lock:
            self._timer = None
            self._free = time.monotonic() + self._pause
        self._act()


class PacedWidget(anywidget.AnyWidget):
    """An anywidget whose traits reach the browser at most ``HERTZ`` times a second."""

    def __init__(self, **traits: object) -> None:
        self._due: set[str] = set()
        self._due_lock = threading.Lock()
        self._pace = Pace(self._flush)
        super().__init__(**traits)

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Note which traits are news (all of them: at once, that is how a page asks for a widget) and send them in time."""
        if key is None:
            super().send_state()
            return
        with self._due_lock:
            self._due |= {key} if isinstance(key, str) else set(key)
        self._pace()

    def _flush(self) -> None:
        with self._due_lock:
            due, self._due = self._due, set()
        if due and self.comm is not None:
            super().send_state(due)
