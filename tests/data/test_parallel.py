"""Files through several processes: order, errors in their turn, few in flight, a killed process."""

import os
import signal
import time

import pytest

from skelbench.data.formats import parallel
from skelbench.data.formats.parallel import in_order, processes
from skelbench.errors import ConfigError, DataError


def double(n):
    time.sleep(0.002 * (n % 3))
    return 2 * n


def refuse(n):
    if n == 37:
        raise DataError("clip 37: bad")
    return n


def die(n):
    if n == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def where(n):
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 16, 100])
def test_order(workers, items):
    assert list(in_order(double, list(range(items)), workers=workers)) == [2 * n for n in range(items)]


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_in_their_turn(workers):
    got = []
    with pytest.raises(DataError, match="clip 37: bad"):
        for n in in_order(refuse, list(range(100)), workers=workers):
            got.append(n)
    assert got == list(range(37))


def test_a_killed_process():
    with pytest.raises(
        DataError, match="a process that reads files was killed, perhaps because memory ran out; try again with workers=1"
    ):
        list(in_order(die, list(range(100)), workers=2))


def test_few_are_in_flight(monkeypatch):
    asked = []

    class Counted(list):
        def __getitem__(self, at):
            asked.append(at.start)
            return list.__getitem__(self, at)

    submitted = []
    real = parallel.ProcessPoolExecutor.submit
    monkeypatch.setattr(parallel.ProcessPoolExecutor, "submit", lambda *a, **k: submitted.append(1) or real(*a, **k))
    results = in_order(double, Counted(range(5000)), workers=2)
    next(results)
    assert len(submitted) <= parallel.AHEAD * 2
    results.close()  # ends the processes, too
    assert len(submitted) <= parallel.AHEAD * 2


def test_other_processes_do_the_work():
    assert set(in_order(where, list(range(40)), workers=1)) == {os.getpid()}
    found = set(in_order(where, list(range(40)), workers=2))
    assert os.getpid() not in found and 1 <= len(found) <= 2


def test_how_many():
    assert processes(1, None) == 1 and processes(10, 3) == 3 and processes(parallel.WORTH, None) >= 1
    with pytest.raises(ConfigError, match="workers=0; wanted at least 1"):
        processes(10, 0)
