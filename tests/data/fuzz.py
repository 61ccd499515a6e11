"""Damaged datasets against every reader: each is imported whole, or refused with one of our errors; nothing else may happen.

    python tests/data/fuzz.py                            100 000 inputs over all formats
    python tests/data/fuzz.py --formats pyskl --inputs 3000 --seed 7
    python tests/data/fuzz.py --formats pyskl --seed 7 --only 1234       one input again, with its traceback; --keep FOLDER saves it

An input is a small valid dataset (``write_sample`` of ``samples_<format>.py``, read with the ``OPTIONS`` of that module if it has
any) with one change (``fuzz_mutations``), and is decided by format, seed and number alone. It is read clip by clip, in two of five
cases into a dataset, at times recognised and described first, in one process under limits on time (CPU seconds) and memory. What
counts as a finding: any exception but DataError and ConfigError, a message that is empty, of several lines or endless, a time-out,
memory run out, a crash, something left behind in the data home or the folder of temporary files, a hostile pickle that got its way.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import typing
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import fuzz_mutations as mutations

from skelbench.data import describe, import_data
from skelbench.data.formats import FORMATS, fitting, open_source
from skelbench.data.rules import compact
from skelbench.data.writing import FrameWriter
from skelbench.errors import ConfigError, DataError

HERE = Path(__file__).parent
VARIANTS = 4  # different samples of a format
SECONDS = 10.0  # of CPU time an input may take; most take milliseconds
MEMORY = 1 << 30  # bytes an input may take beyond what the process has
LONGEST = 4000  # characters of a message
HARM = Path("/tmp/skelbench-fuzz-was-here")


class Overtime(BaseException):
    """Not an Exception, so that no reader can catch it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One input that did something else."""

    format: str
    seed: int
    number: int
    change: str
    what: str
    trace: str = ""


@dataclass(kw_only=True)
class Tally:
    """What became of the inputs of one format; ``seconds`` of CPU time."""

    format: str
    inputs: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)


def samples() -> dict[str, Any]:
    """Format -> the module that writes a sample of it, for every format that has one."""
    names = sorted(p.stem for p in HERE.glob("samples_*.py"))
    modules = {n.removeprefix("samples_"): importlib.import_module(n) for n in names}
    return {n: m for n, m in modules.items() if n in FORMATS}


@contextmanager
def limits(memory: int) -> Iterator[None]:
    """Bound the memory of this process while the block runs; an input that takes too long meets Overtime."""

    def late(*_: Any) -> None:
        raise Overtime

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Place:
    """Where a format is fuzzed: its samples, the one that is damaged, an empty data home and an empty folder of temporary files."""

    def __init__(self, root: Path, format: str, seed: int) -> None:
        self.format, self.seed, self.root = format, seed, root
        self.home, self.temporary, self.work = root / "home", root / "temporary", root / "work"
        self.home.mkdir()
        self.temporary.mkdir()
        module = samples()[format]
        self.options: dict[str, Any] = getattr(module, "OPTIONS", {})
        self.samples: list[tuple[dict[str, bytes], str]] = []
        for variant in range(VARIANTS):
            folder = root / "sample"
            target = module.write_sample(folder, np.random.default_rng([seed, variant]))
            files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
            self.samples.append((files, target.relative_to(folder).as_posix()))
            shutil.rmtree(folder)
        self.written = -1

    def damaged(self, number: int) -> tuple[Path, str, np.random.Generator]:
        """Input ``number``: its path, what was done to it, and the generator for what follows."""
        rng = np.random.default_rng([self.seed, 1 + number])
        variant = int(rng.integers(VARIANTS))
        files, target = self.samples[variant]
        self._restore(variant)
        if rng.random() < 0.08:
            change = mutations.folder(self.work, rng)
            self.written = -1
        else:
            name = list(files)[int(rng.integers(len(files)))]
            kinds = mutations.for_file(name, files[name])
            change_it = kinds[int(rng.integers(len(kinds)))]
            change = f"{change_it.__name__} of {name}"
            (self.work / name).write_bytes(change_it(files[name], rng))
            self.dirty = name
        return self.work / target, f"sample {variant}, {change}", rng

    def _restore(self, variant: int) -> None:
        if variant == self.written:
            (self.work / self.dirty).write_bytes(self.samples[variant][0][self.dirty])
            return
        shutil.rmtree(self.work, ignore_errors=True)
        for name, content in self.samples[variant][0].items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_bytes(content)
        self.written = variant

    def left_behind(self) -> list[str]:
        """What stands in the data home and the folder of temporary files; both are emptied."""
        left = [*self.home.iterdir(), *self.temporary.iterdir()]
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return [p.name for p in left]


def options(format: str, rng: np.random.Generator) -> dict[str, Any]:
    """At times an option of the reader that takes one of a few words."""
    if rng.random() > 0.2:
        return {}
    read = FORMATS[format].read
    kinds = {k: v for k, v in typing.get_type_hints(read).items() if k in inspect.signature(read).parameters}
    words = {k: list(typing.get_args(v)) for k, v in kinds.items() if typing.get_origin(v) is typing.Literal}
    words |= {k: [True, False] for k, v in kinds.items() if v is bool}
    if not words:
        return {}
    name = mutations.pick(rng, sorted(words))
    return {name: mutations.pick(rng, words[name])}


def walk(path: Path, name: str, *, progress: bool, **more: Any) -> None:
    """What an import does, without the disk."""
    with open_source(path, **more) as source:
        writer = FrameWriter(io.BytesIO(), classes=len(source.classes), bodies=source.bodies)
        for clip in source.clips:
            writer.append(clip)
        writer.finish(name)
        columns, _ = writer.table()
        compact(source.splits, list(writer.ids), taken=list(columns), where=name)
        try:
            json.dumps({"provenance": source.provenance, "extra": source.extra}, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:  # as when a dataset is written
            raise DataError(f"{name}: cannot be written as JSON") from error


def attempt(place: Place, number: int, tally: Tally) -> None:
    """Feed one input to the readers and put down what happened."""
    path, change, rng = place.damaged(number)
    found: tuple[str, str] | None = None
    outcome = "refused"
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        if rng.random() < 0.1:
            fitting(path)
        if rng.random() < 0.15:
            describe(path)
        bring = import_data if rng.random() < 0.4 else walk
        bring(path, "input", format=place.format, progress=False, **place.options, **options(place.format, rng))
        outcome = "read"
    except (DataError, ConfigError) as error:
        words = str(error)
        if not words or "\n" in words or len(words) > LONGEST:
            found = (f"a message of {len(words)} characters, {words.count(chr(10))} line ends: {words[:200]!r}", "")
    except Overtime:
        found = (f"more than {SECONDS:g} s", traceback.format_exc())
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        found = (f"{type(error).__name__}: {str(error)[:200]}", traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    left = [n for n in place.left_behind() if not (outcome == "read" and n == "input")]
    if HARM.exists():
        HARM.unlink()
        found = ("a pickle ran what it wanted", "")
    if left and found is None:
        found = (f"left behind: {', '.join(left)}", "")
    tally.inputs += 1
    tally.read += outcome == "read"
    tally.refused += outcome == "refused" and found is None
    if found:
        what, trace = found
        tally.findings.append(
            Finding(format=place.format, seed=place.seed, number=number, change=change, what=what, trace=trace[-3000:])
        )


def fuzz(format: str, numbers: range, *, seed: int, memory: int = MEMORY, progress: Path | None = None) -> Tally:
    """Inputs of one format, in this process. ``progress`` is a file that says after each where we are, for whoever survives us."""
    tally, began = Tally(format=format), time.process_time()
    shared = Path("/dev/shm")
    where = shared if shared.is_dir() and os.access(shared, os.W_OK) else None
    before = {k: os.environ.get(k) for k in ("SKELBENCH_DATA",)}
    with tempfile.TemporaryDirectory(prefix="skelbench-fuzz-", dir=where) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = Place(Path(folder), format, seed)
        os.environ["SKELBENCH_DATA"] = str(place.home)
        kept, tempfile.tempdir = tempfile.tempdir, str(place.temporary)
        try:
            with limits(memory):
                for number in numbers:
                    if progress is not None:
                        progress.write_text(str(number))
                    attempt(place, number, tally)
        finally:
            tempfile.tempdir = kept
            for key, value in before.items():
                os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
    tally.seconds = time.process_time() - began
    return tally


def in_a_child(format: str, numbers: range, *, seed: int) -> Tally:
    """The same in processes of their own, so that a crash is a finding as well; a new one goes on behind the input that crashed."""
    whole = Tally(format=format)
    with tempfile.TemporaryDirectory(prefix="skelbench-fuzz-report-") as folder:
        report, progress = Path(folder, "report.json"), Path(folder, "progress")
        at = numbers.start
        while at < numbers.stop:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    part = fuzz(format, range(at, min(at + 2000, numbers.stop)), seed=seed, progress=progress)
                    report.write_text(json.dumps(asdict(part)))
                    code = 0
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            if status == 0:
                table = json.loads(report.read_text())
                part = Tally(**{**table, "findings": [Finding(**f) for f in table["findings"]]})
                at = min(at + 2000, numbers.stop)
            else:
                number = int(progress.read_text())
                how = f"the process ended with {'signal' if os.WIFSIGNALED(status) else 'code'} {status}"
                lost = Finding(format=format, seed=seed, number=number, change="?", what=how)
                part = Tally(format=format, inputs=number + 1 - at, findings=[lost])
                at = number + 1
            for key in ("inputs", "read", "refused", "seconds"):
                setattr(whole, key, getattr(whole, key) + getattr(part, key))
            whole.findings += part.findings
    return whole


def again(format: str, number: int, *, seed: int, keep: Path | None) -> int:
    """One input, with the whole traceback."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), format, seed)
        os.environ["SKELBENCH_DATA"] = str(place.home)
        path, change, rng = place.damaged(number)
        print(f"{format}, seed {seed}, input {number}: {change}")
        if keep is not None:
            shutil.copytree(place.work, keep, symlinks=True)
            print(f"kept in {keep}")
        rng.random(), rng.random(), rng.random()
        more = {**place.options, **options(format, rng)}
        print(f"recognised as {fitting(path)}; options {more}")
        try:
            print(describe(path))
            print(import_data(path, "input", format=format, progress=False, **more))
        except (DataError, ConfigError) as error:
            print(f"{type(error).__name__}: {error}")
    return 0


