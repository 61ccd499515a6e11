"""EmbeddingMap: features as points; hovering plays the clip, a lasso plays up to eight of them on one clock."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.widgets.columns import columns_of
from skelbench.widgets.map_picture import map_picture
from skelbench.widgets.paced import Pace, PacedWidget
from skelbench.widgets.palette import RIGHT
from skelbench.widgets.player import SVG, SkeletonPlayer

CHOSEN = 8  # bodies played of a selection
CANVAS = 3000  # points up to which the map is drawn as SVG; above, plotly's WebGL (a page has about 16 contexts)


class KeyView(PacedWidget):
    """What the colours mean."""

    _esm = Path(__file__).with_name("embedding_map.js")

    key = traitlets.Dict().tag(sync=True)
    picked = traitlets.List(traitlets.Int(), [-1, 0]).tag(sync=True)
    hovered = traitlets.Int(-1).tag(sync=True)


class EmbeddingMap(ipywidgets.VBox):
    """A map of clips. Points are one trace with a colour array, so that a lasso means what it shows.

    Hover or click plays the clip. A lasso (drag), or a click on a name in the key, selects, and plays up to eight bodies on one
    clock.
    What can be set can be read: ``colour``, ``points``, ``selection`` (``select`` sets it), ``hovered`` (``hover`` sets it).

    One map is a plotly figure of 5 MB in the page: use few of them in a notebook.

    Args:
        points: (N, 2), of ``skelbench.explain.project``.
        store: where the clips are, so that they can be played and coloured by class, subject, camera and setup.
        rows: row of every point in the store; 0 .. N-1 where left out.
        labels: class of every point, where there is no store or another class is meant; ``classes`` names them.
        columns: more to colour by, name -> one value a point: ``{"split": [...], "correct": [...]}``.
        colour: column to begin with; the first one where left out.
        player: plays what is hovered; one is made where there is a store.
        height: of the map in pixels.

    Raises:
        DataError: points, rows or a column do not fit; ConfigError: no such column.
    """

    def __init__(
        self,
        points: np.ndarray,
        *,
        store: Store | None = None,
        rows: Sequence[int] | np.ndarray | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        classes: Sequence[str] | None = None,
        columns: Mapping[str, Any] | None = None,
        colour: str | None = None,
        player: SkeletonPlayer | None = None,
        height: int = 460,
    ) -> None:
        self._points = _checked(points)
        N = len(self._points)
        self._rows = np.arange(N) if rows is None else np.asarray(rows, np.int64)
        if self._rows.shape != (N,) or (store is not None and (self._rows.min() < 0 or self._rows.max() >= len(store))):
            raise DataError(f"rows of shape {self._rows.shape} for {N} points; wanted one row of the store for each point")
        self._store = store
        self.columns = columns_of(N, store=store, rows=self._rows, labels=labels, classes=classes, more=columns)
        self._colour = colour or next(iter(self.columns))
        self._column(self._colour)
        self._selection, self._hovered = np.zeros(0, np.uint32), -1
        self._outlined = self._echo = False
        self._hear: list[Callable[[np.ndarray], None]] = []
        self.player = player or (SkeletonPlayer(store[int(self._rows[0])], titles=[self._title(0)], height=280) if store else None)
        self.chosen: SkeletonPlayer | None = None
        self.figure = _figure(self._points, self._texts(), self.columns[self._colour].marker(), height)
        self._lock = threading.RLock()  # the page's messages come in on a thread of their own
        self._play, self._move = Pace(self._show_hovered), Pace(self._move_points, hertz=10)
        self._ring = Pace(self._draw_ring, hertz=8, later=True)
        self._build(height)

    def _build(self, height: int) -> None:
        self.key = KeyView(key=self.columns[self._colour].key())
        self.menu = ipywidgets.Dropdown(options=list(self.columns), value=self._colour, description="colour")
        self.status = ipywidgets.Label(f"{len(self._points)} points; drag to lasso")
        self.menu.observe(lambda change: self._recolour(change["new"]), names="value")
        self.key.observe(lambda change: self._pick(int(change["new"][0])), names="picked")
        trace = self.figure.data[0]
        self.key.observe(lambda change: self.hover(change["new"]), names="hovered")
        trace.on_click(lambda _, points, __: self._clicked(points.point_inds))
        trace.on_selection(lambda _, points, __: self._lassoed(points.point_inds))
        trace.on_deselect(lambda _, __: self._lassoed([]))
        canvas = ipywidgets.VBox([self.figure], layout={"flex": "3 1 440px", "min_width": "300px", "height": f"{height}px"})
        side = ipywidgets.VBox(
            [*([self.player] if self.player else []), self.key], layout={"flex": "1 1 300px", "min_width": "240px"}
        )
        self._below = ipywidgets.Box([], layout={"width": "100%"})
        row = ipywidgets.HBox([canvas, side], layout={"flex_flow": "row wrap", "width": "100%"})
        super().__init__([ipywidgets.HBox([self.menu, self.status]), row, self._below])
        self.add_class("skelbench-map")

    # -- what a notebook asks for

    @property
    def colour(self) -> str:
        """Name of the column the points are coloured by."""
        return self._colour

    @colour.setter
    def colour(self, name: str) -> None:
        self._column(name)
        self.menu.value = name

    @property
    def points(self) -> np.ndarray:
        """Where the points are (N, 2). Setting it moves them: another epoch, another projection."""
        return self._points.copy()

    @points.setter
    def points(self, points: np.ndarray) -> None:
        moved = _checked(points)
        if len(moved) != len(self._points):
            raise DataError(f"{len(moved)} points given, the map has {len(self._points)}; make a new map for other clips")
        self._points = moved
        self._move()

    @property
    def selection(self) -> np.ndarray:
        """Selected points, rising, uint32. ``map.rows`` says which rows of the store they are."""
        return self._selection.copy()

    @property
    def mask(self) -> np.ndarray:
        """The selection as truth values (N,)."""
        mask = np.zeros(len(self._points), bool)
        mask[self._selection] = True
        return mask

    @property
    def rows(self) -> np.ndarray:
        """Row of every point in the store (N,)."""
        return self._rows.copy()

    @property
    def hovered(self) -> int:
        """The point whose clip plays, -1 none yet."""
        return self._hovered

    def hover(self, point: int) -> None:
        """Play the clip of a point and ring it on the map, as the mouse does."""
        if not 0 <= point < len(self._points):
            raise ConfigError(f"point {point} of {len(self._points)}; choose 0 .. {len(self._points) - 1}")
        self._hovered = int(point)
        if self.player is not None:
            self._play()
        self._ring()

    def select(self, points: Sequence[int] | np.ndarray | None) -> None:
        """Select points by number or by a mask (N,), as a lasso does; None or an empty list clears."""
        wanted = np.asarray([] if points is None else points)
        wanted = (
            np.flatnonzero(wanted) if wanted.dtype == bool and wanted.shape == (len(self._points),) else wanted.astype(np.int64)
        )
        if len(wanted) and not (0 <= wanted.min() and wanted.max() < len(self._points)):
            raise ConfigError(f"a selected point lies outside 0 .. {len(self._points) - 1}")
        found = np.unique(wanted)
        with self._lock:
            if self._outlined:  # a lasso that is still drawn would select its own points again
                self.figure.plotly_relayout({"selections": []})
                self._outlined, self._echo = False, True
            self.figure.data[0].selectedpoints = found.tolist() if len(found) else None
        self._persist()
        self._selected(found)

    def on_select(self, hear: Callable[[np.ndarray], None]) -> None:
        """Call ``hear(selection)`` after every change of the selection."""
        self._hear.append(hear)

    @property
    def state(self) -> dict[str, Any]:
        """Colour, selection and hovered point, plain; ``map.state = {...}`` restores them."""
        return {"colour": self._colour, "selection": self._selection.tolist(), "hovered": self._hovered}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.colour = state.get("colour", self._colour)
        self.select(state.get("selection"))
        if state.get("hovered", -1) >= 0:
            self.hover(state["hovered"])

    def static(self) -> str:
        """The map as SVG text; a big map is thinned evenly."""
        column = self.columns[self._colour]
        return map_picture(self._points, column.marker(), column.key(), title=f"{len(self._points)} clips by {self._colour}")

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    # -- what the page does

    def _column(self, name: str) -> None:
        if name not in self.columns:
            raise ConfigError(f"the map has no column {name!r}; it has: {', '.join(self.columns)}")

    def _move_points(self) -> None:
        with self._lock, self.figure.batch_update():
            self.figure.data[0].x, self.figure.data[0].y = self._points.T.astype(np.float32)
        self._persist()
        self._ring()

    def _recolour(self, name: str) -> None:
        self._colour = name
        with self._lock, self.figure.batch_update():
            self.figure.data[0].marker.update(self.columns[name].marker())
        self.key.key = self.columns[name].key()
        self._persist()

    def _clicked(self, points: Sequence[int]) -> None:
        if points:
            self.hover(points[0])

    def _lassoed(self, points: Sequence[int]) -> None:
        """What plotly says is selected. When we take away an outline it says "nothing" and forgets our points: tell it again."""
        with self._lock:
            echo, self._echo = self._echo and not points, False
            if echo:
                for wanted in (None, self._selection.tolist() or None):
                    self.figure.data[0].selectedpoints = wanted
                return
            self._outlined = bool(points)
        self._selected(points)

    def _pick(self, entry: int) -> None:
        if entry >= 0:
            self.select(self.columns[self._colour].values == entry)

    def _selected(self, points: Sequence[int] | np.ndarray) -> None:
        self._selection = np.unique(np.asarray(points, np.uint32))
        self.status.value = (
            f"{len(self._selection)} of {len(self._points)} points selected" if len(self._selection) else "nothing selected"
        )
        if self._store is not None:
            self._show_selection()
        for hear in self._hear:
            hear(self.selection)

    def _show_selection(self) -> None:
        assert self._store is not None
        if not len(self._selection):
            self._below.children = ()
            return
        _, first = np.unique(self._rows[self._selection], return_index=True)  # a clip may stand on the map more than once
        clear = self._selection[np.sort(first)]
        some = clear[np.unique(np.linspace(0, len(clear) - 1, CHOSEN).round().astype(int))]
        clips, titles = [self._store[int(self._rows[i])] for i in some], [self._title(int(i)) for i in some]
        if self.chosen is None:
            self.chosen = SkeletonPlayer(clips, titles=titles, height=220)
            self.chosen.layout.width = "100%"
        else:
            self.chosen.show(clips, titles=titles)
        self._below.children = (self.chosen,)

    def _show_hovered(self) -> None:
        if self.player is not None and self._store is not None:
            self.player.show(self._store[int(self._rows[self._hovered])], titles=[self._title(self._hovered)])

    def _draw_ring(self) -> None:
        if self._hovered < 0:
            return
        x, y = (float(v) for v in self._points[self._hovered])
        pixels = {"xsizemode": "pixel", "ysizemode": "pixel", "x0": -9, "x1": 9, "y0": -9, "y1": 9}
        ring = {"type": "circle", "xanchor": x, "yanchor": y, "line": {"color": RIGHT, "width": 2.5}, **pixels}
        with self._lock:
            self.figure.update_layout(shapes=[ring])

    def _persist(self) -> None:
        """Tell the page's copy of the figure what it shows now; or a reload of the page brings back the first picture."""
        with self._lock:
            for outline in self.figure._layout.get("selections", ()):
                outline["opacity"] = 1.0  # plotly 7.1 leaves its mark for "undefined" there, which cannot be sent
            self.figure._repr_mimebundle_()

    def _title(self, point: int) -> str:
        row = int(self._rows[point])
        name = self._store.ids[row] if self._store is not None else f"point {point}"
        return f"{self.columns['class'].words(point)} · {name}" if "class" in self.columns else name

    def _texts(self) -> list[str]:
        """Hover texts; plotly reads them as markup, so they are escaped."""
        return [html.escape(self._title(i)) for i in range(len(self._points))]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        data = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/plain": f"EmbeddingMap({len(self._points)} points, colour={self._colour!r})", SVG: self.static()}


