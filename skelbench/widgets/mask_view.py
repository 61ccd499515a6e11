"""MaskView: click parts of a moving body, they are hidden from a SkeletonMAE, and its guess moves beside the truth."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets

from skelbench.errors import ConfigError
from skelbench.explain.masking import MaskStudy, ReadOut, Reconstruction, hops
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.widgets.filmstrip import PITCH, YAW
from skelbench.widgets.mask_picture import picture
from skelbench.widgets.modules import PLAYER, source
from skelbench.widgets.player import SVG, Playing
from skelbench.widgets.scene import scene_over

if TYPE_CHECKING:
    from skelbench.train.run import Run

COSINE_MOST = 0.25  # 1 - cos at the upper end of the colours
FIT, HELD = 400, 200  # most clips a read-out is fitted and measured on


class MaskView(Playing):
    """A clip beside what a SkeletonMAE guesses of its hidden joints; click parts, draw random joints, switch re-masking.

    Click a part of the body (or its name, or the keys 1 to 6) to hide or show it; shift-click, or ``single``, for one joint. The
    guess stands over thin lines of the truth and is coloured by its error. Everything else is as in ``SkeletonPlayer``. What can be
    set can be read: ``masked``, ``ratio``, ``draw``, ``single``, ``over``, ``remask``, ``colour`` and those of the player.

    Args:
        study: clip, method and read-out; ``MaskView.of(run)`` makes one.
        parts: hidden to begin with, by name or number; those the method was trained with, or one arm, where left out.
        joints: single joints hidden to begin with.
        height: of the picture in pixels.
        playing: start at once.
        over: one picture, the guess over the truth, instead of two side by side.

    Raises:
        ConfigError: no part or joint of that name.
    """

    _esm = source(*PLAYER, "mask_view.js")

    _numbers = traitlets.Dict().tag(sync=True)
    masked = traitlets.List(traitlets.Int(), help="Joints that are hidden.").tag(sync=True)
    ratio = traitlets.Float(0.3, help="Share of the joints that a random draw hides.").tag(sync=True)
    draw = traitlets.Int(0, min=0, help="Number of the random draw.").tag(sync=True)
    single = traitlets.Bool(False, help="A click hides one joint, not its part.").tag(sync=True)
    over = traitlets.Bool(False, help="One picture instead of two.").tag(sync=True)
    remask = traitlets.Bool(False, help="Zero hidden joints again before the decoder.").tag(sync=True)
    colour = traitlets.Enum(("distance", "cosine"), "distance", help="What the colours say.").tag(sync=True)

    _STATE = (*Playing._STATE, "masked", "ratio", "draw", "single", "over", "remask", "colour")

    def __init__(
        self,
        study: MaskStudy,
        *,
        parts: Iterable[str | int] | None = None,
        joints: Iterable[str | int] = (),
        height: int = 340,
        playing: bool = True,
        over: bool = False,
    ) -> None:
        self.study, self._lock = study, threading.RLock()
        joints = list(joints)
        if parts is None:
            config = study.method.config
            parts = () if joints or not study.parts else config.parts if config.masking == "parts" else (2,)
        hidden = study.hidden(parts=parts, joints=joints)
        self._good, remask = hidden, bool(study.method.config.remask)
        self._found = study.reconstruct(hidden, remask=remask)
        super().__init__(
            _scene=self._drawn("distance"),
            _numbers=self._told(),
            _clock=uuid.uuid4().hex,
            masked=np.flatnonzero(hidden).tolist(),
            remask=remask,
            over=over,
            playing=playing,
            height=height,
            camera=[YAW, PITCH, 1.0],
        )
        self.observe(self._redrawn, names=["ratio", "draw"])
        self.observe(self._changed, names=["masked", "remask", "colour"])

    @classmethod
    def of(
        cls,
        run: Run,
        row: int | None = None,
        *,
        readout: ReadOut | None = None,
        seed: int = 0,
        **more: Any,
    ) -> MaskView:
        """The view for a run of SkeletonMAE: a read-out fitted on its training clips, measured on its validation clips.

        Args:
            run: trained, or still training.
            row: of the store; a validation clip where left out.
            readout: one that was fitted before.
            seed: of the read-out's draws.
            more: as for the class.

        Raises:
            ConfigError: a run of another method.
        """
        if not isinstance(run.method, SkeletonMAE):
            raise ConfigError(f"MaskView shows what a SkeletonMAE guesses; this is a run of {run.method.name!r}")
        held = run.split.validation if len(run.split.validation) else run.split.test
        study = MaskStudy.of(
            run.method,
            run.store,
            int(held[0]) if row is None else int(row),
            rows=_some(run.split.train, FIT),
            held_out=_some(held, HELD),
            preset=run.config.train.normalise,
            readout=readout,
            generator=torch.Generator().manual_seed(seed),
        )
        return cls(study, **more)

    def hide(self, *parts: str | int, joints: Iterable[str | int] = ()) -> MaskView:
        """Hide these parts and joints and no others; none at all shows everything. Returns the view."""
        self.masked = np.flatnonzero(self.study.hidden(parts=parts, joints=joints)).tolist()
        return self

    @property
    def reconstruction(self) -> Reconstruction:
        """What is drawn, as numbers."""
        return self._found

    def _redrawn(self, change: Any) -> None:
        """Random joints: the same draw at another ratio keeps those it had, so that a slider adds joint after joint."""
        ratio = float(np.clip(self.ratio, 0.01, 0.99))
        drawn = self.study.draw(ratio, torch.Generator().manual_seed(self.draw))
        self.masked = np.flatnonzero(drawn).tolist()

    def _changed(self, change: Any) -> None:
        """Runs on whatever thread the message came in on."""
        with self._lock:
            wanted = np.zeros(self.study.V, bool)
            known = [j for j in self.masked if 0 <= j < self.study.V]
            wanted[known] = True
            if wanted.all() or len(known) != len(self.masked):
                self.masked = np.flatnonzero(self._good).tolist()
                raise ConfigError(
                    f"masked={change['new']}: joints are 0 .. {self.study.V - 1}, and one at least must be left to see"
                )
            self._good = wanted
            self._found = self.study.reconstruct(wanted, remask=self.remask)
            with self.hold_sync():
                self._scene, self._numbers = self._drawn(self.colour), self._told()

    def _factor(self) -> tuple[float, str]:
        return (100.0, "cm") if self.study.unit == "metre" else (1.0, self.study.unit or "units")

    def _most(self) -> dict[str, float]:
        """Errors at the upper end of the colours: fixed, so that two pictures can be compared."""
        return {"distance": 2.5 * self.study.readout.error * self._factor()[0], "cosine": COSINE_MOST}

    def _drawn(self, colour: str) -> dict[str, Any]:
        heat = getattr(self._found, colour) * (self._factor()[0] if colour == "distance" else 1.0)
        scene = scene_over(self.study.clip, self._found.joints, heat=heat, heat_range=(0.0, self._most()[colour]))
        scene["clips"][0]["hidden"] = self._found.hidden.astype(int).tolist()
        return {**scene, "unit": self._factor()[1] if colour == "distance" else ""}

    def _told(self) -> dict[str, Any]:
        """Everything beside the bodies, as plain lists; None where there is no number."""
        study, found, (factor, unit) = self.study, self._found, self._factor()
        scale = {"distance": factor, "cosine": 1.0}
        reach = len(study.method.encoder.layers) + 1
        away = hops(study.method.encoder.edges, found.hidden)
        return {
            "parts": [{"name": name, "joints": list(joints)} for name, joints in study.parts.items()],
            "names": list(study.topology.joints),
            "hidden": np.flatnonzero(found.hidden).tolist(),
            "far": int(((away > reach) | (away < 0)).sum()),
            "joints": {what: _plain(found.by_joint(what) * by) for what, by in scale.items()},
            "frames": {what: _plain(found.by_frame(what) * by) for what, by in scale.items()},
            "mean": {what: _plain(np.array([found.mean(what) * by]))[0] for what, by in scale.items()},
            "most": self._most(),
            "units": {"distance": unit, "cosine": ""},
            "told": told(study.readout, factor, unit),
        }

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything in the charts, as plain lists."""
        return dict(self._numbers)

    def static(self, *, poses: int = 7) -> str:
        """Film strips of what is seen and what is guessed, and the error of every hidden joint, as SVG text."""
        return picture(self.study, self._found, self._numbers, colour=self.colour, poses=poses)

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        words = f"MaskView({len(self.masked)} of {self.study.V} joints hidden)"
        return {**data, "text/plain": words, SVG: self.static()}, metadata


def told(readout: ReadOut, factor: float, unit: str) -> str:
    """How good the read-out is, beside its floors, in one sentence."""
    text = (
        f"Read-out on {readout.clips} held-out clips: {readout.error * factor:.3g} {unit}; "
        f"a joint's mean position: {readout.mean_pose * factor:.3g}"
    )
    return text + (f", untrained network: {readout.untrained * factor:.3g}." if np.isfinite(readout.untrained) else ".")


def _some(rows: Sequence[int] | np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, evenly taken."""
    rows = np.asarray(rows, np.int64)
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if not np.isfinite(v) else float(f"{v:.4g}") for v in np.asarray(values, np.float64)]
