"""The instructions of the pickle language, carried out on checked values; see :mod:`skelbench.data.formats.unpickle`."""

from __future__ import annotations

import codecs
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from skelbench.data.formats.pickle_machine import Machine
from skelbench.data.formats.pickle_values import (
    MAKERS,
    NAMES,
    Name,
    NotPlain,
    PendingArray,
    PendingType,
    check_keys,
    finish_array,
    finish_dtype,
)

SHORT = 256  # bytes above this length stay in the file
NUMBER = 4096  # characters, or bytes, of one whole number
LINE = 1 << 40  # characters of a line of text
TABLES = (dict, OrderedDict)


Step = Callable[[Machine], None]


def _push(value: Any) -> Step:
    return lambda m: m.stack.append(value)


def _new(make: Callable[[], Any], size: int) -> Step:
    def step(m: Machine) -> None:
        m.spend(size)
        m.stack.append(make())

    return step


def _unpacked(form: str) -> Step:
    read, size = struct.Struct(form), struct.calcsize(form)

    def step(m: Machine) -> None:
        m.stack.append(read.unpack_from(m.view, m.at)[0])
        m.at += size

    return step


def _text(size: int) -> Step:
    return lambda m: m.stack.append(str(m.take(m.number(size)), "utf-8"))


def _binary(size: int, *, old: bool = False) -> Step:
    """Bytes; ``old``: text of Python 2, which is short, or bytes of an array."""

    def step(m: Machine) -> None:
        found = m.take(m.number(size))
        m.stack.append(found if len(found) > SHORT else str(found, "latin-1") if old else bytes(found))

    return step


def _old_text(m: Machine) -> None:
    line = m.line(LINE)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("text without quotes")
    found = codecs.escape_decode(line[1:-1])[0]
    m.stack.append(str(found, "latin-1") if len(found) <= SHORT else found)


def _line_text(m: Machine) -> None:
    text = str(m.line(LINE), "raw-unicode-escape")
    text.encode()  # refuses half of a surrogate pair
    m.stack.append(text)


def _int(m: Machine) -> None:
    line = m.line(NUMBER)
    m.stack.append(line == b"01" if line in (b"00", b"01") else int(line))


def _long(m: Machine) -> None:
    m.stack.append(int(m.line(NUMBER).removesuffix(b"L")))


def _binary_long(size: int) -> Step:
    def step(m: Machine) -> None:
        length = m.number(size)
        if length > NUMBER:
            raise NotPlain(f"a whole number of {length} bytes")
        m.stack.append(int.from_bytes(m.take(length), "little", signed=True))

    return step


def _tuple(size: int) -> Step:
    def step(m: Machine) -> None:
        m.spend(64)
        items = m.stack[-size:]
        if len(items) < size:
            raise IndexError
        m.stack[-size:] = [tuple(items)]

    return step


def _of_marked(make: Callable[[list[Any]], Any]) -> Step:
    def step(m: Machine) -> None:
        items = m.marked()
        m.spend(64 + 8 * len(items))
        m.stack.append(make(items))

    return step


def _dict_of(items: list[Any]) -> dict[Any, Any]:
    check_keys(items[::2])
    return dict(zip(items[::2], items[1::2], strict=True))


def _frozen_of(items: list[Any]) -> frozenset[Any]:
    check_keys(items)
    return frozenset(items)


def _mark(m: Machine) -> None:
    m.spend(64)
    m.below.append(m.stack)
    m.stack = []


def _append(m: Machine) -> None:
    value = m.stack.pop()
    _extend(m, [value])


