"""The numbers behind MaskView: joints of a clip are hidden, a SkeletonMAE guesses them, and the guess is read as positions.

SkeletonMAE guesses directions of feature vectors, never positions; its paper draws skeletons all the same and does not say how.
Here a :class:`ReadOut` turns decoded features into coordinates: one small linear map a joint, fitted by least squares on hidden
joints of training clips while the method stays as it is. How good it is on clips it has not seen is always told, beside two
floors: the mean position of the joint, and the same read-out on the network as it was before the first step. A picture may look
right because the read-out is; only the distance to the floors belongs to the method.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data.loader import Loader
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import evaluating, full_precision
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.skeleton.augment import draw_joints
from skelbench.skeleton.clip import Batch, Clip
from skelbench.skeleton.topology import Topology

FRAMES = 8  # of every clip that a read-out is fitted on
RIDGE = 1e-6  # share of the mean diagonal


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadOut:
    """Linear maps from decoded features to coordinates, one a joint, and how well they do on clips they were not fitted on.

    Distances are means over hidden joints, in the units of the normalised clips.

    Attributes:
        weight: (V, D + 1, C) float32, the last row is added.
        error: held-out distance between guess and truth.
        joints: the same for every joint (V,).
        mean_pose: held-out distance when every joint is put at its mean position of the training clips.
        untrained: held-out distance of a read-out fitted in the same way on an untrained network; nan where it was not asked for.
        clips: how many were held out.
    """

    weight: Tensor
    error: float
    joints: np.ndarray
    mean_pose: float
    untrained: float
    clips: int

    def __call__(self, decoded: Tensor) -> Tensor:
        """Decoded features (..., V, D) -> coordinates (..., V, C)."""
        return _positions(self.weight.to(decoded), decoded)

    @classmethod
    def fit(
        cls,
        method: SkeletonMAE,
        store: Store,
        rows: Sequence[int] | np.ndarray,
        *,
        held_out: Sequence[int] | np.ndarray,
        preset: str = "isc",
        untrained: bool = True,
        generator: torch.Generator,
    ) -> ReadOut:
        """Fit on some clips and measure on others. In every frame one to three parts, or some joints, are hidden at random.

        Args:
            method: pre-trained; stays as it is.
            store: where the clips are.
            rows: to fit on.
            held_out: to measure on; of other people, or the number says little.
            preset: normalisation the method was trained with.
            untrained: measure the untrained floor, too; it takes the same time again.
            generator: of hidden joints, frames and the untrained weights.

        Raises:
            DataError: a clip is in both sets, or one of them holds no body.
        """
        rows, held_out = np.asarray(rows, np.int64), np.asarray(held_out, np.int64)
        if not len(held_out) or len(np.intersect1d(rows, held_out)):
            raise DataError("a read-out is measured on clips it was not fitted on: held_out must name some, and none of rows")
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        weight, mean = _fit(method, store, rows, preset, seed)
        error, by_joint = _measure(method, store, held_out, preset, seed + 1, weight)
        mean_pose, _ = _measure(method, store, held_out, preset, seed + 1, mean)
        floor = float("nan")
        if untrained:
            shape: dict[str, Any] = {"bodies": method.bodies, "coordinates": method.coordinates, "classes": 0}
            fresh = torch.Generator().manual_seed(seed)
            beginner = type(method).build(method.config, topology=method.topology, generator=fresh, **shape).to(method.token.device)
            floor, _ = _measure(beginner, store, held_out, preset, seed + 1, _fit(beginner, store, rows, preset, seed)[0])
        return cls(
            weight=weight.float().cpu(), error=error, joints=by_joint, mean_pose=mean_pose, untrained=floor, clips=len(held_out)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """One clip with some joints hidden and guessed. Bodies that are absent in a frame are nan throughout.

    Attributes:
        hidden: which joints were (V,) bool.
        joints: as given where seen, guessed where hidden (T, M, V, C).
        distance: between guess and truth, 0 where seen (T, M, V).
        cosine: 1 - cosine of decoded and target feature, what the loss is made of (T, M, V); 0 where seen.
    """

    hidden: np.ndarray
    joints: np.ndarray
    distance: np.ndarray
    cosine: np.ndarray

    def by_joint(self, what: str = "distance") -> np.ndarray:
        """Mean of ``distance`` or ``cosine`` over frames and bodies (V,), nan where seen."""
        values = np.where(self.hidden, getattr(self, what), np.nan)
        return _mean(values, (0, 1))

    def by_frame(self, what: str = "distance") -> np.ndarray:
        """Mean over bodies and hidden joints (T,), nan where nothing is hidden or nobody is there."""
        values = np.where(self.hidden, getattr(self, what), np.nan)
        return _mean(values, (1, 2))

    def mean(self, what: str = "distance") -> float:
        """Mean over everything hidden; nan where nothing is."""
        return float(_mean(np.where(self.hidden, getattr(self, what), np.nan), (0, 1, 2)))


class MaskStudy:
    """One clip, a frozen copy of a SkeletonMAE, and what it guesses whichever joints are hidden.

    Args:
        method: is copied as it is now, so that it may go on training.
        batch: the one clip, normalised as the method was trained.
        readout: fitted to the method.
        fps: frames a second.
        up: which way up the normalised coordinates point.
        unit: of the coordinates.

    Attributes:
        parts: the six parts, name -> joints; empty where the skeleton has fewer than six.
        clip: the normalised clip.
    """

    def __init__(
        self, method: SkeletonMAE, batch: Batch, readout: ReadOut, *, fps: float = 30.0, up: str = "y", unit: str = "metre"
    ) -> None:
        if len(batch) != 1 or not int(batch.lengths[0]):
            raise DataError(f"a study looks at one clip with frames, got {len(batch)}")
        self.method, self.readout, self.unit = copy.deepcopy(method).eval().requires_grad_(False), readout, unit
        self.topology: Topology = method.topology
        self.parts = dict(method.parts)
        T, C = int(batch.lengths[0]), method.coordinates
        joints = batch.joints[0, :C, :T].permute(1, 3, 2, 0).contiguous().to(method.token)  # (T, M, V, C)
        self._present = batch.present[0, :T].to(joints.device)  # (T, M)
        self._graphs = joints[self._present]  # (G, V, C)
        self.clip = Clip(
            joints=(joints * self._present[:, :, None, None]).cpu().numpy(),
            topology=self.topology,
            fps=fps,
            label=int(batch.labels[0]),
            id=batch.ids[0],
            up=up,
        )

    @classmethod
    def of(
        cls,
        method: SkeletonMAE,
        store: Store,
        row: int,
        *,
        rows: Sequence[int] | np.ndarray,
        held_out: Sequence[int] | np.ndarray,
        preset: str = "isc",
        readout: ReadOut | None = None,
        generator: torch.Generator | None = None,
    ) -> MaskStudy:
        """A study of clip ``row``, with a read-out fitted on ``rows`` and measured on ``held_out`` unless one is given."""
        loader = Loader(store, [row], batch_size=1, preset=preset, shuffle=False, cache=False)
        if readout is None:
            draws = generator or torch.Generator().manual_seed(0)
            readout = ReadOut.fit(method, store, rows, held_out=held_out, preset=preset, generator=draws)
        up = "z" if loader.preset.vertical == 2 else store.up
        unit = loader.preset.units or store.meta.units
        return cls(method, next(iter(loader.batches())), readout, fps=store[row].fps, up=up, unit=unit)

    @property
    def V(self) -> int:
        return self.topology.V

    def hidden(self, *, parts: Iterable[str | int] = (), joints: Iterable[str | int] = ()) -> np.ndarray:
        """Which joints these parts and joints are (V,) bool; both by name or number.

        Raises:
            ConfigError: no part or joint of that name or number; the message lists those there are.
        """
        mask, names = np.zeros(self.V, bool), list(self.parts)
        for part in parts:
            known = names[part] if isinstance(part, int) and 0 <= part < len(names) else part
            if known not in self.parts:
                raise ConfigError(f"no part {part!r}; there are: {', '.join(names) or 'none, the skeleton has too few joints'}")
            mask[list(self.parts[str(known)])] = True
        for joint in joints:
            number = self.topology.joint(joint) if isinstance(joint, str) else int(joint)
            if not 0 <= number < self.V:
                raise ConfigError(f"no joint {joint}; {self.topology.name!r} has 0 .. {self.V - 1}")
            mask[number] = True
        return mask

    def draw(self, ratio: float, generator: torch.Generator) -> np.ndarray:
        """So large a share of the joints, drawn (V,) bool; at least one is hidden and one seen."""
        if not 0 < ratio < 1:
            raise ConfigError(f"ratio={ratio} must lie between 0 and 1: some joints hidden, some to see")
        return draw_joints(1, self.V, min(max(round(ratio * self.V), 1), self.V - 1), generator=generator)[0].numpy()

    @torch.no_grad()
    def reconstruct(self, hidden: np.ndarray, *, remask: bool | None = None) -> Reconstruction:
        """Hide these joints (V,) in every frame and guess them.

        Args:
            hidden: (V,) bool; at least one joint must be left to see.
            remask: zero hidden joints again before the decoder; as the method is set where left out.

        Raises:
            ConfigError: another number of joints, or all of them.
        """
        mask = np.asarray(hidden, bool)
        if mask.shape != (self.V,) or mask.all():
            given = f"{int(mask.sum())} set of {mask.shape}"
            raise ConfigError(f"hidden is one flag for each of {self.V} joints, and one joint at least must be seen; got {given}")
        flags = torch.from_numpy(mask).to(self._graphs.device)
        made = self.method.guess(self._graphs, flags, remask=remask)
        joints = torch.where(flags[:, None], self.readout(full_precision(made.y)).to(self._graphs), self._graphs)
        zero = torch.zeros_like(joints[..., 0])
        return Reconstruction(
            hidden=mask,
            joints=self._placed(joints),
            distance=self._placed((joints - self._graphs).norm(dim=-1)),
            cosine=self._placed(torch.where(flags, 1 - full_precision(made.cosine).to(zero), zero)),
        )

    def _placed(self, values: Tensor) -> np.ndarray:
        """Values of the bodies (G, ...) in their frames (T, M, ...), nan where a body is absent."""
        full = values.new_full((*self._present.shape, *values.shape[1:]), float("nan"))
        full[self._present] = values
        return full.cpu().numpy()


def hops(edges: Tensor, hidden: np.ndarray) -> np.ndarray:
    """Bones from every joint to the nearest one that is seen (V,): 0 where seen itself, -1 where none can be reached.

    An encoder of L layers and a decoder of one hear of a joint that is at most L + 1 bones away.
    """
    near, reached = edges.cpu().numpy() > 0, ~np.asarray(hidden, bool)
    far = np.where(reached, 0, -1)
    step = 0
    while reached.any():
        step += 1
        new = near[reached].any(axis=0) & (far < 0)
        if not new.any():
            break
        far[new] = step
        reached = new
    return far


def _hidden(method: SkeletonMAE, G: int, generator: torch.Generator) -> Tensor:
    """What is hidden in G graphs while a read-out is fitted or measured (G, V): one to three parts, or a share of the joints."""
    V, table = method.topology.V, method.membership.cpu().float()
    share = torch.rand(G, 1, generator=generator) * 0.5  # up to half of the joints
    joints = torch.rand(G, V, generator=generator).argsort(dim=1).argsort(dim=1) < (share * V).ceil()
    if not len(table):
        return joints
    count = torch.randint(1, 4, (G, 1), generator=generator)
    drawn = (torch.rand(G, len(table), generator=generator).argsort(dim=1).argsort(dim=1) < count).float() @ table > 0
    return torch.where(torch.rand(G, 1, generator=generator) < 0.5, drawn, joints)


@torch.no_grad()
def _guesses(
    method: SkeletonMAE, store: Store, rows: np.ndarray, preset: str, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of decoded features (G, V, D), positions (G, V, C) and hidden joints (G, V), in float64."""
    generator, found = torch.Generator().manual_seed(seed), False
    with evaluating(method):
        for batch in Loader(store, rows, batch_size=64, preset=preset, shuffle=False, cache=False).batches():
            graphs = method.frames(batch.to(method.token.device), generator, frames=FRAMES).graphs
            hidden = _hidden(method, len(graphs), generator).to(graphs.device)
            found |= bool(len(graphs))
            yield method.guess(graphs, hidden).y.double(), graphs.double(), hidden
    if not found:
        raise DataError(f"no body is there in any of the {len(rows)} clips a read-out needs")


