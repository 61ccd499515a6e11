"""Zip archives of takes: unpacked with care, because a name in an archive may point anywhere and a size may claim anything."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from skelbench.data.folders import scratch
from skelbench.data.words import brief
from skelbench.errors import DataError

MOST = 1_000_000  # members of an archive
LENGTH = 200  # characters of a path inside it
GROWTH = 1100  # no deflate stream grows by more
BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error)


def is_archive(path: Path) -> bool:
    """Whether this is a ``.zip`` file."""
    return path.suffix.lower() == ".zip" and path.is_file()


@contextmanager
def unpacked(path: Path, *, near: Path | None = None) -> Iterator[Path]:
    """What an archive holds, as files on the disk while the block runs.

    Args:
        path: the archive.
        near: folder to unpack in; that of temporary files where left out.

    Yields:
        A folder called like the archive, without folders around all there is; or the file, where there is just one.

    Raises:
        DataError: not an archive, damaged, encrypted, a member with a name that leads elsewhere, or larger than the disk has room.
    """
    with scratch(near or Path(tempfile.gettempdir())) as folder:
        root = folder / "members"
        root.mkdir()
        try:
            with zipfile.ZipFile(path) as archive:
                _extract(archive, path, root)
        except BROKEN as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: the archive cannot be unpacked ({brief(error)})") from error
        inside = list(root.iterdir())
        while len(inside) == 1 and inside[0].is_dir():
            inside = list((root := inside[0]).iterdir())
        (folder / "called").mkdir()
        yield inside[0] if len(inside) == 1 else root.rename(folder / "called" / path.stem)


def size_of(path: Path) -> int:
    """Bytes an archive has when unpacked, as its own table says.

    Raises:
        DataError: not an archive, or its table cannot be true.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked_size(archive, path)
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a zip archive ({brief(error)})") from error


def _checked_size(archive: zipfile.ZipFile, path: Path) -> int:
    members = archive.infolist()
    size = sum(m.file_size for m in members)
    if len(members) > MOST or size > GROWTH * max(1, path.stat().st_size):
        raise DataError(f"{path}: claims {len(members)} members of {size} bytes, more than such an archive can hold")
    return size


def _extract(archive: zipfile.ZipFile, path: Path, root: Path) -> None:
    size, free = _checked_size(archive, path), shutil.disk_usage(root).free
    if size > free:
        raise DataError(f"{path}: unpacking takes {size >> 20} MB in {root.parent.parent}, {free >> 20} MB are free")
    for member in archive.infolist():
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        hidden = any(part.startswith(".") and part != ".." for part in inside.parts) or "__MACOSX" in inside.parts
        if member.is_dir() or hidden:
            continue
        check_member(member, inside, path)
        target = root.joinpath(*inside.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def check_member(member: zipfile.ZipInfo, inside: PurePosixPath, path: Path) -> None:
    """Raises DataError where a member of an archive must not be unpacked; ``inside`` is its path."""
    name = f"{path}: member {member.filename[:80]!r}"
    if inside.is_absolute() or ".." in inside.parts or ":" in inside.parts[0] or not all(map(str.isprintable, inside.parts)):
        raise DataError(f"{name} has a name that leads out of the archive or cannot be written; unpack it by hand")
    if len(member.filename) > LENGTH:
        raise DataError(f"{name} has a path of {len(member.filename)} characters; unpack it by hand")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{name} is a link; unpack the archive by hand, with the files themselves in it")
    if member.flag_bits & 1:
        raise DataError(f"{name} is encrypted; unpack the archive by hand")