def _extend(m: Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if type(target) is not list:
        raise NotPlain(f"an instruction that fills a {type(target).__name__} like a list")
    target.extend(items)


def _fill(m: Machine, items: list[Any]) -> None:
    target = m.stack[-1]
    if type(target) not in TABLES:
        raise NotPlain(f"an instruction that fills a {type(target).__name__} like a table")
    if len(items) % 2:
        raise IndexError
    keys = items[::2]
    check_keys(keys, len(target))
    m.spend(32 * len(items))
    target.update(zip(keys, items[1::2], strict=True))


def _set_item(m: Machine) -> None:
    items = m.stack[-2:]
    del m.stack[-2:]
    _fill(m, items)


def _add(m: Machine) -> None:
    items = m.marked()
    target = m.stack[-1]
    if type(target) is not set:
        raise NotPlain(f"an instruction that fills a {type(target).__name__} like a set")
    check_keys(items, len(target))
    m.spend(64 * len(items))
    target.update(items)


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.marked()


def _get(read: Callable[[Machine], int]) -> Step:
    def step(m: Machine) -> None:
        index = read(m)
        if index not in m.memo:
            raise ValueError(f"it asks for value {index}, which was never kept")
        m.stack.append(m.memo[index])

    return step


def _put(read: Callable[[Machine], int]) -> Step:
    def step(m: Machine) -> None:
        index, value = read(m), m.stack[-1]
        m.spend(48)
        m.memo[index] = value
        if type(value) is PendingArray:
            value.memo.append(index)

    return step


def _written(m: Machine) -> int:
    return int(m.line(20))


def _byte(m: Machine) -> int:
    m.at += 1
    return m.data[m.at - 1]


def _word(m: Machine) -> int:
    return m.number(4)


def _global(m: Machine, module: Any, name: Any) -> None:
    kind = NAMES.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if kind is None:
        spelled = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is no text"
        raise NotPlain(f"{ascii(spelled)[1:-1][:120]}, which no data needs and which may run any program")
    m.stack.append(Name(kind))


def _line_global(m: Machine) -> None:
    module, name = str(m.line(1000), "utf-8"), str(m.line(1000), "utf-8")
    _global(m, module, name)


def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    _global(m, module, name)


def _reduce(m: Machine) -> None:
    args, target = m.stack.pop(), m.stack.pop()
    if type(target) is not Name or type(args) is not tuple or target.kind not in MAKERS:
        shown = target.kind if type(target) is Name else type(target).__name__
        raise NotPlain(f"a call of something that is not to be called ({shown})")
    m.stack.append(MAKERS[target.kind](args, m.spend))


def _build(m: Machine) -> None:
    state, target = m.stack.pop(), m.stack[-1]
    if type(target) is PendingType:
        finish_dtype(target, state)
    elif type(target) is PendingArray:
        array = finish_array(state, m.spend)
        m.spend(128)
        m.stack[-1] = array
        for index in target.memo:
            if m.memo[index] is target:
                m.memo[index] = array
        target.memo.clear()  # a second look at it must cost no time
    else:
        raise NotPlain(f"an instruction that changes a {type(target).__name__} from inside")


def _frame(m: Machine) -> None:
    if m.number(8) > len(m.view) - m.at:
        raise IndexError


def _protocol(m: Machine) -> None:
    if m.number(1) > 5:
        raise ValueError("a protocol above 5")


def _refused(what: str) -> Step:
    def step(m: Machine) -> None:
        raise NotPlain(what)

    return step


def _unknown(m: Machine) -> None:
    raise ValueError(f"{m.data[m.at - 1]:#04x} stands for nothing; is it a pickle?")


_STEPS: dict[bytes, Step] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"N": _push(None),
    b"\x88": _push(True),
    b"\x89": _push(False),
    b"I": _int,
    b"L": _long,
    b"J": _unpacked("<i"),
    b"K": lambda m: m.stack.append(_byte(m)),
    b"M": _unpacked("<H"),
    b"\x8a": _binary_long(1),
    b"\x8b": _binary_long(4),
    b"F": lambda m: m.stack.append(float(m.line(NUMBER))),
    b"G": _unpacked(">d"),
    b"S": _old_text,
    b"T": _binary(4, old=True),
    b"U": _binary(1, old=True),
    b"V": _line_text,
    b"X": _text(4),
    b"\x8c": _text(1),
    b"\x8d": _text(8),
    b"B": _binary(4),
    b"C": _binary(1),
    b"\x8e": _binary(8),
    b"\x96": _binary(8),
    b"]": _new(list, 64),
    b"}": _new(dict, 64),
    b")": _push(()),
    b"\x8f": _new(set, 216),
    b"(": _mark,
    b"t": _of_marked(tuple),
    b"l": _of_marked(list),
    b"d": _of_marked(_dict_of),
    b"\x91": _of_marked(_frozen_of),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"a": _append,
    b"e": lambda m: _extend(m, m.marked()),
    b"s": _set_item,
    b"u": lambda m: _fill(m, m.marked()),
    b"\x90": _add,
    b"0": _pop,
    b"1": lambda m: m.marked().clear(),
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"g": _get(_written),
    b"h": _get(_byte),
    b"j": _get(_word),
    b"p": _put(_written),
    b"q": _put(_byte),
    b"r": _put(_word),
    b"\x94": _put(lambda m: len(m.memo)),
    b"c": _line_global,
    b"\x93": _stack_global,
    b"R": _reduce,
    b"b": _build,
    **{code: _refused("a persistent id, which only the program that wrote it can follow") for code in (b"P", b"Q")},
    **{code: _refused("a number of the extension registry, which stands for any program") for code in (b"\x82", b"\x83", b"\x84")},
    **{code: _refused("an object of a class, with code of its own") for code in (b"i", b"o", b"\x81", b"\x92")},
    **{code: _refused("a buffer that lies outside the file") for code in (b"\x97", b"\x98")},
}
STEPS: list[Step] = [_STEPS.get(bytes([code]), _unknown) for code in range(256)]