def _checked(points: np.ndarray) -> np.ndarray:
    table = np.asarray(points, np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or not len(table) or not np.isfinite(table).all():
        raise DataError(
            f"a map wants finite points (N, 2), got shape {table.shape}; project features first: skelbench.explain.project"
        )
    return table


def _figure(points: np.ndarray, texts: list[str], marker: dict[str, Any], height: int) -> Any:
    import plotly.graph_objects as go

    N = len(points)
    trace = (go.Scatter if N <= CANVAS else go.Scattergl)(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers",
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        marker={**marker, "size": float(np.clip(160 / np.sqrt(N), 4, 10)), "opacity": 0.85, "line": {"width": 0}},
        selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": 0.12}},
    )
    axis = {"showticklabels": False, "zeroline": False, "gridcolor": "rgba(128,128,128,0.18)", "ticks": ""}
    layout = go.Layout(
        template="none",
        height=height,
        autosize=True,
        dragmode="lasso",
        hovermode="closest",
        hoverdistance=8,
        uirevision="keep",
        showlegend=False,
        margin={"l": 6, "r": 6, "t": 26, "b": 6},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#808080"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#9a9da3", "activecolor": "#2f81f7"},
        newselection={"line": {"color": "#2f81f7", "width": 1.5}},
        xaxis=axis,
        yaxis={**axis, "scaleanchor": "x"},  # distances mean the same both ways
    )
    figure = go.FigureWidget(data=[trace], layout=layout)
    figure._config = {**figure._config, "responsive": True, "displaylogo": False}
    return figure
