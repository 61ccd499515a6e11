"""Names for the labels of files that hold numbers only: from a table that comes with skelbench, from a file, or ``class 7``."""

from __future__ import annotations

from pathlib import Path

from skelbench.data.formats.json_text import load_json
from skelbench.data.formats.on_disk import whole_file
from skelbench.data.tables import ntu_classes, table
from skelbench.errors import DataError

TABLES = ("ntu60", "ntu120", "pku_mmd", "nw_ucla", "penn_action", "diving48", "gym99")
LIMIT = 1 << 20  # bytes of a file of names
HINT = f"classes: their names; pass classes= (a text file with one name a line, or one of: {', '.join(TABLES)})"


def listed(name: str) -> tuple[str, ...]:
    """Class names of a dataset in ``TABLES``; a name that the dataset gives to two classes gets the label as an addition."""
    if name in ("ntu60", "ntu120"):
        return ntu_classes(int(name[3:]))
    names = table(name)["classes"]
    return tuple(n if n not in names[:at] else f"{n} ({at})" for at, n in enumerate(names))


def name_classes(number: int, *, classes: str | Path | None, known: str | None, where: str) -> tuple[tuple[str, ...], str]:
    """Names of the labels 0, 1, ..., and in words where they come from.

    Args:
        number: labels go up to this number, minus 1.
        classes: what the user says: a text file with one name a line, a JSON list, or a table by name.
        known: the table of the dataset the file was recognised as; it is used where it has enough names.
        where: opens the message.

    Raises:
        DataError: no such file or table, too few names, or one of them stands twice.
    """
    if classes is not None:
        names = listed(str(classes)) if str(classes) in TABLES else _read(Path(classes).expanduser())
        if len(names) < number:
            raise DataError(f"{classes}: {len(names)} class names, but the labels of {where} go up to {number - 1}")
        return names, f"from {Path(classes).name}"
    if known is not None and number <= len(listed(known)):
        return listed(known), f"the table {known!r}"
    return tuple(f"class {n}" for n in range(number)), "numbered, for want of names"


def _read(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise DataError(f"{path}: no such file of class names; wanted one name a line, or one of: {', '.join(TABLES)}")
    if path.suffix.lower() == ".json":
        names = load_json(path, limit=LIMIT)
        if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
            raise DataError(f"{path}: wanted a JSON list of class names")
        found = [n.strip() for n in names]
    else:
        try:
            text = whole_file(path, limit=LIMIT).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
        found = [line.strip() for line in text.splitlines() if line.strip()]
    seen: dict[str, int] = {}
    for n, name in enumerate(found):
        if seen.setdefault(name, n) != n:
            raise DataError(f"{path}: the class name {name[:60]!r} stands twice, for the labels {seen[name]} and {n}")
    if not found:
        raise DataError(f"{path}: holds no class name")
    return tuple(found)
