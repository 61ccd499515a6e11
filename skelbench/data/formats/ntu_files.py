"""``.skeleton`` files where they lie: in folders, or in the zip archives that the dataset's authors hand out, which stay packed.

A name says everything about a recording: ``SsssCcccPpppRrrrAaaa`` is setup, camera, performer, replication and action, three digits
each. Only the base name counts, whatever the folders are called.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from skelbench.data.archive import BROKEN, check_member, is_archive, size_of
from skelbench.data.formats.ntu_text import LARGEST
from skelbench.data.formats.on_disk import files_named, holds, whole_file
from skelbench.data.words import brief
from skelbench.errors import DataError

WORDS = r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})"
NAME = re.compile(rf"{WORDS}\.skeleton", re.ASCII)
LISTED = re.compile(rf"\b{WORDS}(?=\b|_)", re.ASCII)
ZIP = re.compile(r".+\.zip", re.IGNORECASE)
ACTIONS = (60, 120)  # classes of NTU RGB+D 60 and 120
SHOWN = 5  # names in a note


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One recording.

    Attributes:
        path: the file, or the archive it is in.
        member: its name in the archive, "" for a file.
        id: base name without ending.
    """

    path: Path
    member: str
    id: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.path}/{self.member}" if self.member else str(self.path)

    @property
    def action(self) -> int:
        """Number of the action, from 1."""
        return int(self.id[-3:])


def recordings(path: Path) -> list[Entry]:
    """All recordings at a path, sorted by name: a file, an archive, or a folder of both, searched with its sub-folders.

    Raises:
        DataError: there is none, one stands twice, its action is none of the dataset's, or an archive must not be trusted.
    """
    if is_archive(path):
        entries = _packed(path)
    else:
        entries = [Entry(path=f, member="", id=f.stem) for f in files_named(path, NAME)]
        if path.is_dir():
            for archive in files_named(path, ZIP):
                entries += _packed(archive)
    if not entries:
        raise DataError(f"{path}: holds no file called SsssCcccPpppRrrrAaaa.skeleton (NTU RGB+D), packed or not")
    first: dict[str, Entry] = {}
    for entry in entries:
        if first.setdefault(entry.id, entry) is not entry:
            raise DataError(f"{entry.where}: the same recording as {first[entry.id].where}; keep one of them")
        if not 1 <= entry.action <= ACTIONS[-1]:
            raise DataError(f"{entry.where}: action {entry.action} is none of the dataset's, which are 1 to {ACTIONS[-1]}")
    return sorted(entries, key=lambda e: e.id)


def any_recording(path: Path) -> bool:
    """Whether there is one at a path, by names alone. Never raises."""
    return holds(path, NAME) or (_any_packed(path) if is_archive(path) else holds(path, ZIP, _any_packed))


def _any_packed(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(NAME.fullmatch(PurePosixPath(n).name) for n in archive.namelist())
    except BROKEN:  # an archive that does not open is not recognised
        return False


def _packed(path: Path) -> list[Entry]:
    """The recordings of an archive, of which every member is looked at before any is read."""
    size_of(path)
    with zipfile.ZipFile(path) as archive:
        members, packed = archive.infolist(), 0
        found = []
        for member in members:
            inside = PurePosixPath(member.filename.replace("\\", "/"))
            if member.is_dir():
                continue
            check_member(member, inside, path)
            packed += member.compress_size
            if member.file_size > LARGEST:
                raise DataError(f"{path}: member {member.filename!r} claims {member.file_size} bytes, more than {LARGEST}")
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in inside.parts)
            if NAME.fullmatch(inside.name) and not hidden:
                found.append(Entry(path=path, member=member.filename, id=inside.stem))
    if packed > path.stat().st_size:
        raise DataError(f"{path}: its members lie on top of each other ({packed} bytes of them in {path.stat().st_size})")
    return found


class Files:
    """Reads recordings; every archive is opened once, by each process for itself."""

    def __init__(self) -> None:
        self.archives: dict[Path, zipfile.ZipFile] = {}

    def __call__(self, entry: Entry) -> bytes:
        """The bytes of one recording.

        Raises:
            DataError: it cannot be read, or is larger than its archive says.
        """
        if not entry.member:
            return whole_file(entry.path, limit=LARGEST)
        try:
            if entry.path not in self.archives:
                self.archives[entry.path] = zipfile.ZipFile(entry.path)
            with self.archives[entry.path].open(entry.member) as file:
                data = file.read(LARGEST + 1)
        except (*BROKEN, KeyError) as error:
            raise DataError(f"{entry.where}: cannot be unpacked ({brief(error)})") from error
        if len(data) > LARGEST:
            raise DataError(f"{entry.where}: unpacks to more than {LARGEST} bytes")
        return data

    def close(self) -> None:
        for archive in self.archives.values():
            archive.close()
        self.archives.clear()


def listed(path: Path) -> frozenset[str]:
    """The recordings a text names, such as the authors' lists of missing skeletons.

    Lines without a name (their lists begin with three) and whatever else stands in a line are passed over.

    Raises:
        DataError: not readable, or no line holds a name.
    """
    text = whole_file(path, limit=1 << 24).decode("utf-8", "replace")
    names = frozenset(found[0] for line in text.splitlines() if (found := LISTED.search(line)))
    if not names:
        raise DataError(f"{path}: no line holds a name like S001C002P005R002A008; is it the list of missing skeletons?")
    return names


def some(names: Iterable[str]) -> str:
    """A few of the names, in words."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
