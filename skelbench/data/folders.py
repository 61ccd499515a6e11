"""Folders that appear whole or not at all, and JSON read with care. Used by stores and by the interchange form."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skelbench.errors import DataError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
BUILT_IN = ("playground", "playground_frames")  # datasets that are made on first use; their names are taken
SCRATCH = "scratch"  # ".scratch.*.part" folders hold files that are needed for a while


def data_home() -> Path:
    """Where datasets live: ``$SKELBENCH_DATA``, else ``./data``."""
    return Path(os.environ.get("SKELBENCH_DATA") or "data")


def check_name(name: str) -> str:
    """A dataset name that is safe as a folder name.

    Raises:
        DataError: anything but 1 to 80 letters, digits, dots, dashes and underscores that starts with a letter or digit.
    """
    if not NAME.fullmatch(name) or name.endswith("."):
        raise DataError(
            f"{name!r} cannot name a dataset: wanted 1 to 80 letters, digits, '.', '-' or '_', starting with a letter or digit"
            " and not ending with a dot"
        )
    return name


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a target that is there already, unless it may be replaced and holds nothing but files of ours.

    Raises:
        DataError: the path exists and ``overwrite`` is off, or the folder there is not a dataset.
    """
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise DataError(f"{path} exists already; choose another name, or pass overwrite=True to replace it")
    ours = path.is_dir() and not path.is_symlink() and all(p.is_file() for p in path.iterdir())
    if not ours or not ((path / "meta.json").is_file() or not any(path.iterdir())):
        raise DataError(
            f"{path} is not a dataset folder written by skelbench, so it is not replaced; remove it by hand or choose another name"
        )


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder beside ``path`` and rename it to ``path`` when the block ends well.

    Whatever ends the block early (an error, a full disk, Ctrl-C) removes the half-filled folder and the parent folders made for it.
    What a killed process left behind is removed by the next one that writes the same path (see :func:`clear_leftovers`).

    Yields:
        The folder to write into.

    Raises:
        DataError: ``path`` exists (see :func:`check_target`), another process is writing it, or the disk refused a write.
    """
    path = path.absolute()
    check_target(path, overwrite=overwrite)
    clear_leftovers(path)
    new_parents = [p for p in path.parents if not p.exists()]
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(path.parent, path.name) as part:
            yield part
            for file in part.iterdir():
                sync(file)
            sync(part)
            _move_into_place(part, path, overwrite=overwrite)
            sync(path.parent)
    except BaseException as error:
        if part is not None and part.exists():
            shutil.rmtree(part)
        for parent in new_parents:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"{path}: could not be written ({error.strerror or error}); nothing was left behind") from error
        raise


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder for files that are needed for a while, gone at the end of the block; those of killed processes go, too.

    Raises:
        DataError: the disk refused to make it.
    """
    clear_leftovers(parent / SCRATCH)
    new_parents = [p for p in (parent, *parent.parents) if not p.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _claimed(parent, SCRATCH) as folder:
            try:
                yield folder
            finally:
                shutil.rmtree(folder)
    finally:
        for made in new_parents:
            if made.exists() and not any(made.iterdir()):
                made.rmdir()


@contextmanager
def _claimed(parent: Path, name: str) -> Iterator[Path]:
    """A new hidden folder ``.name.*.part``, locked while the block runs: the lock of a process that dies is given back at once."""
    while True:
        part = parent / f".{name}.{uuid.uuid4().hex[:8]}.part"
        part.mkdir()
        with _lock(part) as ours:
            if ours is not False and part.exists():  # else another process took it for rubbish before it was locked
                yield part
                return


@contextmanager
def _lock(folder: Path) -> Iterator[bool | None]:
    """Lock a folder while the block runs, even if it is renamed meanwhile.

    Yields:
        True; False where somebody else holds it or it is gone; None where the file system knows no locks.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    got: bool | None = True
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            got = False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            got = None
        yield got
    finally:
        os.close(handle)


def clear_leftovers(path: Path) -> None:
    """Tidy up after processes that were killed while they wrote ``path``.

    Half-written folders are removed. Where one was killed between moving the old dataset aside and the new one into its place, the
    old one is put back.

    Raises:
        DataError: a process that is alive is writing ``path`` right now (nothing of its is touched).
    """
    left = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.(part|old)")
    found = [p for p in path.parent.iterdir() if left.fullmatch(p.name)] if path.parent.is_dir() else []
    for folder in found:
        with _lock(folder) as free:
            if free is False and folder.exists() and path.name != SCRATCH:  # scratch folders may be many
                raise DataError(f"{path} is being written by another process; wait until it is done")
            if free and folder.suffix == ".old" and not path.exists():
                folder.rename(path)
            elif free:
                shutil.rmtree(folder)


def _move_into_place(part: Path, path: Path, *, overwrite: bool) -> None:
    if not (overwrite and path.exists()):
        check_target(path, overwrite=False)  # somebody else may have finished the same name meanwhile
        part.rename(path)
        return
    old = part.with_suffix(".old")
    with _lock(path):  # so that nobody puts it back while it is moved aside
        path.rename(old)
        try:
            part.rename(path)
        except BaseException:
            old.rename(path)
            raise
        old.rename(part)  # from here on it is rubbish, whenever we are killed
        shutil.rmtree(part)


def sync(path: Path) -> None:
    """Push a file or folder to the disk, so that a power cut after the rename finds it whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path, *, limit: int = 1 << 30) -> dict[str, Any]:
    """One JSON object from a file.

    Raises:
        DataError: missing, larger than ``limit`` bytes, not JSON (with the line), NaN or Infinity inside, or not an object.
    """

    def refuse(token: str) -> Any:
        raise DataError(f"{path}: holds {token}, which is not a JSON number")

    try:
        if path.stat().st_size > limit:
            raise DataError(f"{path}: {path.stat().st_size} bytes is more than a description file can have ({limit})")
        table = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=refuse)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply to be a description file") from error
    if not isinstance(table, dict):
        raise DataError(f"{path}: wanted one JSON object, found a {type(table).__name__}")
    return table
