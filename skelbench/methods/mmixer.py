"""M-Mixer, reconstruction (Lee et al., WACV 2023, arXiv 2208.11314; extension arXiv 2311.12344): colour, depth, infrared of a clip.

Each sensor misses something: colour cannot tell whether a foot is before or behind a knee, depth cannot tell two cards apart.
M-Mixer reads every modality with a recurrent unit of its own that is told at each step what the *other* modalities hold,

    x^i_t = LN(W_e E_i(frame_t))        one extractor and embedding a modality
    g^i   = CFEM(q^i, {x^j_t, j != i})  a query a modality takes what complements i out of the bank of the others' steps
    h^i   = MCU(x^i, g^i)               mix gate a_t, then reset and update gates
    y     = W_o [h^1_T; ...; h^N_T]

The units and the CFEM stand in :mod:`skelbench.nets.mmixer`. **The papers' formulas and settings were not at hand and no code was
released**: the topology is the papers', the formulas are a reconstruction, and no number of theirs is claimed. What can be chosen
otherwise is a setting; ``mix="off"`` is a layer-normalised GRU a modality whose last states are classified together, ``content=
"mean"`` the conference variant. ``fusion="late"`` mixes nothing: each modality has a classifier of its own, trained as if it were
alone, and scores are averaged; with one modality it is that modality alone.

A modality can be missing. One that ``batch.frames`` lacks, that is all zero in a clip, or that stands in ``without`` has no steps
in the bank and a state of zeros. ``missing`` leaves modalities out while it trains, so that it learns to do without (not the
papers').
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.data.frames import FrameSettings
from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.methods.supervised import check_labels
from skelbench.nets.mmixer import Mixed, Mixer
from skelbench.nets.video import FrameCNN, ResNet, build_extractor
from skelbench.skeleton.clip import CHANNELS, Batch
from skelbench.skeleton.frame_views import FrameViews
from skelbench.skeleton.topology import Topology

PIECE = 32  # clips a forward pass without gradient takes at a time


class MMixer(Method):
    """Extractors, units that mix, one classifier."""

    name: ClassVar[str] = "mmixer"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset({"views", "jitter", "smoothing", "auxiliary", "missing", "without"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The fact sheet's recommendations at paper scale; the papers' own values are not known."""

        extractor: FrameCNN.Config | ResNet.Config = field(default_factory=ResNet.Config)
        mixer: Mixer.Config = field(default_factory=Mixer.Config)
        pictures: FrameSettings = field(default_factory=lambda: FrameSettings(frames=16, size=224))
        auxiliary: float = 0.0  # lambda, of the loss of a classifier on every modality's state
        alone: int = 0  # epochs in which every extractor learns alone, with a classifier on the mean of x^i_t ("stage 0")
        smoothing: float = 0.1  # of the labels
        views: FrameViews = field(default_factory=FrameViews)  # one window a clip, shared by all modalities
        jitter: float = 0.2  # most that brightness and contrast of colour change, one draw a clip
        missing: float = 0.0  # probability that a modality is left out of a clip in training; one always stays
        without: tuple[str, ...] = ()  # modalities that are switched off

        def __post_init__(self) -> None:
            names, gone = self.pictures.modalities, set(self.without)
            rules = {
                f"smoothing={self.smoothing} and missing={self.missing} must lie in [0, 1)": 0 <= self.smoothing < 1
                and 0 <= self.missing < 1,
                f"auxiliary={self.auxiliary}, alone={self.alone} must be 0 or more": self.auxiliary >= 0 and self.alone >= 0,
                f"jitter={self.jitter} must lie in [0, 1)": 0 <= self.jitter < 1,
                f"without={self.without}: some of {', '.join(names)}, but not all": gone < set(names),
            }
            wrong = [text for text, holds in rules.items() if not holds]
            if wrong:
                raise ConfigError(f"M-Mixer: {'; '.join(wrong)}")

    def __init__(self, config: Any, *, topology: Topology, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError("M-Mixer is a classifier and needs at least one class; this data has no class names")
        self.config, self.topology = config, topology
        self.modalities: tuple[str, ...] = config.pictures.modalities
        made = {n: build_extractor(config.extractor, channels=CHANNELS[n], generator=generator) for n in self.modalities}
        self.extractors = nn.ModuleDict(made)
        shape: dict[str, Any] = {"inputs": next(iter(made.values())).width, "modalities": len(made), "classes": classes}
        self.mixer = Mixer(config.mixer, heads=config.auxiliary > 0 or config.alone > 0, generator=generator, **shape)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))  # saved with the weights, for a run that goes on

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> MMixer:
        return cls(config, topology=topology, classes=classes, generator=generator)

    @property
    def width(self) -> int:
        return len(self.modalities) * self.config.mixer.width

    @property
    def pictures(self) -> FrameSettings:
        """What is asked of a loader: nothing of a modality that is switched off."""
        left = tuple(name for name in self.modalities if name not in self.config.without)
        settings: FrameSettings = replace(self.config.pictures, modalities=left)
        return settings

    def begin_epoch(self, epoch: int) -> None:
        self.get_buffer("epoch").fill_(epoch)

    @property
    def alone(self) -> bool:
        """The extractors learn alone in this epoch."""
        return int(self.get_buffer("epoch")) < self.config.alone

    def streams(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[dict[str, Tensor], Tensor]:
        """Frames (N, C, T, H, W) by modality and which of them are there (N, S); with a generator a training view of them.

        Raises:
            DataError: a batch without pictures, or a clip of which no modality is there.
        """
        c = self.config
        frames = {k: v for k, v in (batch.frames or {}).items() if k in self.modalities and k not in c.without}
        if not frames:
            had = f"there is {', '.join(batch.frames)}" if batch.frames else "the batch has no pictures"
            wanted = ", ".join(self.pictures.modalities)
            raise DataError(
                f"clip {batch.ids[0]!r}: M-Mixer reads {wanted}; {had}. A loader brings them with frames=method.pictures"
            )
        absent = next(iter(frames.values())).new_zeros(len(batch), dtype=torch.bool)
        there = torch.stack([frames[n].flatten(1).any(dim=1) if n in frames else absent for n in self.modalities], dim=1)
        if not bool(there.any(dim=1).all()):
            dark = batch.ids[int((~there.any(dim=1)).nonzero()[0, 0])]
            raise DataError(f"clip {dark!r}: no modality is there ({', '.join(frames)} are all zero)")
        if generator is None:
            return frames, there
        seen = c.views.view(replace(batch, frames=frames), self.topology, generator).frames
        frames = dict(seen or {})
        if "rgb" in frames and c.jitter:
            frames["rgb"] = jittered(frames["rgb"], c.jitter, generator)
        if c.missing:
            there = left_out(there, c.missing, generator)
        return frames, there

    def extracted(self, frames: dict[str, Tensor], there: Tensor) -> Tensor:
        """Features (N, S, T, d_f); zeros for a modality that is nowhere there."""
        found: dict[str, Tensor] = {}
        for i, name in enumerate(self.modalities):
            if name in frames and bool(there[:, i].any()):
                N, C, T, H, W = frames[name].shape
                found[name] = self.extractors[name](frames[name].transpose(1, 2).reshape(N * T, C, H, W)).view(N, T, -1)
        like = next(iter(found.values()))
        return torch.stack([found.get(name, torch.zeros_like(like)) for name in self.modalities], dim=1)

    def mixed(self, frames: dict[str, Tensor], there: Tensor, generator: torch.Generator | None = None) -> Mixed:
        """What comes out of the mixer."""
        x = self.extracted(frames, there)
        made: Mixed = self.mixer(x, there[..., None].expand(-1, -1, x.shape[2]), generator)
        return made

    def apart(self, each: Tensor, there: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropies of every modality's own scores (N, S, classes), means over the clips it is there in, summed."""
        scores = full_precision(each)
        rows = [
            functional.cross_entropy(scores[:, i], labels, label_smoothing=self.config.smoothing, reduction="none")
            for i in range(scores.shape[1])
        ]
        share = there / there.sum(dim=0).clamp(min=1)
        return (torch.stack(rows, dim=1) * share).sum()

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        frames, there = self.streams(batch, generator)
        if self.alone:
            return self.step_alone(frames, there, batch.labels)
        made, c = self.mixed(frames, there, generator), self.config
        logits = full_precision(made.logits)
        if c.mixer.fusion == "mixer":
            loss = functional.cross_entropy(logits, batch.labels, label_smoothing=c.smoothing)
            if c.auxiliary and made.each is not None:
                loss = loss + c.auxiliary * self.apart(made.each, there, batch.labels)
        else:
            assert made.each is not None
            loss = self.apart(made.each, there, batch.labels)
        parts = {"accuracy": _right(logits, batch.labels)}
        if self.mixer.content is not None:  # 0: what the others hold is not let in
            parts |= {f"mix_{name}": made.gates[:, :, i].detach().mean() for i, name in enumerate(self.modalities)}
        return Step(loss=loss, parts=parts, out={"query": made.features.detach(), "logits": logits.detach()})

    def step_alone(self, frames: dict[str, Tensor], there: Tensor, labels: Tensor) -> Step:
        """Stage 0: every extractor with a classifier of its own on the mean over time."""
        x = self.extracted(frames, there)
        each = self.mixer.pooled(x, there[..., None].expand(-1, -1, x.shape[2]))
        parts = {f"accuracy_{name}": _right(each[:, i], labels) for i, name in enumerate(self.modalities)}
        query = x.mean(dim=2).flatten(1).detach()
        return Step(loss=self.apart(each, there, labels), parts=parts, out={"query": query, "logits": each.mean(dim=1).detach()})

    def seen(self, batch: Batch) -> Mixed:
        """The mixer on whole clips, in eval mode and without gradient, a few clips at a time."""
        frames, there = self.streams(batch)
        pieces = []
        with evaluating(self), torch.no_grad():
            for at in range(0, len(batch), PIECE):
                pieces.append(self.mixed({k: v[at : at + PIECE] for k, v in frames.items()}, there[at : at + PIECE]))
        columns: list[Any] = [list(column) for column in zip(*pieces, strict=True)]
        return Mixed(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]

    def features(self, batch: Batch) -> Tensor:
        """The states that the classifier reads, one modality after the other (N, S * D)."""
        return full_precision(self.seen(batch).features)

    def logits(self, batch: Batch) -> Tensor:
        """Class scores (N, classes), in eval mode."""
        return full_precision(self.seen(batch).logits)

    def modality_logits(self, batch: Batch) -> dict[str, Tensor]:
        """Class scores of every modality's own classifier (N, classes), where there are such."""
        each = self.seen(batch).each
        if each is None:
            raise ConfigError("this M-Mixer has no classifier on single modalities; build it with auxiliary > 0 or fusion='late'")
        return dict(zip(self.modalities, full_precision(each).unbind(dim=1), strict=True))

    def explain(self, batch: Batch) -> Explanation:
        """When a modality listens to the others, and to whom.

        ``modalities`` (N, T', S): mix gates, means over channels, in the order of ``streams``. ``exchange`` (N, S, S, T'): how much
        of target i's attention goes to step t of modality j, with CFEM. Both are zero for a modality that is not there.
        """
        made = self.seen(batch)
        return Explanation(modalities=full_precision(made.gates), exchange=made.attention, streams=self.modalities)


def jittered(rgb: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Brightness and contrast of (N, 3, T, H, W), changed by up to that share; one draw a clip."""
    draw = 2 * torch.rand(2, len(rgb), 1, 1, 1, 1, generator=generator, device=generator.device).to(rgb) - 1
    middle = rgb.mean(dim=(1, 2, 3, 4), keepdim=True)
    return ((rgb - middle) * (1 + most * draw[0]) + middle + most / 2 * draw[1]).clamp(0, 1)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.detach().argmax(dim=1) == labels).float().mean()


def left_out(there: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Which modalities (N, S) are left when each is dropped with that probability; where none would be, one stays."""
    draw = torch.rand(there.shape, generator=generator, device=generator.device).to(there.device)
    kept = there & (draw >= share)
    luckiest = draw.masked_fill(~there, -1).argmax(dim=1)
    saved = functional.one_hot(luckiest, there.shape[1]).bool() & ~kept.any(dim=1, keepdim=True)
    return kept | saved
