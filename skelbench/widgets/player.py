"""SkeletonPlayer: moving bodies in the notebook, any number of them on one clock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from skelbench.errors import ConfigError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.widgets.filmstrip import PITCH, YAW, filmstrip
from skelbench.widgets.modules import PLAYER, source
from skelbench.widgets.paced import PacedWidget
from skelbench.widgets.scene import Clips, Colour, clips_of, scene_of

SVG = "image/svg+xml"


class Playing(PacedWidget):
    """What every view with moving bodies shares with the browser: the scene, the clock and the camera."""

    _scene = traitlets.Dict().tag(sync=True)
    _clock = traitlets.Unicode().tag(sync=True)
    frame = traitlets.Int(0, min=0, help="Frame the clock is at.").tag(sync=True)
    playing = traitlets.Bool(True, help="Whether the clock runs.").tag(sync=True)
    speed = traitlets.Float(1.0, help="Times real time.").tag(sync=True)
    trail = traitlets.Int(0, min=0, help="Ghosts of the last so many frames.").tag(sync=True)
    floor = traitlets.Bool(True, help="Floor grid and shadow.").tag(sync=True)
    camera = traitlets.List(traitlets.Float(), minlen=3, maxlen=3, help="Yaw and pitch in radians, zoom.").tag(sync=True)
    height = traitlets.Int(360, min=60, help="Pixels.").tag(sync=True)

    _STATE: tuple[str, ...] = ("frame", "playing", "speed", "trail", "floor", "camera", "height")

    @property
    def state(self) -> dict[str, Any]:
        """Everything that describes the view but the clips, short and plain: ``player.state = other.state`` restores it."""
        return {name: getattr(self, name) for name in self._STATE}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        unknown = set(state) - set(self._STATE)
        if unknown:
            raise ConfigError(f"a player's state has no {', '.join(sorted(unknown))}; it has: {', '.join(self._STATE)}")
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)


class SkeletonPlayer(Playing):
    """Plays clips side by side on one clock: drag to turn, wheel to zoom, space to play, arrows to step, r to reset.

    The clips travel once, as float16; the browser plays them and says at most ten times a second which frame it is at.
    What can be set can be read: ``frame``, ``playing``, ``speed``, ``trail``, ``floor``, ``camera``,
    ``height``, ``clips``, ``titles``, ``colour``.

    Args:
        clips: a Clip (``store[i]``), a Batch or array (these need ``topology``), or a list of clips; 1 to 24 of them.
        topology: joint layout of a batch or array.
        colour: a value a joint, (V,) or (T, V), or one such array a clip; explanations go here.
        titles: one a clip; clip ids where left out.
        height: of the picture in pixels.
        colour_range: values at the two ends of the colour ramp; those of the data where left out.
        up: which way up the coordinates point: "y", "z" (after presets such as "isc"), "-y" (image coordinates). The clips of a
            store know; left out, they are believed.
        face: turn every clip for a good look: one body faces the viewer at first, two are seen from the side; False shows it as
            recorded.
        playing: start at once.
        trail: ghosts of the last so many frames; 0 draws none.

    Raises:
        DataError: a clip, title or colour does not fit; ConfigError: more than 24 clips, or an unknown ``up``.

    Example:
        >>> from skelbench.skeleton.topology import topology
        >>> import numpy as np
        >>> SkeletonPlayer(np.zeros((10, 25, 3)), topology=topology("kinect_v2_25")).frame
        0
    """

    _esm = source(*PLAYER)

    def __init__(
        self,
        clips: Clips,
        *,
        topology: Topology | None = None,
        colour: Colour | None = None,
        titles: Sequence[str] | None = None,
        height: int = 360,
        colour_range: tuple[float, float] | None = None,
        up: str | None = None,
        face: bool = True,
        playing: bool = True,
        trail: int = 0,
    ) -> None:
        self._topology, self._colour_range, self._up, self._face = topology, colour_range, up, face
        self._clips, self._titles, self._colour = clips_of(clips, topology), titles, colour
        looks = {"height": height, "playing": playing, "trail": trail, "camera": [YAW, PITCH, 1.0]}
        super().__init__(_scene=self._packed(self._clips, colour, titles), _clock=uuid.uuid4().hex, **looks)

    def show(self, clips: Clips, *, colour: Colour | None = None, titles: Sequence[str] | None = None) -> SkeletonPlayer:
        """Other clips, from their first frame on; camera, speed and play state stay. Returns the player."""
        shown = clips_of(clips, self._topology)
        scene = self._packed(shown, colour, titles)
        self._clips, self._titles, self._colour = shown, titles, colour
        with self.hold_sync():
            self._scene = scene
            self.frame = 0
        return self

    @property
    def clips(self) -> list[Clip]:
        """What is shown. Setting it drops titles and colour, which belonged to the old clips."""
        return list(self._clips)

    @clips.setter
    def clips(self, clips: Clips) -> None:
        self.show(clips)

    @property
    def titles(self) -> list[str]:
        """One a clip."""
        return [table["title"] for table in self._scene["clips"]]

    @titles.setter
    def titles(self, titles: Sequence[str] | None) -> None:
        self._redraw(self._colour, titles)

    @property
    def colour(self) -> Colour | None:
        """Per-joint values as they were given, or None."""
        return self._colour

    @colour.setter
    def colour(self, colour: Colour | None) -> None:
        self._redraw(colour, self._titles)

    def _redraw(self, colour: Colour | None, titles: Sequence[str] | None) -> None:
        self._scene = self._packed(self._clips, colour, titles)
        self._colour, self._titles = colour, titles

    def _packed(self, clips: list[Clip], colour: Colour | None, titles: Sequence[str] | None) -> dict[str, Any]:
        return scene_of(clips, titles=titles, colour=colour, colour_range=self._colour_range, up=self._up, face=self._face)

    def static(self, *, poses: int = 8) -> str:
        """Film strip of the clips as SVG text."""
        return filmstrip(self._clips, titles=self.titles, poses=poses, up=self._up, face=self._face)

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": f"SkeletonPlayer({len(self._clips)} clips)", SVG: self.static()}, metadata


def link(*players: SkeletonPlayer) -> None:
    """Put players on the clock of the first: they play, pause and scrub together, frame by frame, in the browser itself."""
    for player in players[1:]:  # whichever comes to the page first starts the clock
        player.playing, player.speed, player.frame = players[0].playing, players[0].speed, players[0].frame
        player._clock = players[0]._clock