def _fit(method: SkeletonMAE, store: Store, rows: np.ndarray, preset: str, seed: int) -> tuple[Tensor, Tensor]:
    """Least squares for every joint (V, D + 1, C), and the same for a map that knows only the mean position."""
    gram: Tensor | None = None
    for y, x, hidden in _guesses(method, store, rows, preset, seed):
        one = torch.cat([y, torch.ones_like(y[..., :1])], dim=2) * hidden[..., None]  # (G, V, D + 1)
        both = torch.cat([one, x * hidden[..., None]], dim=2)
        product = torch.einsum("gvi,gvj->vij", one, both)  # (V, D + 1, D + 1 + C)
        gram = product if gram is None else gram + product
    assert gram is not None
    D = gram.shape[1]
    A, B = gram[..., :D], gram[..., D:]
    scale = A.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(A.dtype).tiny)
    weight = torch.linalg.solve(A + RIDGE * scale[:, None, None] * torch.eye(D, dtype=A.dtype, device=A.device), B)
    mean = torch.zeros_like(weight)
    mean[:, -1] = B[:, -1] / A[:, -1, -1:].clamp_min(1)
    return weight, mean


def _measure(
    method: SkeletonMAE, store: Store, rows: np.ndarray, preset: str, seed: int, weight: Tensor
) -> tuple[float, np.ndarray]:
    """Mean distance over hidden joints, and for every joint (V,)."""
    total, count = torch.zeros(len(weight), dtype=torch.float64), torch.zeros(len(weight), dtype=torch.float64)
    for y, x, hidden in _guesses(method, store, rows, preset, seed):
        distance = (_positions(weight, y) - x).norm(dim=2) * hidden
        total, count = total + distance.sum(dim=0).cpu(), count + hidden.sum(dim=0).cpu()
    return float(total.sum() / count.sum()), (total / count).numpy()


def _positions(weight: Tensor, y: Tensor) -> Tensor:
    return torch.einsum("...vd,vdc->...vc", y, weight[:, :-1]) + weight[:, -1]


def _mean(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean over what is not nan; nan where nothing is."""
    there = np.isfinite(values)
    count = there.sum(axis=axes)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=axes) / np.where(count > 0, count, np.nan)
