"""M-Mixer's fusion (reconstruction; Lee et al., WACV 2023 and arXiv 2311.12344): streams of features that are read one by one, each
by a recurrent unit that is told what the *other* streams hold.

    x^i_t = LN(W_e f^i_t)                                 one embedding a modality
    g^i   = CFEM(q^i, steps of all modalities but i)      cross content, or LN(W_g [means of the others])
    h^i   = MCU(x^i_1..T, g^i)                            one unit a modality
    y     = W_o [h^1_T; ...; h^N_T] + b

The topology is the papers'. Their formulas were not at hand: those below are reconstructed, each choice is a setting.
A modality that a clip lacks has no steps in the bank, a content of zeros and a state of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.nets.initial import draw_weights, drop

SCALE = 0.02  # standard deviation of queries and embeddings at the beginning


class Gates(NamedTuple):
    """What a unit did at every step: mix gate a, reset gate r, update gate z and state h, each (N, T, D)."""

    mix: Tensor
    reset: Tensor
    update: Tensor
    states: Tensor


class MCU(nn.Module):
    """Multi-modal Contextualization Unit: steps x (N, T, D) with content g -> states h (N, T, D).

        a_t = sigmoid(LN(W_ax x_t + W_ag g))                       mix gate
        m_t = LN(W_mx x_t) + a_t * LN(W_mg g)                      mixed input
        r_t = sigmoid(LN(W_r m_t + U_r h_t-1))                     reset gate
        z_t = sigmoid(LN(W_z m_t + U_z h_t-1))                     update gate
        c_t = tanh(LN(W_c m_t + U_c (r_t * h_t-1)))                candidate
        h_t = (1 - z_t) * h_t-1 + z_t * c_t

    ``mix="add"`` sets a_t to 1; ``"concat"`` has m_t = LN(W_mx [x_t; g]); ``"off"`` has m_t = LN(W_mx x_t), a layer-normalised GRU.
    Where the mask is False, h_t = h_t-1.
    """

    def __init__(self, width: int, *, mix: Literal["gate", "concat", "add", "off"] = "gate") -> None:
        super().__init__()
        self.mix = mix

        def linear(given: int = width) -> nn.Linear:
            return nn.Linear(given, width, bias=False)

        self.mx, self.norm_mx = linear(2 * width if mix == "concat" else width), nn.LayerNorm(width)
        if mix == "gate":
            self.ax, self.ag, self.norm_a = linear(), linear(), nn.LayerNorm(width)
        if mix in ("gate", "add"):
            self.mg, self.norm_mg = linear(), nn.LayerNorm(width)
        self.wr, self.ur, self.norm_r = linear(), linear(), nn.LayerNorm(width)
        self.wz, self.uz, self.norm_z = linear(), linear(), nn.LayerNorm(width)
        self.wc, self.uc, self.norm_c = linear(), linear(), nn.LayerNorm(width)

    def mixed(self, x: Tensor, g: Tensor | None) -> tuple[Tensor, Tensor]:
        """(mixed inputs m, mix gates a), both (N, T, D); the gates are 0 where nothing is mixed in and 1 where everything is."""
        if self.mix == "off" or g is None:
            return self.norm_mx(self.mx(x)), torch.zeros_like(x)
        g = g[:, None] if g.ndim == 2 else g  # (N, 1 or T, D)
        if self.mix == "concat":
            return self.norm_mx(self.mx(torch.cat([x, g.expand_as(x)], dim=2))), torch.ones_like(x)
        a = torch.ones_like(x) if self.mix == "add" else torch.sigmoid(self.norm_a(self.ax(x) + self.ag(g)))
        return self.norm_mx(self.mx(x)) + a * self.norm_mg(self.mg(g)), a

    def forward(self, x: Tensor, g: Tensor | None, mask: Tensor | None = None) -> Gates:
        """Steps (N, T, D), content (N, D), or (N, T, D) where it changes with the step, mask (N, T), True for steps there are."""
        m, a = self.mixed(x, g)
        wr, wz, wc = self.wr(m), self.wz(m), self.wc(m)  # for all steps at once; only U h stays in the loop
        h = x.new_zeros(x.shape[0], x.shape[2])
        resets, updates, states = [], [], []
        for t in range(x.shape[1]):
            r = torch.sigmoid(self.norm_r(wr[:, t] + self.ur(h)))
            z = torch.sigmoid(self.norm_z(wz[:, t] + self.uz(h)))
            c = torch.tanh(self.norm_c(wc[:, t] + self.uc(r * h)))
            new = (1 - z) * h + z * c
            h = new if mask is None else torch.where(mask[:, t, None], new, h)
            resets.append(r)
            updates.append(z)
            states.append(h)
        return Gates(a, torch.stack(resets, dim=1), torch.stack(updates, dim=1), torch.stack(states, dim=1))


class CrossAttention(nn.Module):
    """One attention block: queries (N, Q, D) look into a bank (N, B, D) -> (N, Q, D), weights (N, heads, Q, B).

        A = softmax(q W_q (bank W_k)^T / sqrt(D / heads)),   o = A bank W_v W_p,   u = LN(q + o),   v = LN(u + FFN(u))

    A bank of which nothing may be looked at gives o = 0 and weights of zero.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.p = (nn.Linear(width, width) for _ in range(4))
        self.norm_u, self.norm_v = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, queries: Tensor, bank: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mask (N, B) is True where the bank may be looked at."""
        N, Q, D = queries.shape
        q, k, v = (f(x).view(N, -1, self.heads, D // self.heads).transpose(1, 2) for f, x in zip(
            (self.q, self.k, self.v), (queries, bank, bank), strict=True))  # (N, heads, ., D / heads)  # fmt: skip
        scores = q @ k.transpose(2, 3) / (D // self.heads) ** 0.5  # (N, heads, Q, B)
        hidden = ~mask[:, None, None]
        weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=3).masked_fill(hidden, 0)
        found = self.p((weights @ v).transpose(1, 2).reshape(N, Q, D)) * mask.any(dim=1)[:, None, None]
        u = self.norm_u(queries + found)
        return self.norm_v(u + self.ffn(u)), weights


class CFEM(nn.Module):
    """Complementary Feature Extraction Module: what modality i should know of the others, asked for by a query of its own.

    The feature bank holds every step of every modality, b^j_t = x^j_t + m^j + p_t (one vector a modality, one a step). Modality i
    looks at all of it but its own steps: g^i is the mean over its queries of what the attention block gives.
    """

    def __init__(self, config: Mixer.Config, modalities: int) -> None:
        super().__init__()
        self.config, D = config, config.width
        self.queries = nn.Parameter(torch.zeros(modalities, config.queries, D))
        self.modality = nn.Parameter(torch.zeros(modalities, D))
        self.position = nn.Parameter(torch.zeros(config.positions, D))
        self.blocks = nn.ModuleList(CrossAttention(D, config.heads) for _ in range(1 if config.share else modalities))

    def visible(self, target: int, mask: Tensor) -> Tensor:
        """What target i may look at, (N, S, T), of the steps that are there (N, S, T)."""
        own = torch.arange(mask.shape[1], device=mask.device) == target
        if self.config.content == "own":
            return mask & own[:, None]
        return mask if self.config.include_own else mask & ~own[:, None]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Steps of all modalities (N, S, T, D), mask (N, S, T) -> contents (N, S, D) or (N, S, T, D), weights (N, S, heads, S, T).

        Weights are the means over the queries (and over the steps that asked, where every step asks).
        """
        N, S, T, D = x.shape
        if len(self.position) < T:
            raise ConfigError(f"M-Mixer has positions for {len(self.position)} steps, these clips have {T}: set positions={T}")
        bank = (x + self.modality[:, None] + self.position[:T]).view(N, S * T, D)
        contents, weights = [], []
        for i in range(S):
            block = self.blocks[0 if self.config.share else i]
            queries = self.queries[i].expand(N, -1, -1)  # (N, Q, D)
            if self.config.per_step:
                queries = (x[:, i, :, None] + queries[:, None]).flatten(1, 2)  # (N, T * Q, D)
            found, seen = block(queries, bank, self.visible(i, mask).flatten(1))
            found = found.view(N, -1, self.config.queries, D).mean(dim=2)  # (N, 1 or T, D)
            contents.append(found if self.config.per_step else found[:, 0])
            weights.append(seen.mean(dim=2).view(N, -1, S, T))
        return torch.stack(contents, dim=1), torch.stack(weights, dim=1)


