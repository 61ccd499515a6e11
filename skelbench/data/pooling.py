"""Several datasets as one: their joints brought to a skeleton they share, to one frame rate and one unit, written as a new dataset.

    pool(["cmu", "hdm05", "uiprmd_kinect"], "pooled")       load("pooled") is then a dataset like any other
    retarget("uiprmd_kinect", "kinect_v2_25", "ui_as_ntu", mapping="map.json")   one dataset on another skeleton, its splits kept

Without ``topology`` the skeleton is that of the sixteen joints that nearly every layout of a body has
(:mod:`skelbench.skeleton.mapping`). Nothing is turned or scaled in space: every run normalises on its way in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.container import ABOUT
from skelbench.data.folders import BUILT_IN, check_name, check_target, data_home
from skelbench.data.splits import make_split
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.mapping import JointMap, Override, common_body, joint_map
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

METRES = {"metre": 1.0, "meter": 1.0, "m": 1.0, "centimetre": 0.01, "cm": 0.01, "millimetre": 0.001, "mm": 0.001}


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One dataset of a pool: how its clips become clips of the pool.

    Attributes:
        store: it.
        number: its place in the pool, the value of the column ``source``.
        joints: how its joints become those of the pool.
        scale: what its coordinates are multiplied with.
        fps: frames a second of the pool.
        labels: label of the pool for each of its labels.
        alone: whether it is the only one; names and numbers are then kept as they are.
        bodies: how many bodies of a clip are kept at most, the first ones.
        rows: its clips that are taken.
    """

    store: Store
    number: int
    joints: JointMap
    scale: float
    fps: float
    labels: tuple[int, ...]
    alone: bool
    bodies: int
    rows: np.ndarray

    def clips(self) -> Iterator[Clip]:
        """Its clips, one by one."""
        name = self.store.meta.name
        for clip in (self.store[row] for row in self.rows.tolist()):
            joints = resample(self.joints.apply(clip.joints[:, : self.bodies]), clip.fps, self.fps)
            joints[..., : self.joints.source.dims] *= np.float32(self.scale)
            yield Clip(
                joints=joints,
                topology=self.joints.target,
                fps=self.fps,
                label=self.labels[clip.label] if clip.label >= 0 else -1,
                id=clip.id if self.alone else f"{name}:{clip.id}",
                about=clip.about if self.alone else self._about(clip),
            )

    def _about(self, clip: Clip) -> dict[str, int | str]:
        """The columns of a clip: people and recordings of one dataset are not those of another."""
        known = self.store.meta.extra.get("names", {})
        row: dict[str, int | str] = {"source": self.number}
        for key, value in clip.about.items():
            if key not in ABOUT:
                row |= {} if key.startswith("split_") or key == "source" else {key: value}
            elif value >= 0:
                words = known.get(key, ())
                row[key] = f"{self.store.meta.name}:{words[value] if value < len(words) else value}"
        return row