def main() -> int:
    """Run, print a table, and say by the exit code whether there is a finding."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--inputs", type=int, default=100_000, help="over all formats together")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--formats", nargs="*")
    words.add_argument("--only", type=int, help="one input again")
    words.add_argument("--keep", type=Path, help="with --only: save the damaged dataset there")
    words.add_argument("--report", type=Path, help="findings as JSON lines")
    given = words.parse_args()
    formats = given.formats or list(samples())
    without = sorted(set(FORMATS) - set(samples()))
    if without and not given.formats:
        print(f"no sample for: {', '.join(without)}")
    if given.only is not None:
        return again(formats[0], given.only, seed=given.seed, keep=given.keep)
    share, findings = -(-given.inputs // len(formats)), []
    print(f"{'format':<12} {'inputs':>8} {'read':>8} {'refused':>8} {'findings':>9} {'CPU s':>8} {'ms each':>8}", flush=True)
    for format in formats:
        done = in_a_child(format, range(share), seed=given.seed)
        findings += done.findings
        each = 1000 * done.seconds / max(1, done.inputs)
        counts = f"{done.inputs:>8} {done.read:>8} {done.refused:>8} {len(done.findings):>9}"
        print(f"{format:<12} {counts} {done.seconds:>8.1f} {each:>8.1f}", flush=True)
    kinds: dict[str, list[Finding]] = {}
    for found in findings:
        kinds.setdefault(f"{found.format}: {found.what[:90]}", []).append(found)
    for kind, same in kinds.items():
        print(f"\n{kind}\n  {len(same)} times, first input {same[0].number} ({same[0].change})\n{same[0].trace[-1200:]}")
    if given.report:
        given.report.write_text("".join(json.dumps(asdict(f)) + "\n" for f in findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
