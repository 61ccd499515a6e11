"""Readers of public formats. Each module offers ``sniff(path)``, ``describe(path)`` and ``read(path, ...) -> Source``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from skelbench.data.formats import acclaim, bvh, pack
from skelbench.data.formats.pack import write_pack
from skelbench.data.formats.source import Source
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology, topologies
from skelbench.skeleton.topology import topology as find_topology

FORMATS: dict[str, ModuleType] = {"pack": pack, "bvh": bvh, "acclaim": acclaim}

__all__ = ["FORMATS", "Source", "open_source", "recognise", "write_pack"]


def recognise(path: Path) -> str:
    """Name of the format of a file or folder.

    Raises:
        DataError: nothing there, no format fits, or several do.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path}: the folder is empty")
    if pack.sniff(path):  # its raw files may lie in folders below
        return "pack"
    found = [name for name, module in FORMATS.items() if module.sniff(path)]
    if len(found) == 1:
        return found[0]
    known = ".npz with meta.json (pack), .bvh (bvh), .asf with .amc (acclaim)"
    if not found:
        raise DataError(f"{path}: not in a format that can be read; known are: {known}")
    raise DataError(f"{path}: holds several formats, {' and '.join(found)}; say which one with format=")


@contextmanager
def open_source(
    path: Path, *, format: str | None = None, topology: Topology | str | Path | None = None, **options: Any
) -> Iterator[Source]:
    """The dataset at ``path``, ready to be walked once; whatever the reader opened is closed at the end of the block.

    Raises:
        DataError: see :func:`recognise` and the reader.
        ConfigError: unknown format, or an option the reader does not have.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(f"no format called {format!r}; there are: {', '.join(FORMATS)}")
    name = format or recognise(path)
    known = [k for k in inspect.signature(FORMATS[name].read).parameters if k not in ("path", "topology")]
    odd = [k for k in options if k not in known]
    if odd:
        raise ConfigError(f"the reader of {name!r} has no option {odd[0]!r}; it has: {', '.join(known)}")
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
