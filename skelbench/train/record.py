"""The run folder: what a run writes down, so that it can be killed at any moment and lose nothing that was promised.

    config.json       the settings it began with
    metrics.jsonl     one line a step, one a probe; cut back to the checkpoint when a run resumes
    events.jsonl      what happened, with the time of day: start, play, pause, set, saved, resume, branch ...
    checkpoints/      see checkpoint.py

Times of day stand in ``events.jsonl`` only: all else comes out the same when a killed run is resumed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from skelbench.data.folders import sync
from skelbench.errors import RunError
from skelbench.train.checkpoint import Checkpoint, Checkpoints

try:
    import fcntl
except ImportError:  # Windows: two processes on one run folder are then not kept apart
    fcntl = None  # type: ignore[assignment]


def runs_home() -> Path:
    """Where runs live: ``$SKELBENCH_RUNS``, else ``./runs``."""
    return Path(os.environ.get("SKELBENCH_RUNS") or "runs")


class Record:
    """One run folder, open for reading and, while ``writing()``, for writing.

    Attributes:
        size: bytes of ``metrics.jsonl`` that this process knows of.
        checkpoints: the checkpoints in it.
    """

    def __init__(self, folder: Path, *, size: int = 0) -> None:
        self.folder, self.size = folder, size
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self._mutex = threading.Lock()
        self._writers = 0
        self._lock: IO[str] | None = None
        self._metrics: int | None = None

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def events_file(self) -> Path:
        return self.folder / "events.jsonl"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from writing here meanwhile. May be entered again.

        Raises:
            RunError: another process writes here, or wrote here since this one did.
        """
        with self._mutex:
            if not self._writers:
                self._open()
            self._writers += 1
        try:
            yield
        finally:
            with self._mutex:
                self._writers -= 1
                if not self._writers:
                    self._close()

    def _open(self) -> None:
        lock = take(self.folder)
        try:
            there = self.metrics_file.stat().st_size if self.metrics_file.exists() else -1
            if there != self.size:
                raise RunError(
                    f"{self.metrics_file} has {there} bytes, this run left {self.size}: it was continued or changed elsewhere. "
                    f"open_run({str(self.folder)!r}) takes it up from where it is now"
                )
            self._metrics = os.open(self.metrics_file, os.O_WRONLY | os.O_APPEND)
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def _close(self) -> None:
        assert self._metrics is not None and self._lock is not None  # _open made them
        os.close(self._metrics)
        self._lock.close()
        self._metrics = self._lock = None

    def write_metrics(self, table: Mapping[str, Any]) -> None:
        """One line, handed to the system when this returns; only while ``writing()``."""
        assert self._metrics is not None
        line = json.dumps(table, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            written = os.write(self._metrics, line)
        except OSError as error:
            raise RunError(f"{self.metrics_file} could not be written ({error.strerror})") from error
        if written != len(line):
            raise RunError(f"{self.metrics_file}: the disk is full; make room, then open_run({str(self.folder)!r})")
        self.size += len(line)

    def save(self, weights: Mapping[str, Any], tensors: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
        """A checkpoint that belongs to the metrics written so far; only while ``writing()``."""
        assert self._metrics is not None
        os.fsync(self._metrics)
        return self.checkpoints.save(weights, tensors, {**about, "metrics_bytes": self.size})

    def log(self, event: str, **about: Any) -> None:
        """One line of ``events.jsonl``, with the time."""
        line = json.dumps({"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **about}) + "\n"
        with self.events_file.open("ab") as file:
            file.write(line.encode())

    def events(self) -> list[dict[str, Any]]:
        """All events so far; a half line at the end (a killed writer) is left out.

        Raises:
            RunError: a line in the middle is damaged.
        """
        found = []
        lines = self.events_file.read_bytes().split(b"\n")[:-1] if self.events_file.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                table = json.loads(line)
                table["event"]
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(
                    f"{self.events_file}:{number}: this is no event ({error}); remove the line, or put the file back"
                ) from error
            found.append(table)
        return found

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, None where the run never wrote one. Raises RunError if all are bad or gone."""
        found = self.checkpoints.newest(self.log)
        saved = [e for e in self.events() if e["event"] == "saved"]
        if found is None and saved:
            raise RunError(
                f"{self.checkpoints.folder} is empty, but events.jsonl tells of one at step {saved[-1].get('step')}: put it "
                "back from a copy, or start a new run with the settings in config.json"
            )
        return found

    def clean(self) -> None:
        """Remove what a killed process left half written, and say so."""
        removed = self.checkpoints.clean()
        text = self.events_file.read_bytes() if self.events_file.exists() else b""
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.truncate(self.events_file, whole)
            removed.append("half a line of events.jsonl")
        if removed:
            self.log("cleaned", removed=removed)

    def rewind(self, to: int) -> int:
        """Cut ``metrics.jsonl`` back to its first ``to`` bytes; how many bytes that took away.

        A file that is gone is accepted (its rows are lost, an event says so); one that is too short is not.

        Raises:
            RunError: the file is shorter than that, or the cut would go through a line.
        """
        if not self.metrics_file.exists():
            self.checkpoints.rebase()
            self.metrics_file.touch()
            self.size = 0
            self.log("metrics lost", bytes=to)
            warnings.warn(f"{self.metrics_file} is gone; the run goes on without its earlier rows", RuntimeWarning, stacklevel=3)
            return 0
        there = self.metrics_file.stat().st_size
        with self.metrics_file.open("rb") as file:
            file.seek(max(to - 1, 0))
            whole = to == 0 or file.read(1) == b"\n"
        if there < to or not whole:
            raise RunError(
                f"{self.metrics_file} has {there} bytes and does not fit the checkpoint, written at byte {to}. Put the file "
                "back from a copy, or delete it to go on without the rows so far"
            )
        os.truncate(self.metrics_file, to)
        self.size = to
        return there - to


def create(folder: Path, config: str, *, metrics: bytes = b"") -> Record:
    """A new run folder; it appears whole or not at all.

    Raises:
        RunError: something is there already, or the disk refused it.
    """
    folder = folder.absolute()  # a notebook may change its working directory while the run lives
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is there already; open_run({str(folder)!r}) resumes a run, another folder= starts one")
    part = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        (part / "checkpoints").mkdir(parents=True)
        (part / "config.json").write_text(config, encoding="utf-8")
        (part / "metrics.jsonl").write_bytes(metrics)
        (part / "events.jsonl").touch()
        for path in (part / "config.json", part / "metrics.jsonl", part):
            sync(path)
        part.rename(folder)
    except OSError as error:
        if part.exists():
            shutil.rmtree(part)
        raise RunError(f"{folder} could not be made ({error.strerror or error})") from error
    return Record(folder, size=len(metrics))


def new_name(*parts: str) -> Path:
    """A folder in ``runs_home()`` that is free: the parts made safe, and the time."""
    words = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-.") for part in parts]
    stem = "-".join([*(w for w in words if w), datetime.now().strftime("%Y%m%d-%H%M%S")])
    names = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
    return next(runs_home() / name for name in names if not (runs_home() / name).exists())


def take(folder: Path, *, patience: float = 0.5) -> IO[str]:
    """The lock of a run folder, held until the file is closed; asks for ``patience`` seconds, others may only be looking.

    Raises:
        RunError: another process, or another Run of this one, holds it; or the folder cannot be written.
    """
    try:
        file = (folder / ".lock").open("a+")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}); copy it to where it can be") from error
    try:
        until = time.monotonic() + patience
        while not _locks(file):
            if time.monotonic() >= until:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                whose = "this process, through another Run" if holder == str(os.getpid()) else f"process {holder}"
                raise RunError(f"{folder} is being written by {whose}; pause it there first")
            time.sleep(0.02)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _locks(file: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network disks know no locks at all; the check of metrics.jsonl then has to do.
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True
