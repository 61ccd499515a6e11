"""HaLP, Hallucinating Latent Positives (Shah et al., CVPR 2023; arXiv 2304.00387).

MoCo learns from augmented views. HaLP adds positives that no augmentation made: points on the latent sphere, near a clip's key,
pushed towards other kinds of movement as far as they may go without changing sides.

1. Cluster the newest keys into S prototypes.
2. For a key (the *anchor* a, nearest prototype p_0) draw another prototype p_s and walk towards it on the great circle:

       z(t) = [ sin((1-t)W) a + sin(tW) p_s ] / sin W ,      W = angle from a to p_s

3. The farthest admissible point still lies no closer to p_s than to p_0. It has a closed form,

       t_max = atan2( A sin W, B + A cos W ) / W ,           A = a.p_0 - a.p_s ,  B = 1 - p_0.p_s

   and *hardness* says how close to it positives are drawn: t is uniform in (hardness t_max, t_max].
4. Drop a point whose nearest prototype is not p_0 (the walk may stray into a third one): the rank filter.
5. Pull the query towards what is kept:   L = L_MoCo - weight / (T kept) sum q.z

Anchors and prototypes are constants; only the query learns. z itself is never formed in training: with z a combination of a and
p_s, q.z and the rank filter need only the tables of dot products, (N, P) scalars instead of (N, P, D) points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.methods.base import Step
from skelbench.methods.moco import Contrast, MoCo
from skelbench.parts.kmeans import spherical_kmeans
from skelbench.parts.sphere import boundary, chords, slerp_weights, unit
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.topology import Topology


@dataclass(frozen=True, kw_only=True, eq=False)
class Positives:
    """Hallucinated positives of N anchors, P each.

    Attributes:
        anchors: (N, D).
        prototypes: (S, D).
        targets: prototype every positive walks towards (N, P).
        nearest: prototype p_0 nearest to every anchor (N,).
        t: share of the way to the target (N, P).
        t_max: largest admissible share (N, P).
        kept: whether p_0 is still nearest, the rank filter (N, P) bool. A tie counts as kept.
        from_anchor: weight of the anchor in the point (N, P).
        from_target: weight of the target in the point (N, P).
    """

    anchors: Tensor
    prototypes: Tensor
    targets: Tensor
    nearest: Tensor
    t: Tensor
    t_max: Tensor
    kept: Tensor
    from_anchor: Tensor
    from_target: Tensor

    @cached_property
    def points(self) -> Tensor:
        """The positives themselves, unit rows (N, P, D); formed when first asked for."""
        reached = self.from_target.unsqueeze(2) * self.prototypes[self.targets]  # (N, P, D)
        return unit(torch.addcmul(reached, self.from_anchor.unsqueeze(2), self.anchors.unsqueeze(1)))

    def similarity(self, q: Tensor) -> Tensor:
        """Cosine q . z of every query (N, D) with its own positives (N, P), differentiable in q, without forming the points."""
        to_anchor = (q * self.anchors).sum(dim=1, keepdim=True)  # (N, 1)
        to_target = (q @ self.prototypes.T).gather(1, self.targets)  # (N, P)
        return self.from_anchor * to_anchor + self.from_target * to_target


def hallucinate(anchors: Tensor, prototypes: Tensor, targets: Tensor, u: Tensor) -> Positives:
    """Positives at ``t = (1 - u) t_max`` on the way from every anchor to its targets.

    Args:
        anchors: keys (N, D), unit rows.
        prototypes: (S, D), unit rows.
        targets: int64 (N, P), row of the prototype each positive walks towards.
        u: (N, P) in [0, 1); 0 is the boundary, 1 the anchor.

    Raises:
        ConfigError: shapes, ranges or lengths do not fit.
    """
    _check(anchors, prototypes, targets, u)
    return _hallucinate(anchors, prototypes, targets, u)


@torch.no_grad()
def _hallucinate(anchors: Tensor, prototypes: Tensor, targets: Tensor, u: Tensor) -> Positives:
    anchors, prototypes = anchors.detach(), prototypes.detach()  # constants, also for whoever uses the result
    toward = chords(anchors, prototypes)  # (N, S): |a - p|
    away = chords(anchors, -prototypes)  # (N, S): |a + p|
    between = chords(prototypes, prototypes)  # (S, S)
    near, nearest = toward.min(dim=1)  # (N,)
    limit = boundary(near.unsqueeze(1), toward, away, between[nearest])  # (N, S)
    t_max = limit.gather(1, targets)  # (N, P)
    t = (1 - u) * t_max
    one, two = slerp_weights(t, toward.gather(1, targets), away.gather(1, targets))
    # z.p_j = one a.p_j + two p_s.p_j for every prototype, from the tables of cosines 1 - chord^2 / 2
    cosine, cosine_between = 1 - toward.square() / 2, 1 - between.square() / 2
    z_p = one.unsqueeze(2) * cosine.unsqueeze(1) + two.unsqueeze(2) * cosine_between[targets]  # (N, P, S)
    own = z_p.gather(2, nearest.view(-1, 1, 1).expand(-1, targets.shape[1], 1)).squeeze(2)  # (N, P)
    kept = own >= z_p.amax(dim=2) - 16 * torch.finfo(z_p.dtype).eps  # at the boundary itself z.p_0 = z.p_s up to rounding
    return Positives(
        anchors=anchors,
        prototypes=prototypes,
        targets=targets,
        nearest=nearest,
        t=t,
        t_max=t_max,
        kept=kept,
        from_anchor=one,
        from_target=two,
    )


def draw(
    anchors: Tensor,
    prototypes: Tensor,
    *,
    hardness: float,
    positives: int,
    nearest: int | None = None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Which prototypes to walk towards, and how far to stop before the boundary.

    Targets are drawn uniformly, with replacement, from the prototypes that follow p_0 in order of nearness to the anchor.

    Args:
        anchors: (N, D), unit rows.
        prototypes: (S, D), unit rows, at least two.
        hardness: in [0, 1]; u is uniform in [0, 1 - hardness). The paper's lambda is 1 - hardness.
        positives: P, how many an anchor gets.
        nearest: candidates are ranks 1 .. nearest after p_0; None or more than there are: all other prototypes.
        generator: of both draws.

    Returns:
        (targets int64 (N, P), u (N, P)).
    """
    N, S = len(anchors), len(prototypes)
    candidates = S - 1 if nearest is None else min(nearest, S - 1)
    if not 0 <= hardness <= 1 or positives < 1 or candidates < 1:
        raise ConfigError(
            f"draw: hardness={hardness} must lie in [0, 1], positives={positives} and nearest={nearest} must be at least 1, "
            f"and there must be two prototypes or more ({S} given)"
        )
    ranks = chords(anchors, prototypes).argsort(dim=1, stable=True)  # (N, S), nearest first
    pick = torch.randint(1, 1 + candidates, (N, positives), generator=generator, device=generator.device)
    u = torch.rand(N, positives, generator=generator, device=generator.device, dtype=anchors.dtype) * (1 - hardness)
    return ranks.gather(1, pick.to(anchors.device)), u.to(anchors.device)


