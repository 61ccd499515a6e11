"""A run: start it, watch it, pause it, step it, change it, branch it, kill it, resume it.

    run = start("halp", "playground:600", hardness=0.4)
    for event in run:               # train here ...
        ...
    run.play(); run.pause()         # ... or on a worker thread, with the notebook free
    run = open_run("runs/...")      # and after a crash, go on to exactly the same weights

What happens underneath is in driver.py; the loop itself, which is what to read first, in loop.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from tqdm import tqdm

from skelbench.data import Store, load
from skelbench.data.splits import Split
from skelbench.errors import ConfigError, RunError
from skelbench.methods.base import Method
from skelbench.train import summary
from skelbench.train.config import RunConfig
from skelbench.train.driver import Driver
from skelbench.train.events import Event, Probe, Step
from skelbench.train.listeners import Hear
from skelbench.train.metrics import Metrics
from skelbench.train.record import create, new_name
from skelbench.train.state import generator, prepare
from skelbench.train.tree import leaves, plain, resolve

Answer = TypeVar("Answer")
LIVE = frozenset("epochs lr momentum weight_decay drops probe_every probe_clips meter_every save_every save_steps keep".split())
EPOCH = ("data", "split", "train.batch", "train.seed", "train.normalise", "train.refit")  # what the batches of an epoch hang on


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs done.
        step: optimiser steps done.
        of: steps in all.
        rate: steps a second lately, 0 before the first.
        eta: seconds left at that rate, NaN before the first step.
    """

    epoch: int
    epochs: int
    step: int
    of: int
    rate: float
    eta: float


