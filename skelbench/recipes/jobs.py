"""Pieces of work in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

J = TypeVar("J")


def in_processes(do: Callable[[J], None], jobs: Sequence[J], processes: int, *, done: Callable[[J], bool]) -> Iterator[J]:
    """Jobs as they become ready: those that are done already first, the others in processes of their own, some at a time."""
    waiting = [job for job in jobs if not done(job)]
    left = set(map(id, waiting))
    yield from (job for job in jobs if id(job) not in left)
    if not waiting:
        return
    with ProcessPoolExecutor(min(processes, len(waiting)), mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(do, job): job for job in waiting}
        try:
            for ended in as_completed(running):
                ended.result()
                yield running[ended]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
