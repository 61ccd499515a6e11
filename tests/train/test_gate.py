"""Between two steps others come first; Ctrl-C waits for the step."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import pytest
import torch

from skelbench.train.gate import Gate, cpu_threads, whole_steps


def test_an_asker_gets_in_though_the_loop_never_rests() -> None:
    gate, stop, inside, turns = Gate(), threading.Event(), [], [0]

    def loop() -> None:
        while not stop.is_set():
            with gate.stepping():
                inside.append("step")
                time.sleep(0.0005)
                inside.append("end")
                turns[0] += 1

    worker = threading.Thread(target=loop)
    worker.start()
    while not turns[0]:
        time.sleep(0.001)
    waits = []
    for _ in range(20):
        before = turns[0]
        with gate.asking():
            waits.append(turns[0] - before)
            inside.append("asked")
            with gate.asking(), gate.if_free() as free:  # again on the same thread; but nobody is let in by the side door
                assert gate.mine and not free
    stop.set()
    worker.join()
    assert sorted(waits)[10] <= 2  # the step that was being made, and one that had just begun
    for before, after in itertools.pairwise(inside):
        assert (before, after) != ("step", "asked")  # never in the middle of a step
    with gate.if_free() as free:
        assert free
    assert not gate.mine


def test_the_side_door_is_shut_while_a_step_is_made() -> None:
    gate, found = Gate(), []

    def look() -> None:
        with gate.if_free() as free:
            found.append(free)

    with gate.stepping():
        other = threading.Thread(target=look)
        other.start()
        other.join()
    look()
    assert found == [False, True]


def test_ctrl_c_waits_for_the_end_of_a_step_and_a_second_one_does_not() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), whole_steps():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest of the step")
    assert done == ["the rest of the step"]
    with pytest.raises(KeyboardInterrupt), whole_steps():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        done.append("never")
    assert done == ["the rest of the step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # somebody else's handler is left alone
    with whole_steps():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, before)


def test_cpu_threads_are_set_on_the_thread_that_asks_and_put_back() -> None:
    seen = []

    def work() -> None:
        before = torch.get_num_threads()
        with cpu_threads(2):
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads() == before)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [2, True]