class Run(Driver):
    """A method being trained. Made by ``start`` and ``open_run``; iterate to train.

    Every control returns at once and only leaves a note that the loop reads between two steps (``save``, ``branch`` and
    ``between_steps`` wait for the present step, because they answer). One thread trains at a time.

    Attributes:
        error: what ended it, None while it is well.
        out: the method's intermediates of the newest step.
    """

    # what it is

    @property
    def method(self) -> Method:
        """The network being trained. While the run plays, look at it through ``between_steps``."""
        return self._state.method

    @property
    def store(self) -> Store:
        return self._state.store

    @property
    def split(self) -> Split:
        return self._state.split

    @property
    def config(self) -> RunConfig:
        """The settings in force, live edits included."""
        return self._state.config

    @property
    def folder(self) -> Path:
        return self._record.folder

    @property
    def metrics(self) -> Metrics:
        """Columns by name: ``run.metrics["loss"]``; ``run.metrics.probes["accuracy"]``."""
        return self._metrics

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened to this run, with the time (``events.jsonl``)."""
        return self._record.events()

    @property
    def status(self) -> str:
        """``ready | playing | paused | stopped | finished | failed``."""
        return self._status

    @property
    def progress(self) -> Progress:
        state = self._state
        left = (state.of - state.step) / self._rate if self._rate else float("nan")
        done = {"epoch": state.epoch, "step": state.step}
        return Progress(**done, epochs=state.config.train.epochs, of=state.of, rate=self._rate, eta=left)

    def __repr__(self) -> str:
        return summary.line(self)

    def _repr_html_(self) -> str:
        return summary.page(self)

    # training

    def __iter__(self) -> Iterator[Event]:
        """Train on this thread; the loop ends when the run is done or paused, and a new one goes on.

        Raises:
            RunError: it plays on another thread, it failed, or its folder was changed elsewhere.
        """
        return self._drive(None)

    def run(self, *, steps: int | None = None, progress: bool = True, place: int | None = None) -> Self:
        """Train on this thread to the end, or for so many steps, with a bar (on line ``place`` where there are several)."""
        how: dict[str, Any] = {"disable": not progress, "position": place, "unit": "step", "desc": self.config.method}
        with tqdm(total=self.progress.of, initial=self.progress.step, **how) as bar:
            for event in self._drive(steps):
                if isinstance(event, Step):
                    bar.update()
                    bar.set_postfix(epoch=event.epoch, loss=f"{event.loss:.3f}", refresh=False)
                elif isinstance(event, Probe) and event.accuracy is not None:
                    bar.set_description(f"{self.config.method} 1-NN {event.accuracy:.1%}")
        return self

    def step(self) -> Step | None:
        """One optimiser step, on this thread; a playing run is paused first. None where the run is done."""
        self._not_from_inside("step")
        if self._worker is not None:
            self.pause()
            self._worker.join()
        made = [event for event in self._drive(1) if isinstance(event, Step)]
        return made[0] if made else None

    def play(self) -> Self:
        """Train on a worker thread and return at once.

        ``wait()`` waits for it; an error shows in the repr and is raised there. A process that ends meanwhile stops it and saves.
        """
        self._refuse_failed()
        before = self._worker
        if before is not None and before.is_alive() and not self._pausing.is_set():
            return self
        if self._driver.locked() and (before is None or not before.is_alive()):
            raise RunError("a loop on another cell or thread is training this run; end it, then play()")
        self._pausing.clear()
        self._stopping.clear()
        self._begin_work()
        return self

    def pause(self) -> Self:
        """Stop after the present step. Returns at once; ``wait()`` waits until it has."""
        self._pausing.set()
        return self

    def stop(self) -> Self:
        """Stop after the present step and write a checkpoint."""
        self._stopping.set()
        self._pausing.set()
        if not self._driver.locked():
            self._refuse_failed()
            self._stop()
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the worker thread ends: done, paused, stopped or failed.

        Raises:
            Exception: what the worker failed with.
            TimeoutError: it still plays after ``timeout`` seconds.
        """
        self._not_from_inside("wait")
        if self._worker is not None:
            self._worker.join(timeout)
            if self._worker.is_alive():
                raise TimeoutError(f"the run still plays after {timeout:g} s: {self!r}")
        if self.error is not None:
            raise self.error
        return self

    # changing it

    def set(self, changes: Mapping[str, Any] | None = None, /, **flat: Any) -> Self:
        """Change settings of a running method, from the next step on: ``run.set(hardness=0.5, lr=0.01)``. Returns at once.

        The change is recorded with its step, and a resumed run repeats it there.

        Raises:
            ConfigError: unknown name, value out of range, or a setting that is built into the method (``branch`` may take it).
        """
        wanted = {resolve(self.config, name): value for name, value in {**(changes or {}), **flat}.items()}
        for path in wanted:
            group, _, rest = path.partition(".")
            allowed = {"train": LIVE, "method_config": self.method.live}.get(group, frozenset())
            if rest.partition(".")[0] not in allowed:
                raise ConfigError(
                    f"{path} is built into a run and cannot change while it goes; run.branch({rest or path}=...) starts another "
                    f"run from here. Live settings: {', '.join(sorted(LIVE | self.method.live))}"
                )
        self._refuse_failed()
        self.config.edit(wanted)
        self._edits.append(wanted)
        self._settle()
        return self

    def save(self) -> Path:
        """Write a checkpoint of this moment, where there is none; its folder."""
        self._refuse_failed()
        with self._gate.asking():
            return self._save()

    def branch(self, changes: Mapping[str, Any] | None = None, /, *, folder: str | Path | None = None, **edits: Any) -> Run:
        """Another run, in a folder of its own, that goes on from this moment with other settings.

        It carries the history of this one in its metrics. With another batch size, seed, split or data it begins the present epoch
        anew.

        Raises:
            ConfigError: a setting that the trained tensors do not fit, or one out of range.
        """
        self._refuse_failed()
        with self._gate.asking():
            state = self._state
            config = state.config.edit(changes, **edits)
            other = prepare(config, state.store if config.data == state.config.data else load(config.data))
            weights, tensors, counters = state.snapshot()
            old, new = leaves(state.config), leaves(config)
            if any(old[name] != new[name] for name in EPOCH):
                counters |= {"batch": 0, "loss_sum": 0.0}
            try:
                other.restore(weights, tensors, {**counters, "sets": 0})
            except RunError as error:
                raise ConfigError(
                    f"a branch starts from the trained tensors, and with these settings they do not fit: {error}"
                ) from error
            if config.train.seed != state.config.train.seed:
                other.draws = generator(config.train.seed, f"draws from step {state.step}")
            metrics = self._record.metrics_file.read_bytes()[: self._record.size]
            threads = config.train.threads or self._threads
        target = Path(folder) if folder else new_name(config.method, state.store.meta.name, "branch")
        record = create(target, config.to_json(), metrics=metrics)
        changed = {path: plain(new[path]) for path in new if old.get(path, ...) != new[path]}
        about = {"step": other.step, "changes": changed, "threads": threads, "fingerprint": other.store.fingerprint}
        record.log("branch", parent=str(self.folder.resolve()), **about)
        run = Run(other, record, Metrics(), threads=threads)
        run._metrics.read(record.metrics_file)
        run.save()
        self._record.log("branched", step=other.step, into=str(record.folder))
        return run

    def between_steps(self, ask: Callable[[Method], Answer]) -> Answer:
        """``ask(method)``, while no step is being made; the answer. For pictures of a run that plays: features, explanations."""
        with self._gate.asking():
            return ask(self.method)

    def listen(self, hear: Hear, *, every: float = 0.0) -> Callable[[], None]:
        """Call ``hear(event)`` on the training thread, for steps at most every so many seconds; returns a function that ends it.

        Listeners see ``Step.out`` and ``Status``. One that raises is dropped, with a warning and an event.
        """
        return self._listeners.add(hear, every=every)
