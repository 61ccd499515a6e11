"""What carries a run: one thread at a time makes steps, and between two of them edits, checkpoints and questions get their turn."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from skelbench.errors import RunError
from skelbench.train.events import Epoch, Event, Probe, Saved, Status, Step, without_out
from skelbench.train.gate import Gate, cpu_threads, whole_steps
from skelbench.train.listeners import Listeners
from skelbench.train.loop import steps
from skelbench.train.metrics import Metrics, table_of
from skelbench.train.record import Record
from skelbench.train.state import State
from skelbench.train.tree import plain

_playing: weakref.WeakSet[Driver] = weakref.WeakSet()
VERBS = {"playing": "play", "paused": "pause", "stopped": "stop"}


class Driver:
    """The machinery below ``Run``: it drives the loop, records what it tells, and keeps the folder true.

    Attributes:
        error: what ended the run, None while it is well.
        out: the method's intermediates of the newest step.
    """

    def __init__(
        self,
        state: State,
        record: Record,
        metrics: Metrics,
        *,
        threads: int,
        replay: Sequence[dict[str, Any]] = (),
        saved: Path | None = None,
    ) -> None:
        """``threads``: CPU threads for every step. ``replay``: live edits of an earlier life, to be made again at their steps.

        ``saved``: the checkpoint this very state was read from.
        """
        self._state, self._record, self._metrics, self._threads = state, record, metrics, threads
        self._replay = deque(replay)
        self._events, self._between = steps(state), True
        self._gate, self._driver = Gate(), threading.Lock()
        self._pausing, self._stopping = threading.Event(), threading.Event()
        self._edits: deque[dict[str, Any]] = deque()
        self._worker: threading.Thread | None = None
        self._listeners = Listeners(self._listener_failed)
        self._rate, self._epoch_seconds = 0.0, 0.0
        self._saved = (state.counters(), saved) if saved else None
        self.error: BaseException | None = None
        self.out: Mapping[str, Any] = {}
        self._status = "finished" if self.finished else "ready"

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self._state.epoch >= self._state.config.train.epochs

    def _begin_work(self) -> None:
        self._worker = threading.Thread(
            target=self._work, args=(self._worker,), name=f"run {self._record.folder.name}", daemon=True
        )
        _playing.add(self)
        self._worker.start()

    def _work(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            for _ in self._drive(None, fresh=False):  # play() cleared the pause; one pressed since then counts
                pass
        except Exception as error:  # raised by wait(), shown in the repr
            self.error, self._status = error, "failed"

    def _drive(self, limit: int | None, *, fresh: bool = True) -> Iterator[Event]:
        """Advance until done, paused, or ``limit`` steps (and what ends their epoch) are made. ``fresh``: forget a pause before."""
        with self._driving():
            if fresh:
                self._pausing.clear()
            while not (self.finished or self._pausing.is_set()):
                for event in self._advance():
                    yield event
                    limit = limit - 1 if limit is not None and isinstance(event, Step) else limit
                if limit is not None and limit <= 0 and self._state.batch < self._state.per_epoch:
                    break
            if self.finished:
                with self._gate.asking():
                    self._save()

    @contextlib.contextmanager
    def _driving(self) -> Iterator[None]:
        """This thread trains: nobody else does, in this process or another."""
        self._refuse_failed()
        if self._gate.mine:
            raise RunError("a listener (or a question put through between_steps) cannot train the run it looks at")
        if not self._driver.acquire(blocking=False):
            raise RunError("this run is being trained by another thread or an open loop; pause() it first")
        try:
            with self._record.writing():
                self._events, self._between = steps(self._state), True
                self._change_status("playing")
                try:
                    yield
                except BaseException as error:
                    if not (self._between and isinstance(error, GeneratorExit | KeyboardInterrupt)):
                        self.error = error
                    raise
                finally:
                    with self._gate.asking():
                        self._listeners.flush()
                        self._change_status("failed" if self.error else "finished" if self.finished else "paused")
        finally:
            self._driver.release()
            if self.error is None:
                self._settle()
                if self._stopping.is_set():
                    self._stop()

    def _stop(self) -> None:
        """Stop a run that nobody drives: a checkpoint, and the status says so."""
        with self._gate.asking():
            self._save()
            self._stopping.clear()
            self._change_status("finished" if self.finished else "stopped")

    def _advance(self) -> list[Event]:
        """What the loop does next, recorded and told."""
        self._settle()
        with self._gate.stepping(), whole_steps(), cpu_threads(self._threads):
            self._between = False
            self._repeat()
            began = time.perf_counter()
            event = next(self._events)
            self._clock(event, time.perf_counter() - began)
            if isinstance(event, Step | Probe):
                table = table_of(event)
                self._record.write_metrics(table)
                self._metrics.line(table)
            self.out = event.out if isinstance(event, Step) else self.out
            self._listeners.tell(event)
            told = [without_out(event)]
            if self._due(event):
                told.append(Saved(step=event.step, epoch=event.epoch, path=self._save()))
            self._between = True
            return told

    def _clock(self, event: Event, seconds: float) -> None:
        self._epoch_seconds += seconds
        if isinstance(event, Step):
            now = 1 / max(seconds, 1e-9)
            self._rate = 0.9 * self._rate + 0.1 * now if self._rate else now
        if isinstance(event, Epoch):
            self._record.log("epoch", step=event.step, epoch=event.epoch, loss=event.loss, seconds=round(self._epoch_seconds, 3))
            self._epoch_seconds = 0.0

    def _due(self, event: Event) -> bool:
        train = self._state.config.train
        if isinstance(event, Epoch):
            return bool(train.save_every) and (event.epoch + 1) % train.save_every == 0
        return isinstance(event, Step) and bool(train.save_steps) and event.step % train.save_steps == 0

    def _save(self) -> Path:
        """Checkpoint, prune, log, tell; the gate is ours. Where this very moment is saved already, nothing."""
        state = self._state
        weights, tensors, counters = state.snapshot()
        if self._saved is not None and self._saved[0] == counters and self._saved[1].is_dir():
            return self._saved[1]
        with self._record.writing():
            path = self._record.save(weights, tensors, self._about(counters))
            self._record.checkpoints.prune(state.config.train.keep)
            self._record.log("saved", step=state.step, name=path.name)
        self._saved = counters, path
        self._listeners.tell(Saved(step=state.step, epoch=state.epoch, path=path))
        return path

    def _about(self, counters: dict[str, Any]) -> dict[str, Any]:
        state, cls = self._state, type(self._state.method)
        return {
            "method": f"{cls.__module__}:{cls.__qualname__}",
            "topology": state.store.topology.name,
            "joints": state.store.topology.V,
            "fingerprint": state.store.fingerprint,
            "threads": self._threads,
            "torch": str(torch.__version__),
            "counters": counters,
            "config": state.config.to_dict(),
        }

    def _settle(self) -> None:
        """Apply the edits that wait, unless a step is being made: then the loop does it after."""
        while self._edits:
            with self._gate.if_free() as free:
                if not free:
                    return
                with self._record.writing():
                    while self._edits:
                        self._apply(self._edits.popleft())

    def _apply(self, changes: dict[str, Any]) -> None:
        if self._replay:  # the user takes another turn than the one that was to be repeated
            self._record.log("rewind", sets=self._state.sets)
            self._replay.clear()
        self._take(changes)
        self._record.log("set", step=self._state.step, changes={path: plain(value) for path, value in changes.items()})

    def _take(self, changes: Mapping[str, Any]) -> None:
        state = self._state
        state.config = state.config.edit(changes)
        state.method.config = state.config.method_config
        state.sets += 1
        if self._status in ("finished", "paused"):
            self._status = "finished" if self.finished else "paused"

    def _repeat(self) -> None:
        """Changes that were made after the checkpoint this run resumed from, at the steps they were made."""
        while self._replay and self._replay[0]["step"] <= self._state.step:
            self._take(self._replay.popleft()["changes"])

    def _change_status(self, status: str) -> None:
        self._status = status
        error = {"error": f"{type(self.error).__name__}: {self.error}"} if self.error is not None else {}
        verb = VERBS.get(status, status)
        self._record.log(verb, step=self._state.step, **error)
        self._listeners.tell(Status(step=self._state.step, epoch=self._state.epoch, status=status, **error))

    def _listener_failed(self, trace: str) -> None:
        self._record.log("listener failed", step=self._state.step, trace=trace)
        warnings.warn(f"a listener of {self._record.folder.name} failed and was dropped:\n{trace}", RuntimeWarning, stacklevel=2)

    def _refuse_failed(self) -> None:
        if self.error is not None:
            raise RunError(
                f"this run failed ({self.error}); open_run({str(self._record.folder)!r}) goes on from its last checkpoint"
            ) from self.error

    def _not_from_inside(self, verb: str) -> None:
        if threading.current_thread() is self._worker:
            raise RunError(
                f"{verb}() from a listener would wait for itself; listeners may call pause(), stop(), set(), save() and branch()"
            )


@atexit.register
def _stop_all() -> None:
    """A process that ends while runs play stops them first: each saves, and its thread is not torn down inside a step."""
    for run in list(_playing):
        run._stopping.set()
        run._pausing.set()
        if run._worker is not None:
            run._worker.join(60)