class MeanContent(nn.Module):
    """Content without CFEM: g^i = LN(W_g [c^j for j != i]), c^j the mean of x^j over the steps that are there."""

    def __init__(self, width: int, modalities: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear((modalities - 1) * width, width) for _ in range(modalities))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(modalities))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, S, T, D), (N, S, T) -> (N, S, D); a modality that is not there has a mean of zeros."""
        means, S = over_time(x, mask), x.shape[1]  # (N, S, D)
        others = [torch.cat([means[:, j] for j in range(S) if j != i], dim=1) for i in range(S)]
        made = [norm(f(c)) for f, norm, c in zip(self.linears, self.norms, others, strict=True)]
        return torch.stack(made, dim=1)


class Mixed(NamedTuple):
    """What the mixer makes of N clips with S modalities.

    Attributes:
        logits: (N, classes).
        features: (N, S * D), what the classifier reads.
        each: logits of the heads on single modalities (N, S, classes); None without such heads.
        gates: mix gates, means over channels (N, T, S).
        reset: the same of the reset gates.
        update: the same of the update gates.
        attention: how target i looks at step t of modality j, means over heads (N, S, S, T), [n, i, j, t]; None without CFEM.
        states: (N, S, T, D).
    """

    logits: Tensor
    features: Tensor
    each: Tensor | None
    gates: Tensor
    reset: Tensor
    update: Tensor
    attention: Tensor | None
    states: Tensor


class Mixer(nn.Module):
    """Feature sequences of S modalities, each (N, T, d_f) -> class scores."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Sizes and switches; what the fact sheet recommends at paper scale, the papers' own values are not known."""

        width: int = 512  # d
        fusion: Literal["mixer", "late", "mean"] = "mixer"  # late: no mixing, scores averaged; mean: the same without recurrence
        mix: Literal["gate", "concat", "add", "off"] = "gate"
        content: Literal["cfem", "mean", "own"] = "cfem"  # of the others by CFEM, their means, or by CFEM of itself
        queries: int = 1  # n_q of a modality
        heads: int = 8
        share: bool = True  # one attention block for all targets; queries are always their own
        include_own: bool = False  # its own steps stand in the bank too
        per_step: bool = False  # every step asks the bank anew, with x_t added to the query
        positions: int = 64  # steps that have an embedding
        readout: Literal["last", "mean"] = "last"  # state that is classified: h_T, or the mean of all h_t
        dropout: float = 0.2  # before the classifier; 0.5 for NW-UCLA

        def __post_init__(self) -> None:
            rules = {
                f"width={self.width} must divide by heads={self.heads}": self.heads >= 1 and self.width % self.heads == 0,
                f"queries={self.queries} and positions={self.positions} must be 1 or more": min(self.queries, self.positions) >= 1,
                f"dropout={self.dropout} must lie in [0, 1)": 0 <= self.dropout < 1,
                f"fusion={self.fusion!r}: mixer, late or mean": self.fusion in ("mixer", "late", "mean"),
                f"mix={self.mix!r}: gate, concat, add or off": self.mix in ("gate", "concat", "add", "off"),
                f"content={self.content!r}: cfem, mean or own": self.content in ("cfem", "mean", "own"),
                f"readout={self.readout!r}: last or mean": self.readout in ("last", "mean"),
                "per_step=True needs content='cfem' or 'own'": not self.per_step or self.content != "mean",
            }
            wrong = [text for text, holds in rules.items() if not holds]
            if wrong:
                raise ConfigError(f"M-Mixer: {'; '.join(wrong)}")

    def __init__(
        self, config: Config, *, inputs: int, modalities: int, classes: int, heads: bool, generator: torch.Generator
    ) -> None:
        """``heads`` puts a classifier of its own on every modality besides. Where nothing is mixed, one modality is enough."""
        super().__init__()
        mixes = config.fusion == "mixer" and config.mix != "off"
        if modalities < 1 or (modalities == 1 and mixes and config.content != "own"):
            raise ConfigError("M-Mixer mixes what others know into each modality: it needs two or more; for one, fusion='late'")
        self.config, S, D = config, modalities, config.width
        self.embed = nn.ModuleList(nn.Linear(inputs, D) for _ in range(S))
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(S))
        recurrent = S if config.fusion != "mean" else 0
        self.units = nn.ModuleList(MCU(D, mix=config.mix if mixes else "off") for _ in range(recurrent))
        self.content: CFEM | MeanContent | None = None
        if mixes:
            self.content = MeanContent(D, S) if config.content == "mean" else CFEM(config, S)
        self.head = nn.Linear(S * D, classes) if config.fusion == "mixer" else None
        self.heads = nn.ModuleList(nn.Linear(D, classes) for _ in range(S)) if heads or self.head is None else None
        draw_weights(self, generator)
        if isinstance(self.content, CFEM):
            for table in (self.content.queries, self.content.modality, self.content.position):
                table.data = SCALE * torch.randn(table.shape, generator=generator, device=generator.device)

    def embedded(self, features: Tensor) -> Tensor:
        """Features (N, S, T, d_f) -> steps x (N, S, T, D)."""
        made = [norm(f(features[:, i])) for i, (f, norm) in enumerate(zip(self.embed, self.norms, strict=True))]
        return torch.stack(made, dim=1)

    def pooled(self, features: Tensor, mask: Tensor) -> Tensor:
        """Scores of the heads on means over time of every modality (N, S, classes): no unit, no mixing."""
        return self.each(over_time(self.embedded(features), mask))

    def each(self, states: Tensor) -> Tensor:
        """Scores of the heads on single modalities, (N, S, D) -> (N, S, classes)."""
        if self.heads is None:
            raise ConfigError("this mixer was built without heads on single modalities")
        return torch.stack([head(states[:, i]) for i, head in enumerate(self.heads)], dim=1)

    def forward(self, features: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None) -> Mixed:
        """Features (N, S, T, d_f), mask (N, S, T) of the steps that are there; dropout is drawn from ``generator``, if given."""
        N, S, T, _ = features.shape
        mask = features.new_ones(N, S, T, dtype=torch.bool) if mask is None else mask
        x = self.embedded(features)
        content, attention = None, None
        if isinstance(self.content, CFEM):
            content, seen = self.content(x, mask)
            attention = seen.mean(dim=2)  # (N, S, S, T)
        elif self.content is not None:
            content = self.content(x, mask)
        made = [unit(x[:, i], None if content is None else content[:, i], mask[:, i]) for i, unit in enumerate(self.units)]
        states = torch.stack([one.states for one in made], dim=1) if made else x  # (N, S, T, D)
        last = self.config.readout == "last" and self.config.fusion != "mean"
        read = states[:, :, -1] if last else over_time(states, mask)  # (N, S, D)
        dropped = drop(read, self.config.dropout, generator)
        each = None if self.heads is None else self.each(dropped)
        if self.head is not None:
            logits = self.head(dropped.flatten(1))
        else:
            assert each is not None, "scores to be fused late"
            share = mask.any(dim=2, keepdim=True).to(each.dtype)  # (N, S, 1)
            logits = (each * share).sum(dim=1) / share.sum(dim=1).clamp(min=1)

        def gate(name: str) -> Tensor:
            if not made:
                return x.new_zeros(N, T, S)
            return torch.stack([getattr(one, name).mean(dim=2) for one in made], dim=2) * mask.transpose(1, 2)  # (N, T, S)

        return Mixed(
            logits=logits,
            features=read.flatten(1),
            each=each,
            gates=gate("mix"),
            reset=gate("reset"),
            update=gate("update"),
            attention=attention,
            states=states,
        )


def over_time(x: Tensor, mask: Tensor) -> Tensor:
    """Means of (N, S, T, D) over the steps that are there (N, S, T), zeros where none is: (N, S, D)."""
    there = mask[..., None].to(x.dtype)
    return (x * there).sum(dim=2) / there.sum(dim=2).clamp(min=1)
