"""The datasets that recipes run on: how to know one, where to get it, and made-up clips of its shape for a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data import Store, data_home, load, write_store
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology

PICTURE = (1920, 1080)  # of the made-up poses in 2D


@dataclass(frozen=True, kw_only=True)
class KnownData:
    """A public dataset in the form a recipe wants it in.

    Attributes:
        key: its name here; datasets are looked for under it unless the user says otherwise.
        title: what its authors call it.
        classes: how many.
        layout: name of the joint layout.
        bodies: M.
        get: what to get, and from whom. Nothing is ever downloaded.
        command: brings it in.
        phase: of PKU-MMD; else None.
    """

    key: str
    title: str
    classes: int
    layout: str
    bodies: int
    get: str
    command: str
    phase: int | None = None

    def differences(self, store: Store, split: str) -> list[str]:
        """Why a store is not this dataset; nothing where it is."""
        wanted, split = topology(self.layout), split.partition("@")[0]  # a subset is drawn from a split that is listed
        phase = store.meta.provenance.get("phase")
        checks = [
            (
                store.topology.joints == wanted.joints,
                f"{store.topology.V} joints of {store.topology.name!r}, wanted {self.layout!r}",
            ),
            (len(store.classes) == self.classes, f"{len(store.classes)} classes, wanted {self.classes}"),
            (split in store.meta.splits, f"no split {split!r} (it lists: {', '.join(store.meta.splits) or 'none'})"),
            (self.phase in (None, phase), f"phase {phase}, wanted {self.phase}"),
        ]
        return [text for holds, text in checks if not holds]

    def open(self, name: str | Path | None, split: str, *, recipe: str) -> Store:
        """The dataset, opened.

        Raises:
            DataError: it is not here, with what to get and where it goes; or what is there under the name is something else.
        """
        called = self.key if name is None else str(name)
        try:
            store = load(called if name is None else name)
        except DataError as error:
            if "no dataset" not in str(error):
                raise
            raise DataError(
                f"recipe {recipe!r} runs on {self.title}, and there is no dataset {called!r} under {data_home()}. Get "
                f"{self.get}; then: {self.command} (it goes to {data_home() / self.key}). Under another name, give it with --data"
            ) from error
        wrong = self.differences(store, split)
        if wrong:
            raise DataError(
                f"recipe {recipe!r} runs on {self.title}; the dataset {called!r} has {'; '.join(wrong)}. {self.command}"
            )
        return store

    def made_up(self, folder: Path, split: str, *, clips: int = 12) -> Store:
        """A few clips of the right shape, of two classes and four subjects, for a look at whether everything runs."""
        flat = topology(self.layout).dims == 2
        return write_store(
            folder / self.key,
            self._clips(clips),
            classes=[f"class {n}" for n in range(self.classes)],
            bodies=self.bodies,
            splits={split.partition("@")[0]: {"by": "subject", "train": [1, 2, 3], "test": [4]}},
            units="pixel" if flat else "metre",
            extra={"image": True} if flat else {},
        )

    def _clips(self, count: int) -> Iterator[Clip]:
        rng, layout = np.random.default_rng(0), topology(self.layout)
        for i in range(count):
            T = int(rng.integers(64, 101))
            shape = (1, self.bodies, layout.V, 3)
            x = 0.5 * rng.normal(size=shape) + np.cumsum(0.01 * rng.normal(size=(T, *shape[1:])), axis=0)
            about: dict[str, Any] = {"subject": 1 + i * 4 // count}
            if layout.dims == 2:  # pixels and a score
                x = np.concatenate([np.array(PICTURE) * (0.5 + 0.1 * x[..., :2]), np.ones_like(x[..., :1])], axis=-1)
                about |= {"width": PICTURE[0], "height": PICTURE[1]}
            yield Clip(joints=x.astype(np.float32), topology=layout, label=i % 2, id=f"made-up {i}", about=about)


_ROSE = "from the ROSE Lab (request form at rose1.ntu.edu.sg)"
_PYSKL = "from the list of skeleton annotations of the PYSKL project"
_PKU = "from the authors of PKU-MMD (by e-mail), unpacked into one folder with the label files and split files"
_60, _120 = "nturgbd_skeletons_s001_to_s017.zip", "nturgbd_skeletons_s018_to_s032.zip"

NTU60 = KnownData(
    key="ntu60",
    title="NTU RGB+D 60, Kinect skeletons",
    classes=60,
    layout="kinect_v2_25",
    bodies=2,
    get=f"{_60} {_ROSE}",
    command=f"skelbench data import {_60} --name ntu60 persons=agcn --split xsub",
)
NTU120 = KnownData(
    key="ntu120",
    title="NTU RGB+D 120, Kinect skeletons",
    classes=120,
    layout="kinect_v2_25",
    bodies=2,
    get=f"{_60} and {_120} {_ROSE}, unpacked into one folder",
    command="skelbench data import FOLDER --name ntu120 persons=agcn --split xsub",
)
PKU1 = KnownData(
    key="pku1",
    title="PKU-MMD phase I, cut by its labels",
    classes=51,
    layout="kinect_v2_25",
    bodies=2,
    get=f"Skeleton.7z and Label_PKUMMD.7z {_PKU}",
    command="skelbench data import FOLDER --name pku1 --split xsub",
    phase=1,
)
PKU2 = KnownData(
    key="pku2",
    title="PKU-MMD phase II, cut by its labels",
    classes=51,
    layout="kinect_v2_25",
    bodies=2,
    get=f"Skeleton_v2.7z and Label_PKUMMD_v2.7z {_PKU}",
    command="skelbench data import FOLDER --name pku2 --split xsub",
    phase=2,
)
NTU60_2D = KnownData(
    key="ntu60_2d",
    title="NTU RGB+D 60, HRNet poses",
    classes=60,
    layout="coco_17",
    bodies=2,
    get=f"ntu60_hrnet.pkl {_PYSKL}",
    command="skelbench data import ntu60_hrnet.pkl --name ntu60_2d --split xsub",
)
NTU120_2D = KnownData(
    key="ntu120_2d",
    title="NTU RGB+D 120, HRNet poses",
    classes=120,
    layout="coco_17",
    bodies=2,
    get=f"ntu120_hrnet.pkl {_PYSKL}",
    command="skelbench data import ntu120_hrnet.pkl --name ntu120_2d --split xsub",
)
NTU60_3D = KnownData(
    key="ntu60_3d",
    title="NTU RGB+D 60, Kinect skeletons as PYSKL has them",
    classes=60,
    layout="kinect_v2_25",
    bodies=2,
    get=f"ntu60_3danno.pkl {_PYSKL}",
    command="skelbench data import ntu60_3danno.pkl --name ntu60_3d --split xsub",
)
NTU120_3D = KnownData(
    key="ntu120_3d",
    title="NTU RGB+D 120, Kinect skeletons as PYSKL has them",
    classes=120,
    layout="kinect_v2_25",
    bodies=2,
    get=f"ntu120_3danno.pkl {_PYSKL}",
    command="skelbench data import ntu120_3danno.pkl --name ntu120_3d --split xsub",
)
GYM99 = KnownData(
    key="gym99",
    title="FineGYM 99, HRNet poses",
    classes=99,
    layout="coco_17",
    bodies=2,
    get=f"gym_hrnet.pkl {_PYSKL}",
    command="skelbench data import gym_hrnet.pkl --name gym99 --split official",
)
_SHREC = "HandGestureDataset_SHREC2017 from the organisers of the SHREC 2017 track, unpacked"
SHREC14 = KnownData(
    key="shrec14",
    title="SHREC 2017 track, 14 hand gestures",
    classes=14,
    layout="shrec17_hand_22",
    bodies=1,
    get=_SHREC,
    command="skelbench data import FOLDER --name shrec14 --split official",
)
SHREC28 = KnownData(
    key="shrec28",
    title="SHREC 2017 track, 28 hand gestures",
    classes=28,
    layout="shrec17_hand_22",
    bodies=1,
    get=_SHREC,
    command="skelbench data import FOLDER --name shrec28 classes=28 --split official",
)
_NTUX = "the HDF5 files in the form of NTU-X, which was never released: estimated from the videos of NTU RGB+D"
NTU60X = KnownData(
    key="ntu60x",
    title="NTU60-X, body and fingers",
    classes=60,
    layout="ntu_x_67",
    bodies=2,
    get=_NTUX,
    command="skelbench data import FOLDER --name ntu60x face=false --split xsub",
)
NTU120X = KnownData(
    key="ntu120x",
    title="NTU120-X, body and fingers",
    classes=120,
    layout="ntu_x_67",
    bodies=2,
    get=_NTUX,
    command="skelbench data import FOLDER --name ntu120x face=false --split xsub",
)