def alignment(q: Tensor, positives: Positives, temperature: float) -> tuple[Tensor, Tensor]:
    """HaLP's loss: minus the mean of q.z / T over all kept positives of the batch, 0 if none is kept; and that mean q.z.

    It has no negatives and is bounded by +-1/T, so the total loss is normally negative.
    """
    similarity = positives.similarity(q)  # (N, P)
    kept = positives.kept
    mean = torch.where(kept, similarity, 0).sum() / kept.sum().clamp(min=1)
    return -mean / temperature, mean


class HaLP(MoCo):
    """MoCo with hallucinated latent positives."""

    name: ClassVar[str] = "halp"
    live: ClassVar[frozenset[str]] = MoCo.live | {
        "prototypes_from",
        "refresh",
        "positives",
        "hardness",
        "weight",
        "nearest",
        "plain_epochs",
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(MoCo.Config):
        """Settings of the released scripts on NTU-60 and NTU-120; PKU-MMD II where it differs."""

        prototypes: int = 20  # S
        prototypes_from: int = 256  # newest keys that are clustered; four batches of 64
        refresh: int = 10  # new prototypes every so many mini-batches of the epoch; NTU and PKU scripts
        positives: int = 100  # P per anchor
        hardness: float = 0.2  # 1 - lambda; the paper's lambda is 0.8
        weight: float = 2.0  # mu; 2 on NTU, 1 on PKU-MMD II
        nearest: int = 20  # candidates after p_0, clipped to what there is: all 19 others in the paper
        plain_epochs: int = 200  # stage one, plain MoCo; 200 on NTU, 500 on PKU-MMD II

        def __post_init__(self) -> None:
            super().__post_init__()
            counts = {k: getattr(self, k) for k in ("refresh", "positives", "nearest")}
            rules = [(v >= 1, f"{k}={v} must be at least 1") for k, v in counts.items()]
            rules += [
                (0 <= self.hardness <= 1, f"hardness={self.hardness} must lie in [0, 1] (it is 1 - lambda)"),
                (self.weight >= 0, f"weight={self.weight} must not be negative"),
                (self.plain_epochs >= 0, f"plain_epochs={self.plain_epochs} must not be negative"),
                (
                    2 <= self.prototypes <= self.prototypes_from <= self.queue,
                    f"needs 2 <= prototypes={self.prototypes} <= prototypes_from={self.prototypes_from} <= queue={self.queue}",
                ),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

    prototypes: Tensor
    progress: Tensor

    def __init__(self, config: Any, encoder: nn.Module, *, width: int, topology: Topology, generator: torch.Generator) -> None:
        super().__init__(config, encoder, width=width, topology=topology, generator=generator)
        self.register_buffer("prototypes", torch.zeros(config.prototypes, config.dim))
        # epoch, mini-batches of it so far, samples seen in stage two. A buffer, so that a resumed run goes on where it
        # stopped; the released code counts samples since the process started and warms up again after every resume.
        self.register_buffer("progress", torch.zeros(3, dtype=torch.int64))

    @property
    def warm_up(self) -> int:
        """Samples of stage two that only fill the queue: 2K + 1."""
        return 2 * self.config.queue + 1

    @property
    def generating(self) -> bool:
        """Whether steps hallucinate positives now."""
        epoch, _, seen = self.progress.tolist()
        return epoch >= self.config.plain_epochs and seen >= self.warm_up

    def begin_epoch(self, epoch: int) -> None:
        if epoch != int(self.progress[0]):  # called again for a resumed epoch: keep its count of mini-batches
            self.progress[0], self.progress[1] = epoch, 0

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        return self.with_positives(self.contrast(*self.views(batch, generator)), generator)

    def with_positives(self, found: Contrast, generator: torch.Generator) -> Step:
        """The step that a contrast makes, with hallucinated positives when it is time for them."""
        parts, out = self._measures(found), {"query": found.q.detach(), "key": found.k}
        loss = found.loss
        if self._count(len(found.q), generator):
            with torch.autocast(found.q.device.type, enabled=False):
                made = self.positives(found.k, generator)
                halp, similarity = alignment(found.q, made, self.config.temperature)
            loss = loss + self.config.weight * halp
            parts |= {"halp": halp.detach(), "kept": made.kept.to(loss.dtype).mean(), "similarity_positives": similarity.detach()}
            out |= {k: getattr(made, k) for k in ("kept", "t", "t_max", "targets", "prototypes")} | {"positives": made}
        return Step(loss=loss, parts=parts, out=out)

    def positives(self, anchors: Tensor, generator: torch.Generator) -> Positives:
        """Draw and hallucinate for anchors (N, D) with the present prototypes and settings."""
        c, prototypes = self.config, self.prototypes.to(anchors.dtype)
        targets, u = draw(anchors, prototypes, hardness=c.hardness, positives=c.positives, nearest=c.nearest, generator=generator)
        return _hallucinate(anchors, prototypes, targets, u)

    def after_step(self, generator: torch.Generator) -> None:
        """New prototypes on every ``refresh``-th mini-batch of the epoch, for the steps that follow."""
        if self.generating and (int(self.progress[1]) - 1) % self.config.refresh == 0:
            self.refresh_prototypes(generator)

    def refresh_prototypes(self, generator: torch.Generator) -> None:
        """Cluster the newest keys into S prototypes."""
        keys = self.queue.newest(self.config.prototypes_from)
        with torch.autocast(keys.device.type, enabled=False):
            found = spherical_kmeans(keys, self.config.prototypes, generator=generator)
        self.prototypes = found.centres  # a new tensor, not a copy into the old one: pictures of earlier steps still hold that

    def _count(self, samples: int, generator: torch.Generator) -> bool:
        """Count the batch; True when it hallucinates. Prototypes are made at once when the warm-up ends."""
        epoch, _, before = self.progress.tolist()
        second_stage = epoch >= self.config.plain_epochs
        self.progress[1] += 1
        if second_stage:
            self.progress[2] += samples
        if second_stage and before < self.warm_up <= before + samples:
            self.refresh_prototypes(generator)
        return second_stage and before + samples >= self.warm_up


def _check(anchors: Tensor, prototypes: Tensor, targets: Tensor, u: Tensor) -> None:
    if anchors.ndim != 2 or prototypes.ndim != 2 or anchors.shape[1] != prototypes.shape[1] or not len(prototypes):
        raise ConfigError(
            f"hallucinate wants anchors (N, D) and prototypes (S, D), got {tuple(anchors.shape)} and {tuple(prototypes.shape)}"
        )
    if targets.ndim != 2 or targets.shape != u.shape or len(targets) != len(anchors):
        raise ConfigError(
            f"hallucinate wants targets and u of shape ({len(anchors)}, P), got {tuple(targets.shape)} and {tuple(u.shape)}"
        )
    if targets.dtype != torch.int64 or bool(((targets < 0) | (targets >= len(prototypes))).any()):
        raise ConfigError(f"targets must be int64 rows of the prototypes, 0 .. {len(prototypes) - 1}; dtype given: {targets.dtype}")
    if not bool(((u >= 0) & (u <= 1)).all()):
        raise ConfigError("u must lie in [0, 1): 0 is the boundary, towards 1 lies the anchor")
    for name, table in (("anchors", anchors), ("prototypes", prototypes)):
        off = (torch.linalg.vector_norm(table, dim=1) - 1).abs()
        if not bool((off < 1e-3).all()):
            row = int(off.nan_to_num(torch.inf).argmax())
            raise ConfigError(f"{name} must be unit vectors; row {row} is not (divide rows by their length)")
