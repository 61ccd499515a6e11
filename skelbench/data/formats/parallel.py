"""Many small files through one function, in several processes, in order, with few of them in memory at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from skelbench.errors import ConfigError, DataError

WORTH = 200  # items; with fewer, starting processes takes longer than it saves
BATCH = 16  # items handed to a process at a time
AHEAD = 3  # batches a process may be ahead of who takes the results

Item = TypeVar("Item")
Result = TypeVar("Result")


def processes(items: int, workers: int | None) -> int:
    """How many to start: ``workers``; where left out, one a core on Linux, where starting one is cheap, if there is enough to do.

    Raises:
        ConfigError: ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers={workers}; wanted at least 1, which reads in this process")
    if multiprocessing.current_process().daemon:
        return 1  # such a process may not start others
    cheap = sys.platform == "linux" and items >= WORTH
    return workers if workers is not None else len(os.sched_getaffinity(0)) if cheap else 1


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int | None = None
) -> Generator[Result, None, None]:
    """``function`` of every item, in their order.

    An error that the function raises is raised here when its item's turn comes.

    Args:
        function: must be importable by other processes, as must be what it gives back.
        items: what to work on.
        workers: processes; see :func:`processes`.

    Raises:
        DataError: a process was killed, e.g. because memory ran out.
    """
    count = processes(len(items), workers)
    if count == 1:
        yield from map(function, items)
        return
    batches = iter([items[at : at + BATCH] for at in range(0, len(items), BATCH)])
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_quiet)
    pending: deque[Future[list[Result | _Failed]]] = deque()
    try:
        while True:
            while len(pending) < AHEAD * count and (batch := next(batches, None)) is not None:
                pending.append(pool.submit(partial(_batch, function), batch))
            if not pending:
                break
            yield from _unwrapped(pending.popleft().result())
    except BrokenProcessPool as error:
        raise DataError(
            "a process that reads files was killed, perhaps because memory ran out; try again with workers=1"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Failed:
    """An error on its way to the process that asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _batch(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | _Failed]:
    """Results up to the first error, so that what comes before it is still handed over."""
    found: list[Result | _Failed] = []
    for item in items:
        try:
            found.append(function(item))
        except Exception as error:  # raised again by _unwrapped
            return [*found, _Failed(error)]
    return found


def _unwrapped(results: Sequence[Result | _Failed]) -> Iterator[Result]:
    for result in results:
        if isinstance(result, _Failed):
            raise result.error
        yield result


def _quiet() -> None:
    """Ctrl-C reaches every process of a terminal; the one that asked ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
