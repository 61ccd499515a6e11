"""Columns of the table while it grows: numbers, words, gaps."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.data.writing import Column
from skelbench.errors import DataError

VALUES = st.lists(st.one_of(st.none(), st.integers(-3, 12), st.sampled_from(["ann", "bo", "7", "007", "-1", "", "²"])), min_size=1)


def naive(values):
    """All at once: numbers where every word is one, else words numbered in order of appearance."""
    known = [-1 if v is None else v for v in values]
    if all(v.isdecimal() for v in known if isinstance(v, str)):
        return [int(v) for v in known], []
    words = list(dict.fromkeys(str(v) for v in known if v != -1))
    return [-1 if v == -1 else words.index(str(v)) for v in known], words


@given(VALUES)
def test_a_column_is_what_all_its_values_at_once_would_give(values):
    column = Column()
    for row, value in enumerate(values):
        if value is not None:
            column.put(row, value, "here")
    numbers, words = column.finish(len(values))
    assert (numbers.tolist(), words) == naive(values) and numbers.dtype == np.int64


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 10**40])
def test_a_number_too_large_to_keep(value):
    with pytest.raises(DataError, match=f"clip 'a', column 'setup': {value} is a larger number"):
        Column().put(0, value, "clip 'a', column 'setup'")


def test_a_number_takes_eight_bytes():
    tracemalloc.start()
    column = Column()
    for row in range(100_000):
        column.put(row, row, "")
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 100_000 * 10
