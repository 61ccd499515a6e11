"""Named recipes that bring clips of any camera into one frame of reference, each for a whole padded batch at once.

The same clip is a different tensor in every code base of the field. Published accuracies belong to one of them:

| preset | bodies | frames without a body | origin | turn, unit | lone body's partner | frames |
|---|---|---|---|---|---|---|
| none | of the store | kept | camera | | | |
| stgcn | first two in the file | kept | camera | | zeros | 300, padded |
| isc, agcn | most energy | filled by replay | spine, each frame | upright | zeros | 300, replayed; 64, resized |
| ctrgcn, psumnet | tracks, no noise | kept | spine, frame 0 | | zeros | 300, padded; 64, resized |
| ctrgcn120 | tracks, no noise | kept | spine, frame 0 | | a copy | 300, padded; 64, resized |
| pyskl, brl | tracks, no noise | dropped | spine, frame 0 | upright | zeros | 100 (brl 64), drawn |
| pyskl2d, pyskl2d_auto | of the file | kept | middle of picture, box | half of it | zeros | 100, drawn |
| kinetics | best score a frame | kept | middle of picture | | zeros | 300, padded |
| nwucla | one | kept | spine, frame 0 | axes to -1 .. 1 | | 52, evenly |
| shrec | one hand | kept | wrist, frame 0 | wrist to finger | | 180, padded |
| mamp_pku | slots of the file | kept | camera | | zeros | 300, cut; 120, resized |

"Upright" is frame 0 with the spine along z and the shoulders along x. Frame 0 is the first one in which body 0 is seen.

``run`` does origin, size and turn, and drops frames. Which bodies are kept is decided when a dataset is read (``persons``); how
many frames a network sees is for the method (``length`` says what is published, :mod:`skelbench.skeleton.sampling` does it).

A dataset may be stored normalised; ``meta.presets`` then names the preset. It is not applied again, and asking for another one is
refused: :func:`to_apply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton import preset_steps as steps
from skelbench.skeleton.clip import check_joints, check_lengths
from skelbench.skeleton.geometry import centre_per_frame, fill_null_frames, minimal_rotation, rotate_to
from skelbench.skeleton.preset_steps import Steps
from skelbench.skeleton.topology import Topology

__all__ = [
    "PRESETS",
    "Length",
    "Preset",
    "centre_per_frame",
    "fill_null_frames",
    "minimal_rotation",
    "preset",
    "rotate_to",
    "to_apply",
]


@dataclass(frozen=True, kw_only=True)
class Length:
    """One step that brings clips to a common length.

    Attributes:
        rule: ``pad`` with zeros, ``replay`` from the start, ``cut`` off the end, ``crop_resize`` a stretch linearly, draw frames
            ``uniform``-ly from equal parts, or take them ``evenly``.
        frames: the length.
    """

    rule: Literal["pad", "replay", "cut", "crop_resize", "uniform", "evenly"]
    frames: int


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One named normalisation.

    Attributes:
        name: key in ``PRESETS``.
        doc: one line for people.
        lateral: coordinate that runs from the left to the right shoulder afterwards; what a mirror negates.
        vertical: coordinate that points up afterwards (down in pictures); what a turn of the body turns about.
        steps: the work, ``(joints (N, C, T, V, M), lengths (N,), topology, size (N, 2) or None) -> (joints, lengths)``.
        persons: rule by which bodies are chosen where a file has more, a key of ``skelbench.skeleton.persons.PERSONS``; None keeps
            those of the source.
        gaps: what happens to frames without a body: ``kept``, ``filled`` or ``dropped``.
        second: the second body of a clip of one: ``zeros`` or ``copy``; None where there is no second.
        length: published steps to a common length.
        units: of the coordinates afterwards; empty: as before.
        picture: uses the size of the picture, where it is known.
        empty: clips without any body are ``kept`` or ``dropped`` when a dataset is imported.
    """

    name: str
    doc: str
    lateral: int = 0
    vertical: int = 1
    steps: Steps
    persons: str | None = None
    gaps: Literal["kept", "filled", "dropped"] = "kept"
    second: Literal["zeros", "copy"] | None = None
    length: tuple[Length, ...] = ()
    units: str = ""
    picture: bool = False
    empty: Literal["kept", "dropped"] = "kept"

    def run(self, joints: Tensor, lengths: Tensor, topology: Topology, *, size: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised joints, same shape, dtype and device, and how many frames each clip has now.

        Frames at and after a clip's new length are zero. Presets that drop frames move the others to the front.

        Args:
            joints: (N, C, T, V, M); with C = dims + 1 the last channel is a score and stays as it is.
            lengths: (N,), frames each clip has before the padding.
            topology: names the joints that centring and turning need.
            size: (N, 2), width and height of the picture in the units of the coordinates; 0 unknown.

        Raises:
            DataError: shapes do not fit each other or the topology, a length is outside 0..T, or the topology or the clips lack
                what the preset needs.
        """
        check_joints(joints, topology)
        check_lengths(joints, lengths)
        if size is not None and size.shape != (joints.shape[0], 2):
            raise DataError(
                f"sizes of pictures have shape {tuple(size.shape)}, wanted ({joints.shape[0]}, 2): width and height a clip"
            )
        return self.steps(joints, lengths, topology, size if self.picture else None)

    def apply(self, joints: Tensor, lengths: Tensor, topology: Topology, *, size: Tensor | None = None) -> Tensor:
        """The joints of :meth:`run`, for presets that drop no frames, or where the lengths do not matter."""
        return self.run(joints, lengths, topology, size=size)[0]


_RESIZED = Length(rule="crop_resize", frames=64)
_PAD300 = Length(rule="pad", frames=300)


def _all() -> list[Preset]:
    recorded = "as recorded: metres in the sensor's frame, y up"
    isc = Preset(
        name="isc",
        doc="null frames filled, each frame centred on the spine, spine to +z, shoulders to +x (ISC, HaLP)",
        vertical=2,
        steps=steps.isc,
        persons="agcn",
        gaps="filled",
        second="zeros",
        length=(Length(rule="replay", frames=300), _RESIZED),
    )
    ctrgcn = Preset(
        name="ctrgcn",
        doc="centred on the spine of the first frame, no turn (CTR-GCN, NTU 60); a lone body's partner is zeros",
        steps=steps.ctrgcn,
        persons="ctrgcn",
        second="zeros",
        length=(_PAD300, _RESIZED),
    )
    copied = "as ctrgcn, a lone body stands in both slots (CTR-GCN, NTU 120)"
    pyskl = Preset(
        name="pyskl",
        doc="frames without body 0 dropped, centred on the spine of the first, spine to +z, shoulders to +x (PYSKL, 3D)",
        vertical=2,
        steps=steps.pyskl,
        persons="pyskl",
        gaps="dropped",
        second="zeros",
        length=(Length(rule="uniform", frames=100),),
    )
    picture = Preset(
        name="pyskl2d",
        doc="pixels of the picture to -1 .. 1, joints of no score to 0 (PYSKL, 2D)",
        steps=steps.pyskl2d,
        second="zeros",
        length=pyskl.length,
        units="half picture",
        picture=True,
    )
    box = "the box of a clip's joints to -1 .. 1, joints of no score to 0 (PYSKL, 2D, no picture size)"
    return [
        Preset(name="none", doc=recorded, steps=steps.as_recorded),
        isc,
        replace(isc, name="agcn", doc="the same as isc, under the name of 2s-AGCN"),
        Preset(
            name="stgcn",
            doc=f"{recorded} (ST-GCN)",
            steps=steps.as_recorded,
            persons="stgcn",
            second="zeros",
            length=(_PAD300,),
        ),
        ctrgcn,
        replace(ctrgcn, name="ctrgcn120", doc=copied, steps=steps.ctrgcn120, second="copy", persons="ctrgcn120"),
        replace(ctrgcn, name="psumnet", doc="as ctrgcn (PSUMNet); for NTU 120 take ctrgcn120, for hands shrec", length=(_RESIZED,)),
        pyskl,
        replace(pyskl, name="brl", doc="as pyskl, 64 frames (BRL)", length=(Length(rule="uniform", frames=64),)),
        picture,
        replace(picture, name="pyskl2d_auto", doc=box, steps=steps.pyskl2d_auto, units="half box"),
        Preset(
            name="kinetics",
            doc="middle of the picture to 0, joints of score 0 to 0 (ST-GCN, Kinetics skeletons)",
            steps=steps.kinetics,
            second="zeros",
            length=(_PAD300,),
            units="image",
            picture=True,
        ),
        Preset(
            name="nwucla",
            doc="centred on the spine of frame 0, every axis to -1 .. 1 (CTR-GCN, NW-UCLA)",
            steps=steps.nwucla,
            length=(Length(rule="evenly", frames=52),),
            units="half range of the clip",
        ),
        Preset(
            name="shrec",
            doc="wrist of frame 0 to 0, wrist to middle finger as unit (DSTA-Net and PSUMNet, SHREC'17)",
            steps=steps.shrec,
            length=(Length(rule="pad", frames=180),),
            units="wrist to middle finger",
        ),
        Preset(
            name="mamp_pku",
            doc="as recorded, cut at 300 frames (MAMP, PKU-MMD)",
            steps=steps.mamp_pku,
            second="zeros",
            length=(Length(rule="cut", frames=300), Length(rule="crop_resize", frames=120)),
            empty="dropped",
        ),
    ]


PRESETS: dict[str, Preset] = {p.name: p for p in _all()}


def preset(name: str) -> Preset:
    """A normalisation by name. Raises ConfigError listing the names there are."""
    if name not in PRESETS:
        raise ConfigError(f"no preset called {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]


def to_apply(name: str, baked: Sequence[str], *, where: str) -> Preset:
    """What is left to do for clips that were stored with the presets ``baked``, when preset ``name`` is wanted.

    Nothing where the store has it already under this or an equal name (``agcn`` is ``isc``), or where ``none`` is asked for: the
    clips come as they are stored, and the axes are those of the stored preset. Entries of ``baked`` that are no preset of this
    module (free notes of a source) and those that only record coordinates as they are, do not count.

    Args:
        name: preset wanted.
        baked: ``meta.presets`` of the store.
        where: names the store in the message.

    Raises:
        ConfigError: no such preset, or the store was normalised in another way.
    """
    wanted = preset(name)
    there = [PRESETS[b] for b in baked if b in PRESETS and PRESETS[b].steps is not steps.as_recorded]
    if not there:
        return wanted
    last = there[-1]
    if wanted.steps not in (last.steps, steps.as_recorded):
        raise ConfigError(
            f"{where} was stored with the preset {last.name!r}, so {name!r} cannot be applied; "
            f"ask for {last.name!r} or 'none', or import the dataset again without a preset"
        )
    return replace(last, name=name, steps=steps.as_recorded)
