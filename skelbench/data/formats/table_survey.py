"""A first walk through tables: which clips they hold, in which order, with which classes, joints and bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skelbench.data.container import ID
from skelbench.data.formats.class_names import name_classes
from skelbench.data.formats.source import UNLABELLED, Take, csv_rows, find_takes, motion_files, whole_number
from skelbench.data.formats.table_columns import ABOUT, Roles, find_roles
from skelbench.data.formats.table_file import ENDINGS, Chunk, chunks, column_names, runs
from skelbench.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One file: its columns, what they are, and the name of its clip where it holds a single one without saying so."""

    path: Path
    names: list[str]
    roles: Roles
    alone: str | None = None

    def chunks(self, wanted: list[str]) -> Iterator[Chunk]:
        return chunks(self.path, self.names, list(dict.fromkeys(wanted)))

    def ids(self, chunk: Chunk) -> list[str]:
        """The clip of every row."""
        return [self.alone] * len(chunk.lines) if self.alone is not None else chunk.words(self.roles.named["clip"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What the tables hold.

    Attributes:
        tables: the files, in order.
        takes: the clips, in order.
        left_out: clips that ``labels`` does not list.
        classes: names of the labels.
        rule: where the labels come from.
        joints: names or numbers, in the order in which they appear.
        bodies: the most that one clip has.
        notes: remarks.
    """

    tables: list[Table]
    takes: list[Take]
    left_out: set[str]
    classes: tuple[str, ...]
    rule: str
    joints: list[str]
    bodies: int
    notes: list[str]


@dataclass
class _Clip:
    """A clip while its rows are walked: words that must be the same on all of them, and its bodies."""

    path: Path
    told: dict[str, str]
    bodies: set[str] = field(default_factory=set)


def tables_at(path: Path, told: Mapping[str, str | None], labels: Path | None) -> list[Table]:
    """The tables of an import, with their columns sorted out; one clip a file where they have no column of clips.

    Raises:
        DataError: none there, tables of several kinds or with other columns, or one that is not understood.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    told_apart = labels.resolve() if labels is not None else None
    by_ending = {ending: [f for f in motion_files(path, ending) if f.resolve() != told_apart] for ending in ENDINGS}
    by_ending = {ending: files for ending, files in by_ending.items() if files}
    if len(by_ending) != 1:
        kinds = f"tables of several kinds, {' and '.join(by_ending)}; keep one" if by_ending else f"no {', '.join(ENDINGS)} file"
        raise DataError(f"{path}: holds {kinds}")
    ((_, files),) = by_ending.items()
    tables = []
    for file in files:
        names = column_names(file)
        if path.is_dir() and {"file", "class"} <= set(names):
            continue  # labels, not poses
        tables.append(Table(path=file, names=names, roles=find_roles(file, names, told)))
        first, last = tables[0].roles, tables[-1].roles
        if (first.axes, list(first.wide), "clip" in first.named) != (last.axes, list(last.wide), "clip" in last.named):
            raise DataError(f"{file}:1: other columns ({', '.join(names[:8])}, ...) than {tables[0].path}; import them apart")
    if not tables:
        raise DataError(f"{path}: holds tables of labels only")
    return tables


def survey(
    path: Path, told: Mapping[str, str | None], *, labels: str | Path | None = None, classes: str | Path | None = None
) -> Survey:
    """Walk the tables once.

    Args:
        path: a table or a folder of tables.
        told: role -> column, see :func:`skelbench.data.formats.table_columns.find_roles`.
        labels: CSV with the columns file (here: the clip), class and, if wanted, subject and whole numbers.
        classes: names of numbered labels, see :func:`skelbench.data.formats.class_names.name_classes`.

    Raises:
        DataError: rows of one clip that stand apart or differ in their label, a name no clip may have, labels that do not fit; with
            file and line.
    """
    list_file = Path(labels).expanduser() if labels is not None else None
    tables = tables_at(path, told, list_file)
    takes: dict[str, Take] = {}
    names: tuple[str, ...] = (UNLABELLED,)
    rule, notes = "no labels given", list[str]()
    if "clip" not in tables[0].roles.named:
        found = find_takes(path, tables[0].path.suffix.lower(), labels=labels)
        takes, by_path = {t.id: t for t in found.takes}, {t.path: t for t in found.takes}
        tables = [Table(path=t.path, names=t.names, roles=t.roles, alone=by_path[t.path].id) for t in tables if t.path in by_path]
        rule, names, notes = found.rule, found.classes, list(found.notes)
    clips: dict[str, _Clip] = {}
    joints: dict[str, None] = dict.fromkeys(tables[0].roles.wide)
    for table in tables:
        _walk(table, clips, joints)
    if not clips:
        raise DataError(f"{tables[0].path}: no rows below the first line")
    if list_file is not None and not takes:
        takes, names, left = _listed(list_file, clips)
        rule, notes = f"labels from {list_file.name}", [f"{left} clips not listed in {list_file.name} left out"] if left else []
    labelled = "label" in tables[0].roles.named and list_file is None
    if labelled:
        names, numbers, rule = _classes(clips, tables[0], classes)
    ordered = []
    for id, clip in clips.items():
        take = takes.get(id, Take(path=clip.path, id=id, label=0, about={}))
        about = {k: v for k, v in clip.told.items() if k in ABOUT and v}
        label = numbers[id] if labelled else take.label
        if id in takes or not takes:
            ordered.append(Take(path=clip.path, id=id, label=label, about={**about, **take.about}))
    return Survey(
        tables=tables,
        takes=ordered,
        left_out=set(clips) - {t.id for t in ordered},
        classes=names,
        rule=rule,
        joints=list(joints),
        bodies=max(len(c.bodies) or 1 for c in clips.values()),
        notes=notes,
    )


def _walk(table: Table, clips: dict[str, _Clip], joints: dict[str, None]) -> None:
    roles = table.roles.named
    told = [r for r in ("label", *ABOUT) if r in roles]
    wanted = [roles[r] for r in (*told, "clip", "body", "joint") if r in roles and (r != "joint" or not table.roles.wide)]
    current: str | None = None
    for chunk in table.chunks(wanted or table.names[:1]):
        ids = table.ids(chunk)
        words = {role: chunk.words(roles[role]) for role in told}
        bodies = chunk.words(roles["body"]) if "body" in roles else None
        if not table.roles.wide:
            joints.update(dict.fromkeys(chunk.words(roles["joint"])))
        for at, to in runs(ids):
            id = ids[at]
            if id != current:
                _begin(id, chunk.at(at), clips, table.path, {role: w[at] for role, w in words.items()})
                current = id
            for role, column in words.items():
                if set(column[at:to]) != {clips[id].told[role]}:
                    n = next(n for n in range(at, to) if column[n] != clips[id].told[role])
                    raise DataError(
                        f"{chunk.at(n)}: clip {id!r:.60} has {role} {column[n]!r:.40}, before that {clips[id].told[role]!r:.40}"
                    )
            if bodies is not None:
                clips[id].bodies.update(bodies[at:to])


def _begin(id: str, where: str, clips: dict[str, _Clip], path: Path, told: dict[str, str]) -> None:
    if not ID.fullmatch(id):
        raise DataError(f"{where}: {id!r:.60} cannot name a clip; wanted 1 to 200 characters without / \\ < > & and quotes")
    if id in clips:
        why = f"here and in {clips[id].path}" if clips[id].path != path else "apart from each other"
        raise DataError(f"{where}: rows of clip {id!r:.60} stand {why}; sort the table by clip, each in one piece")
    clips[id] = _Clip(path=path, told=told)


def _classes(clips: Mapping[str, _Clip], table: Table, classes: str | Path | None) -> tuple[tuple[str, ...], dict[str, int], str]:
    words = {id: clip.told["label"] for id, clip in clips.items()}
    rule = f"column {table.roles.named['label']!r}"
    empty = next((id for id, word in words.items() if not word), None)
    if empty is not None:
        raise DataError(f"{clips[empty].path}: clip {empty!r:.60} has an empty {table.roles.named['label']!r}")
    if all(w.isdecimal() and len(w) < 6 for w in words.values()):
        numbers = {id: int(w) for id, w in words.items()}
        names, named = name_classes(max(numbers.values()) + 1, classes=classes, known=None, where=str(table.path))
        return names, numbers, f"{rule}; names {named}"
    names = tuple(sorted(set(words.values())))
    place = {name: n for n, name in enumerate(names)}
    return names, {id: place[w] for id, w in words.items()}, rule


def _listed(file: Path, clips: Mapping[str, _Clip]) -> tuple[dict[str, Take], tuple[str, ...], int]:
    """Clips with the classes and columns of a CSV."""
    rows = csv_rows(file)
    classes = tuple(sorted({row["class"] for _, row in rows}))
    takes: dict[str, Take] = {}
    for line, row in rows:
        id = row["file"]
        if id not in clips or id in takes:
            raise DataError(f"{file}:{line}: clip {id!r:.60} {'is listed twice' if id in takes else 'stands in no table'}")
        about: dict[str, Any] = {
            k: v if k in ABOUT else whole_number(v, k, f"{file}:{line}") for k, v in row.items() if k not in ("file", "class") and v
        }
        takes[id] = Take(path=clips[id].path, id=id, label=classes.index(row["class"]), about=about)
    return takes, classes, len(clips) - len(takes)
