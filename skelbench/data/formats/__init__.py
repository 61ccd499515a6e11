"""Readers of public formats. Each module offers ``sniff(path)``, ``describe(path)`` and ``read(path, ...) -> Source``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from skelbench.data.formats import (
    acclaim,
    arrays,
    bvh,
    ctrgcn,
    kinetics,
    landmarks,
    ntu,
    ntux,
    nwucla,
    pack,
    penn,
    pku,
    pyskl,
    shrec,
    stgcn,
    table,
    uiprmd,
)
from skelbench.data.formats.found import seen
from skelbench.data.formats.pack import write_pack
from skelbench.data.formats.source import Source
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology, topologies
from skelbench.skeleton.topology import topology as find_topology

FORMATS: dict[str, ModuleType] = {
    "pack": pack,
    "bvh": bvh,
    "acclaim": acclaim,
    "ntu": ntu,
    "pyskl": pyskl,
    "ctrgcn": ctrgcn,
    "stgcn": stgcn,
    "nwucla": nwucla,
    "pku": pku,
    "shrec": shrec,
    "penn": penn,
    "ntux": ntux,
    "uiprmd": uiprmd,
    "kinetics": kinetics,
    "landmarks": landmarks,
    "arrays": arrays,
    "table": table,
}
# Asked in this order. A pack may have its raw files in folders below it; the last three are ways to bring own data and fit much.
FIRST, LAST = ("pack",), ("landmarks", "arrays", "table")

__all__ = ["FORMATS", "Source", "open_source", "reader_options", "recognise", "write_pack", "writer"]


def recognise(path: Path) -> str:
    """Name of the format of a file or folder.

    Raises:
        DataError: nothing there, no format fits, or several do; the message says what was found.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path}: the folder is empty")
    if path.is_dir() and (path / "clips.npy").is_file() and (path / "meta.json").is_file():
        raise DataError(f"{path}: a dataset of skelbench already; skelbench.load opens it, skelbench.data.write_pack hands it on")
    found = fitting(path)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"{path}: not in a format that can be read; {seen(path)}. Known are: {', '.join(FORMATS)}")
    raise DataError(f"{path}: holds several formats, {' and '.join(found)}; say which one with format=")


def fitting(path: Path) -> list[str]:
    """The formats that fit best: one, none, or several that nothing sets apart."""
    for name in FIRST:
        if FORMATS[name].sniff(path):
            return [name]
    found = [name for name, module in FORMATS.items() if name not in (*FIRST, *LAST) and module.sniff(path)]
    return found or [name for name in LAST if name in FORMATS and FORMATS[name].sniff(path)][:1]


def reader_options(format: str) -> dict[str, inspect.Parameter]:
    """What the reader of a format can be told beside the path and the topology.

    Raises:
        ConfigError: no such format.
    """
    if format not in FORMATS:
        raise ConfigError(f"no format called {format!r}; there are: {', '.join(FORMATS)}")
    parameters = inspect.signature(FORMATS[format].read).parameters
    return {k: p for k, p in parameters.items() if k not in ("path", "topology")}


def writer(format: str) -> Callable[..., Path]:
    """What writes a store in a format: ``write_pack`` and its like, called with (store, folder, overwrite=False).

    Raises:
        ConfigError: no such format, or one that is only read.
    """
    there = {name: getattr(module, f"write_{name}") for name, module in FORMATS.items() if hasattr(module, f"write_{name}")}
    if format not in there:
        raise ConfigError(f"cannot write {format!r}; there are: {', '.join(there)}")
    return there[format]


@contextmanager
def open_source(
    path: Path, *, format: str | None = None, topology: Topology | str | Path | None = None, **options: Any
) -> Iterator[Source]:
    """The dataset at ``path``, ready to be walked once; whatever the reader opened is closed at the end of the block.

    Raises:
        DataError: see :func:`recognise` and the reader.
        ConfigError: unknown format, or an option the reader does not have.
    """
    known = reader_options(format) if format is not None else {}
    name = format or recognise(path)
    known = known or reader_options(name)
    odd = [k for k in options if k not in known]
    if odd:
        raise ConfigError(f"the reader of {name!r} has no option {odd[0]!r}; it has: {', '.join(known) or 'none'}")
    source = FORMATS[name].read(path, topology=_topology(topology), **options)
    with closing(source.clips):
        yield source


def _topology(given: Topology | str | Path | None) -> Topology | None:
    if given is None or isinstance(given, Topology):
        return given
    if isinstance(given, str) and not given.endswith(".json"):
        return find_topology(given)
    if not Path(given).expanduser().is_file():
        raise DataError(f"{given}: no such topology file; built-in layouts are: {', '.join(topologies())}")
    return Topology.from_json(Path(given).expanduser())