def pool(
    stores: Sequence[Store | str | Path],
    name: str,
    *,
    topology: Topology | str | Path | None = None,
    mapping: Mapping[str, Override] | str | Path | None = None,
    fps: float | None = None,
    without: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Store:
    """Write several datasets as one. Where the same pool is there already, it is opened.

    Classes of the same name become one. Subjects, cameras, setups and recordings keep their dataset's name in front, so that no two
    people fall together, and the column ``source`` numbers the datasets (names in ``meta.extra``). Official splits are left behind.

    Args:
        stores: datasets by name, or open ones.
        name: of the new dataset.
        topology: skeleton of the pool; the common body where left out.
        mapping: dataset -> target joint -> source joint(s), where names and roles do not say it; or a JSON file of that form.
        fps: frames a second; the lowest of the datasets' where left out. Clips of another rate are resampled linearly.
        without: dataset -> split whose test side is left out, so that a network trained on the pool can be measured there.
        overwrite: replace a dataset of that name.
        progress: show a bar.

    Returns:
        The new store, opened.

    Raises:
        DataError: nothing to pool, the datasets have no coordinates in common (2D and 3D, other units or normalisations), a joint
            of the pool has no counterpart, or the name is taken; says which dataset, and what differs.
        ConfigError: an fps that is not above 0, or ``without`` names no dataset of the pool, or no split of it.
    """
    opened = [_open(store) for store in stores]
    names = [s.meta.name for s in opened]
    if len(opened) < 2 or len(set(names)) < len(names):
        raise DataError(f"a pool takes two or more datasets of different names, got {', '.join(names) or 'none'}")
    classes = tuple(dict.fromkeys(c for s in opened for c in s.classes))
    parts = _parts(opened, topology, _by_dataset(mapping, names), fps, classes, bodies=max(s.bodies for s in opened))
    parts = [replace(p, rows=rows) for p, rows in zip(parts, _taken(opened, without or {}), strict=True)]
    first = opened[0].meta
    about = {
        "licence": "; ".join(f"{s.meta.name}: {s.meta.licence or 'not stated'}" for s in opened),
        "attribution": "; ".join(dict.fromkeys(s.meta.attribution for s in opened if s.meta.attribution)),
        "extra": {"names": {"source": names}, **({"image": True} if first.extra.get("image") else {})},
    }
    return _write(parts, name, classes=classes, about=about, overwrite=overwrite, progress=progress)


def retarget(
    store: Store | str | Path,
    topology: Topology | str | Path,
    name: str,
    *,
    mapping: Override | str | Path | None = None,
    fps: float | None = None,
    bodies: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Store:
    """Write one dataset on another skeleton; clips keep their names, columns, classes and splits. Arguments and errors: ``pool``.

    ``mapping`` is target joint -> source joint(s) here. ``bodies`` is M of the new dataset: of more, the first are kept; fewer are
    filled up with zeros.
    """
    opened = _open(store)
    meta = opened.meta
    if bodies is not None and bodies < 1:
        raise ConfigError(f"bodies={bodies}: a clip has at least one")
    parts = _parts([opened], topology, {meta.name: mapping}, fps, meta.classes, bodies=bodies or opened.bodies)
    about = {k: getattr(meta, k) for k in ("licence", "attribution", "splits", "extra")}
    return _write(parts, name, classes=meta.classes, about=about, overwrite=overwrite, progress=progress)


def resample(joints: np.ndarray, before: float, after: float) -> np.ndarray:
    """Frames at another rate, (T, M, V, C) -> (T', M, V, C): linear between neighbours, the nearer one where one misses the joint.

    Frame i of the result is the moment ``i / after``; the last one lies within the clip. Rates that agree to 1 % are equal.
    """
    if abs(before - after) <= 0.01 * after:
        return np.array(joints)
    T = len(joints)
    at = np.arange(int((T - 1) * after / before + 1e-6) + 1) * (before / after)  # (T',)
    low = np.minimum(at.astype(np.int64), T - 1)
    high, weight = np.minimum(low + 1, T - 1), (at - low)[:, None, None, None]
    missing = ~(joints != 0).any(axis=-1, keepdims=True)  # (T, M, V, 1)
    between = joints[low] * (1 - weight) + joints[high] * weight
    nearer = np.where(weight < 0.5, joints[low], joints[high])
    return np.where(missing[low] | missing[high], nearer, between).astype(joints.dtype)


def _open(store: Store | str | Path) -> Store:
    from skelbench.data import load

    return store if isinstance(store, Store) else load(store)


def _parts(
    stores: Sequence[Store],
    topology: Topology | str | Path | None,
    mapping: Mapping[str, Override | str | Path | None],
    fps: float | None,
    classes: Sequence[str],
    *,
    bodies: int,
) -> list[Part]:
    if fps is not None and not fps > 0:
        raise ConfigError(f"fps={fps}: frames a second are above 0")
    scales = _conventions(stores)
    first = stores[0]
    units = "metre" if METRES.get(first.meta.units) else first.meta.units
    target = common_body(first.topology.dims, units) if topology is None else _find(topology)
    rate = min(s.meta.fps for s in stores) if fps is None else float(fps)
    parts = []
    for n, (store, scale) in enumerate(zip(stores, scales, strict=True)):
        try:
            joints = joint_map(store.topology, target, mapping.get(store.meta.name))
        except DataError as error:
            raise DataError(f"dataset {store.meta.name!r}: {error}") from error
        labels = tuple(classes.index(c) for c in store.classes)
        how: dict[str, Any] = {"joints": joints, "scale": scale, "fps": rate, "labels": labels, "bodies": bodies}
        how["rows"] = np.arange(len(store))
        parts.append(Part(store=store, number=n, alone=len(stores) == 1, **how))
    return parts


def _taken(stores: Sequence[Store], without: Mapping[str, str]) -> list[np.ndarray]:
    """Rows of every dataset but those on the test side of a split."""
    unknown = [name for name in without if name not in [s.meta.name for s in stores]]
    if unknown:
        raise ConfigError(f"without: {unknown[0]!r} is none of {', '.join(s.meta.name for s in stores)}")
    rows = []
    for store in stores:
        everything, split = np.arange(len(store)), without.get(store.meta.name)
        rows.append(everything if split is None else np.setdiff1d(everything, make_split(store, split, allow_missing=True).test))
    return rows


def _conventions(stores: Sequence[Store]) -> list[float]:
    """What every dataset's coordinates are multiplied with to become metres; 1 where they are no lengths."""
    first = stores[0]
    for other in stores[1:]:
        pairs = {
            "coordinates a joint": (first.coordinates, other.coordinates),
            "up": (first.up, other.up),
            "normalisation": (", ".join(first.meta.presets) or "none", ", ".join(other.meta.presets) or "none"),
        }
        lengths = first.meta.units in METRES and other.meta.units in METRES
        pairs |= {} if lengths else {"units": (first.meta.units, other.meta.units)}
        for what, (a, b) in pairs.items():
            if a != b:
                raise DataError(
                    f"{first.meta.name!r} and {other.meta.name!r} share no coordinates: {what} {a} and {b}; pool datasets that "
                    "agree, or import one of them again with other settings"
                )
    return [METRES.get(s.meta.units, 1.0) for s in stores]


def _find(topology: Topology | str | Path) -> Topology:
    if isinstance(topology, Topology):
        return topology
    return Topology.from_json(topology) if str(topology).endswith(".json") else find_topology(str(topology))


def _by_dataset(mapping: Mapping[str, Override] | str | Path | None, names: Sequence[str]) -> dict[str, Any]:
    """The part of the mapping that each dataset has; a file is read here, its tables are checked when they are used."""
    where, table = "the joint mapping", mapping
    if isinstance(mapping, str | Path):
        where = str(mapping)
        try:
            table = json.loads(Path(mapping).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{where}: no joint mapping in JSON ({error})") from error
    if table is None:
        return {}
    if not isinstance(table, Mapping) or not set(table) <= set(names) or not all(isinstance(t, Mapping) for t in table.values()):
        raise DataError(f"{where}: wanted one object a dataset, {{{', '.join(names)}}} -> {{target joint: source joint}}")
    return dict(table)


def _write(
    parts: Sequence[Part], name: str, *, classes: Sequence[str], about: Mapping[str, Any], overwrite: bool, progress: bool
) -> Store:
    stamp: dict[str, Any] = {
        "topology": parts[0].joints.target.name,
        "fps": parts[0].fps,
        "bodies": parts[0].bodies,
        "from": [
            {"name": p.store.meta.name, "data": p.store.fingerprint, "clips": len(p.rows), "joints": p.joints.to_dict()}
            for p in parts
        ],
    }
    if check_name(name) in BUILT_IN:
        raise DataError(f"the name {name!r} belongs to the built-in sets; choose another one")
    target = data_home() / name
    if target.is_dir() and (target / "meta.json").is_file():
        there = Store(target)
        if there.meta.provenance.get("pool") == stamp:
            return there
    check_target(target, overwrite=overwrite)
    first = parts[0].store
    return write_store(
        target,
        (clip for part in parts for clip in part.clips()),
        classes=classes,
        bodies=parts[0].bodies,
        units="metre" if first.meta.units in METRES else first.meta.units,
        presets=first.meta.presets,
        provenance={"pool": stamp, "sources": [dict(p.store.meta.provenance) for p in parts]},
        overwrite=overwrite,
        progress=progress,
        total=sum(len(p.rows) for p in parts),
        **about,
    )


def as_layout(
    store: Store, topology: Topology, *, bodies: int | None = None, mapping: Override | str | Path | None = None
) -> Store:
    """The dataset on this skeleton and with this many bodies: itself where it has them, else the dataset ``<name>_as_<layout>``.

    That is made where it is not there, and anew where the data, the mapping or the bodies changed.

    Raises:
        DataError: as ``retarget``; or there is a dataset of that name that was not made here.
    """
    own, M = store.topology, bodies or store.bodies
    if (own.joints, own.parents, own.dims, store.bodies) == (topology.joints, topology.parents, topology.dims, M):
        return store
    name = f"{store.meta.name}_as_{topology.name}"
    there = data_home() / name
    made = there.is_dir() and "pool" in Store(there).meta.provenance
    return retarget(store, topology, name, mapping=mapping, bodies=M, overwrite=made, progress=False)


def clips_seen(store: Store, rows: np.ndarray, other: Store) -> set[str]:
    """Names of clips of ``other`` that stand on these rows of ``store``: it is that dataset, or was made from it."""
    names = {store.ids[r] for r in rows.tolist()}
    if store.fingerprint == other.fingerprint:
        return names
    sources = store.meta.provenance.get("pool", {}).get("from", [])
    ours = [s["name"] for s in sources if s["data"] == other.fingerprint]
    if len(sources) == 1:
        return names if ours else set()
    return {n.removeprefix(f"{source}:") for source in ours for n in names if n.startswith(f"{source}:")}
