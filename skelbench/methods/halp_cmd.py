"""HaLP on three streams that teach each other: CMD, Cross-modal Mutual Distillation (Mao et al., ECCV 2022; arXiv 2208.12448),
with hallucinated positives in every stream (Shah et al., CVPR 2023; arXiv 2304.00387).

Joints, their motion and the bones of the same two views each have a HaLP of their own: encoders, queue, prototypes. Their queues
hold the same clips at the same places, so one stream can tell another which past clips look alike to it. For a clip, teacher
stream a and student stream b:

    S_a = k_a . Q_a at its largest entries        S_b = q_b . Q_b at the same places
    L_CMD = sum over a, b != a of  KL( softmax(S_a / 0.05) || softmax(S_b / 0.1) )

    L = sum_m L_MoCo^m + distil L_CMD + weight sum_m L_HaLP^m

The teacher's distribution is sharper than the student's, and no gradient reaches it. The authors released this model without a
loop that trains it, and without a value for the weight of the positives in three streams: here the loop and the weight are those of
one stream.

Three streams trained apart (``halp`` with ``stream="joint" | "motion" | "bone"``) are the other way to have three. In both cases a
classifier is trained on each stream and their scores are added up (:mod:`skelbench.evaluate.fusion`; ``skelbench report`` with
``--fuse equal``, for one run of this, or three of HaLP). ``features`` gives the streams side by side, for one classifier on all.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.methods.base import Method, Step
from skelbench.methods.halp import HaLP
from skelbench.methods.moco import Contrast
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.streams import stream
from skelbench.skeleton.topology import Topology

THREE = ("joint", "motion", "bone")


def distillation(
    students: Mapping[str, Tensor],
    teachers: Mapping[str, Tensor],
    *,
    top: int,
    teacher_temperature: float,
    student_temperature: float,
) -> Tensor:
    """CMD's loss: every stream learns the neighbourhoods of every other, mean over clips, sum over ordered pairs of streams.

    Args:
        students: cosine of every query with its queue (N, K), by stream.
        teachers: cosine of every key with its queue (N, K), by stream; constants.
        top: neighbours that count, the teacher's nearest.
        teacher_temperature: the teacher's cosines are divided by it.
        student_temperature: the student's are.
    """
    pairs = []
    for a, teacher in teachers.items():
        nearest = teacher.detach().topk(top, dim=1, sorted=False)
        wanted = functional.log_softmax(nearest.values / teacher_temperature, dim=1)  # (N, top)
        for b, student in students.items():
            if b != a:
                said = functional.log_softmax(student.gather(1, nearest.indices) / student_temperature, dim=1)
                pairs.append(functional.kl_div(said, wanted, reduction="batchmean", log_target=True))
    return torch.stack(pairs).sum()


class HaLP3s(Method):
    """Joint, motion and bone HaLP with mutual distillation."""

    name: ClassVar[str] = "halp3s"
    live: ClassVar[frozenset[str]] = HaLP.live | {"distil", "distil_from", "teacher_temperature", "student_temperature", "use"}

    @dataclass(frozen=True, kw_only=True)
    class Config(HaLP.Config):
        """Settings of every stream, those of HaLP, and of the distillation."""

        distil: float = 1.0  # weight of L_CMD
        distil_from: int = 8192  # neighbours that the teacher names, half the queue
        teacher_temperature: float = 0.05
        student_temperature: float = 0.1
        use: str | None = None  # stream whose features are given; None: all three side by side

        def __post_init__(self) -> None:
            super().__post_init__()
            rules = [
                (self.stream == "joint", f"stream={self.stream!r} cannot be chosen here: joint, motion and bone are all trained"),
                (self.distil >= 0, f"distil={self.distil} must not be negative"),
                (1 <= self.distil_from <= self.queue, f"distil_from={self.distil_from} must lie in 1 .. queue={self.queue}"),
                (self.teacher_temperature > 0, f"teacher_temperature={self.teacher_temperature} must be above 0"),
                (self.student_temperature > 0, f"student_temperature={self.student_temperature} must be above 0"),
                (self.use is None or self.use in THREE, f"use={self.use!r} is none of {', '.join(THREE)}"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

        @property
        def streams(self) -> tuple[str, ...]:
            """Whose features are given."""
            return THREE if self.use is None else (self.use,)

        @property
        def frames(self) -> int:
            """Frames that every stream reads."""
            return self.views.frames

        def of(self, name: str) -> HaLP.Config:
            """What one stream is built from."""
            return HaLP.Config(**{f.name: getattr(self, f.name) for f in fields(HaLP.Config)} | {"stream": name})

    def __init__(self, config: Any, streams: Mapping[str, HaLP], *, topology: Topology) -> None:
        super().__init__()
        self.topology = topology
        self.streams = nn.ModuleDict(dict(streams))
        self.config = config

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> HaLP3s:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates, "classes": classes}
        made = {name: HaLP.build(config.of(name), generator=generator, **shape) for name in THREE}
        return cls(config, cast(Mapping[str, HaLP], made), topology=topology)

    @property
    def config(self) -> Any:
        """The settings; those of the three streams follow."""
        return self._config

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config
        for name in THREE:
            self.halp(name).config = config.of(name)

    def halp(self, name: str) -> HaLP:
        """The HaLP of one stream."""
        return cast(HaLP, self.streams[name])

    def alone(self, name: str) -> HaLP3s:
        """The same networks, giving the features of one stream; weights are shared, this method stays as it is."""
        one = copy.copy(self)
        one._config = replace(self.config, use=name)
        return one

    @property
    def width(self) -> int:
        return sum(self.halp(name).width for name in self.config.streams)

    def begin_epoch(self, epoch: int) -> None:
        for name in THREE:
            self.halp(name).begin_epoch(epoch)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        found = self.contrast(*self.views(batch, generator))
        with torch.autocast(batch.joints.device.type, enabled=False):
            distilled = self.distilled(found)
        made = {name: self.halp(name).with_positives(one, generator) for name, one in found.items()}
        loss = torch.stack([one.loss for one in made.values()]).sum() + self.config.distil * distilled
        parts: dict[str, Tensor] = {"distil": distilled.detach()}
        out: dict[str, Any] = {}
        for name, one in made.items():
            parts |= {f"{part}_{name}": value for part, value in one.parts.items()}
            ending = "" if name == "joint" else f"_{name}"
            out |= {f"{what}{ending}": value for what, value in one.out.items()}
        return Step(loss=loss, parts=parts, out=out)

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two augmented views of the joints (N, C, frames, V, M); the streams are taken from them."""
        view = self.config.views.view
        one, two = (view(batch.joints, batch.lengths, self.topology, generator) for _ in range(2))
        return one, two

    def contrast(self, query_view: Tensor, key_view: Tensor) -> dict[str, Contrast]:
        """MoCo's step in every stream of the same two views (N, C, T, V, M)."""
        return {
            name: self.halp(name).contrast(*(stream(name, view, self.topology) for view in (query_view, key_view)))
            for name in THREE
        }

    def distilled(self, found: Mapping[str, Contrast]) -> Tensor:
        """L_CMD of the three contrasts, against the queues as they were before this batch."""
        c = self.config
        return distillation(
            {name: one.logits[:, 1:] * c.temperature for name, one in found.items()},
            {name: one.k @ one.negatives.T for name, one in found.items()},
            top=c.distil_from,
            teacher_temperature=c.teacher_temperature,
            student_temperature=c.student_temperature,
        )

    def after_step(self, generator: torch.Generator) -> None:
        for name in THREE:
            self.halp(name).after_step(generator)

    def features(self, batch: Batch) -> Tensor:
        """Features of all three streams side by side, joint, motion, bone (N, 3 D); of one where ``config.use`` says so (N, D)."""
        return torch.cat([self.halp(name).features(batch) for name in self.config.streams], dim=1)
