"""The 3D deformable transformer: search, reading and attentions against loops, and the planted problems that need them."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.errors import ConfigError
from skelbench.nets.deform3d import Attention, Block, DeformableAttention, StrideAttention, TokenSearch, read
from skelbench.nets.deform3d_net import Network, PoseTokens, Transformer, under_gaussians
from skelbench.nets.initial import draw_weights
from skelbench.nets.video3d import VideoCNN


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def rough(module, seed=9, size=0.3):
    """In float64, with every parameter away from where it began."""
    module.double()
    g = generator(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(size * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return module


def config(**edits):
    return Block.Config(**{"width": 8, "heads": 2, "blocks": 2, "groups": 2, "dropout": 0.0, "drop_path": 0.0, **edits})


def search(D=8, groups=2, stride=(2, 2, 2), reach=(2.0, 2.0, 2.0), kernel=(3, 5, 5)):
    made = TokenSearch(D, groups=groups, stride=stride, reach=reach, kernel=kernel)
    draw_weights(made, generator())
    made.begin()
    return made


def naive_attention(module, queries, tokens, seen):
    """Head by head, query by query."""
    D, H = queries.shape[1], module.heads
    d, out, shares = D // H, [], torch.zeros(H, len(queries), len(tokens), dtype=queries.dtype)
    for i, row in enumerate(queries):
        parts = []
        for h in range(H):
            at = slice(h * d, (h + 1) * d)
            e = [math.exp(float(module.q(row)[at] @ module.k(t)[at]) / math.sqrt(d)) if ok else 0.0 for t, ok in zip(tokens, seen)]
            for j, value in enumerate(e):
                shares[h, i, j] = value / sum(e)
            parts.append(sum(shares[h, i, j] * module.v(t)[at] for j, t in enumerate(tokens)))
        out.append(module.o(torch.cat(parts)))
    return torch.stack(out), shares


def test_attention_is_its_equation_with_and_without_weights():
    module = rough(Attention(8, 2))
    queries, tokens = normal(2, 3, 8), normal(2, 5, 8, seed=1)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False]])
    with torch.no_grad():
        fused, nothing = module(queries, tokens, mask)
        out, shares = module(queries, tokens, mask, weights=True)
        assert nothing is None
        for n in range(2):
            wanted, weights = naive_attention(module, queries[n], tokens[n], mask[n])
            for one in (out[n], fused[n]):
                torch.testing.assert_close(one, wanted, rtol=0, atol=1e-12)
            torch.testing.assert_close(shares[n], weights, rtol=0, atol=1e-12)


def test_a_search_that_does_not_move_gives_the_volume_back():
    for size in ((4, 4, 4), (5, 8, 7), (8, 3, 6)):
        volume = torch.randn(2, 8, *size, generator=generator())
        found = search(stride=(1, 1, 1))(volume)
        assert (found.tokens - volume.flatten(2).transpose(1, 2)).abs().max() <= 3e-6
        torch.testing.assert_close(found.positions[:, 0], found.references.expand(2, -1, -1))


def naive_read(volume, at):
    """One volume (C, T, h, w) at one place (t, y, x): the eight neighbours, each index kept inside."""
    low = [math.floor(v) for v in at]
    total = torch.zeros(len(volume), dtype=volume.dtype)
    for corner in itertools.product((0, 1), repeat=3):
        weight, index = 1.0, []
        for v, lo, up, n in zip(at, low, corner, volume.shape[1:], strict=True):
            weight *= (v - lo) if up else 1 - (v - lo)
            index.append(min(max(lo + up, 0), n - 1))
        total += weight * volume[:, index[0], index[1], index[2]]
    return total


def test_reading_is_trilinear_in_t_y_x():
    volume = normal(2, 3, 5, 4, 7)
    places = 8 * torch.rand(2, 2, 3, 1, 3, generator=generator(), dtype=torch.float64) - 1.5  # some of them outside
    found = read(volume, places)
    for n in range(2):
        for i, j in itertools.product(range(2), range(3)):
            wanted = naive_read(volume[n], places[n, i, j, 0].clamp(-0.5, 1e9).tolist())
            inside = [min(max(v, -0.5), size - 0.5) for v, size in zip(places[n, i, j, 0].tolist(), (5, 4, 7), strict=True)]
            wanted = naive_read(volume[n], inside)
            torch.testing.assert_close(found[n, :, i, j, 0], wanted, rtol=0, atol=1e-12)


def test_search_is_its_steps():
    made = rough(search(D=6, groups=2, stride=(2, 3, 2), kernel=(3, 5, 3)))
    volume = normal(2, 6, 5, 7, 6)
    with torch.no_grad():
        found = made(volume)
        points = (3, 3, 3)
        assert found.tokens.shape == (2, 27, 6) and found.positions.shape == (2, 2, 27, 3)
        u = torch.einsum("oc,nctyx->notyx", made.mix.weight[:, :, 0, 0, 0], volume) + made.mix.bias[:, None, None, None]
        padded = torch.nn.functional.pad(u, (1, 1, 2, 2, 1, 1))
        for n, g in itertools.product(range(2), range(2)):
            for k, (a, b, c) in enumerate(itertools.product(*map(range, points))):
                looked = []
                for channel in range(3):
                    window = padded[n, 3 * g + channel, 2 * a : 2 * a + 3, 3 * b : 3 * b + 5, 2 * c : 2 * c + 3]
                    looked.append((window * made.look.weight[channel, 0]).sum() + made.look.bias[channel])
                v = torch.stack(looked)
                v = 0.5 * v * (1 + torch.erf(v / math.sqrt(2)))
                offset = torch.tanh(made.offset.weight[:, :, 0, 0, 0] @ v) * 2.0
                reference = [(i + 0.5) * size / p - 0.5 for i, size, p in zip((a, b, c), (5, 7, 6), points, strict=True)]
                place = torch.tensor(reference) + offset
                torch.testing.assert_close(found.positions[n, g, k].double(), place.double(), rtol=0, atol=1e-5)
                inside = [min(max(v, -0.5), size - 0.5) for v, size in zip(place.tolist(), (5, 7, 6), strict=True)]
                wanted = naive_read(volume[n, 3 * g : 3 * g + 3], inside)
                torch.testing.assert_close(found.tokens[n, k, 3 * g : 3 * g + 3], wanted, rtol=0, atol=1e-4)


def test_references_stand_in_the_middle_of_their_stretch():
    made = search(stride=(2, 4, 3))
    points = made.references((8, 8, 7))
    assert points.shape == (4, 2, 3, 3)
    assert points[:, 0, 0, 0].tolist() == [0.5, 2.5, 4.5, 6.5] and points[0, :, 0, 1].tolist() == [1.5, 5.5]
    torch.testing.assert_close(points[0, 0, :, 2], torch.tensor([2 / 3, 3.0, 16 / 3]))


def test_offsets_stay_within_reach():
    made = rough(search(reach=(1.0, 2.0, 0.0)), size=30.0).float()
    found = made(torch.randn(2, 8, 4, 6, 6, generator=generator()))
    away = (found.positions - found.references).abs().amax(dim=(0, 1, 2))
    assert away[0] <= 1 and 1.5 < away[1] <= 2 and away[2] == 0


def test_without_strides_and_reach_it_is_plain_attention():
    edits = {"search_stride": (1, 1, 1), "search_range": (0.0, 0.0, 0.0), "joint_stride": 1, "temporal_stride": 1, "blocks": 1}
    z, p, mask = normal(2, 4, 3, 3, 8), normal(2, 4, 2, 5, 8, seed=1), torch.ones(2, 4, 2, 5, dtype=torch.bool)
    full = rough(Block(config(search="full", joint_scope="clip", **edits), rgb=True, pose=True))
    sparse = Block(config(joint_scope="clip", **edits), rgb=True, pose=True).double()
    sparse.load_state_dict(full.state_dict(), strict=False)
    c = normal(2, 2, 8, seed=2)
    one, other = full(z, p, c, mask), sparse(z, p, c, mask)
    for a, b in zip(one[:3], other[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    # and that is attention among all tokens, one kind after the other
    n = full.norms
    rows = torch.cat([n["deformable_z"](z).flatten(1, 3), n["deformable_c"](c)], dim=1)
    out = full.deformable.attention(rows, rows)[0]
    z1, c1 = z + out[:, :-2].view(z.shape), c + out[:, -2:]
    p1 = p
    for module, a in ((full.joints, "joints"), (full.time, "time")):
        rows = torch.cat([n[f"{a}_c"](c1), n[f"{a}_p"](p1).flatten(1, 3)], dim=1)
        out = module.attention(rows, rows)[0]
        c1, p1 = c1 + out[:, :2], p1 + out[:, 2:].view(p.shape)
    torch.testing.assert_close(one[0], z1 + full.ffn["z"](n["ffn_z"](z1)), rtol=0, atol=1e-10)
    torch.testing.assert_close(one[1], p1 + full.ffn["p"](n["ffn_p"](p1)), rtol=0, atol=1e-10)
    torch.testing.assert_close(one[2], c1 + full.ffn["c"](n["ffn_c"](c1)), rtol=0, atol=1e-10)


def test_modal_tokens_see_the_video_only_through_what_was_searched():
    module = rough(DeformableAttention(config(search_range=(0.0, 0.0, 0.0))))
    z, c = normal(1, 2, 4, 4, 8).requires_grad_(), normal(1, 2, 8, seed=1)
    dz, dc, searched, shares = module(z, c, weights=True)
    assert shares.shape == (1, 2, 34, 6) and searched.tokens.shape == (1, 4, 8)
    tokens = torch.cat([searched.tokens[0], c[0]])
    with torch.no_grad():
        wanted, weights = naive_attention(module.attention, torch.cat([z[0].flatten(0, 2), c[0]]), tokens, [True] * 6)
    torch.testing.assert_close(dz[0].flatten(0, 2), wanted[:-2], rtol=0, atol=1e-11)
    torch.testing.assert_close(dc[0], wanted[-2:], rtol=0, atol=1e-11)
    torch.testing.assert_close(shares[0], weights, rtol=0, atol=1e-11)


def naive_stride(module, p, c, mask, extra=None):
    """One clip, phase by phase; frame by frame too where it is local."""
    T, M, J, D = p.shape
    S, s = len(c), module.stride
    out, told, shares = torch.zeros_like(p), [], {}
    if module.along == "time":
        sets = [[(t, m, j) for t in range(k, T, s) for m in range(M) for j in range(J)] for k in range(min(s, T))]
    elif module.scope == "clip":
        sets = [[(t, m, j) for t in range(T) for m in range(M) for j in range(k, J, s)] for k in range(min(s, J))]
    else:
        frames = [t for t in range(T) if mask[t].any()]
        sets = [[(t, m, j) for m in range(M) for j in range(k, J, s)] for k in range(min(s, J)) for t in frames]
    for k, places in enumerate(sets):
        tokens = [*c, *(p[at] for at in places)]
        seen = [True] * S + [bool(mask[at]) for at in places]
        more = [] if extra is None else [e for t in range(k, T, s) for e in extra[t]]
        made, weights = naive_attention(
            module.attention, torch.stack(tokens), torch.stack([*tokens, *more]), seen + [True] * len(more)
        )
        told.append(made[:S])
        for row, at in enumerate(places):
            if mask[at]:
                out[at] = made[S + row]
                shares[at] = {b: weights[:, S + row, S + i] for i, b in enumerate(places)}
        for i, at in enumerate(places):
            shares["told", *at] = weights[:, :S, S + i]
    return out, torch.stack(told).mean(dim=0) if told else torch.zeros_like(c), shares


CASES = [
    ("joints", 2, "frame"),
    ("joints", 3, "frame"),
    ("joints", 2, "clip"),
    ("joints", 1, "frame"),
    ("time", 2, "frame"),
    ("time", 7, "frame"),
]


@pytest.mark.parametrize(("along", "stride", "scope"), CASES)
def test_stride_attention_is_its_equations(along, stride, scope):
    module = rough(StrideAttention(8, 2, stride=stride, along=along, scope=scope))
    p, c, mask = normal(2, 5, 2, 7, 8), normal(2, 2, 8, seed=1), torch.ones(2, 5, 2, 7, dtype=torch.bool)
    mask[0, :, 1], mask[1, 3], mask[1, 0, 0, 2] = False, False, False
    extra = normal(2, 5, 1, 8, seed=3) if (along, stride) == ("time", 2) else None
    with torch.no_grad():
        dp, dc, _ = module(p, c, mask, extra)
        explained = module(p, c, mask, extra, weights=True)
        for n in range(2):
            wanted, told, _ = naive_stride(module, p[n], c[n], mask[n], None if extra is None else extra[n])
            torch.testing.assert_close(dp[n], wanted, rtol=0, atol=1e-12)
            torch.testing.assert_close(dc[n], told, rtol=0, atol=1e-12)
    torch.testing.assert_close(explained[0], dp, rtol=0, atol=1e-12)
    assert not dp[~mask].any()


class Same(torch.nn.Module):
    def forward(self, queries, tokens, mask=None, *, weights=False):
        return queries, None


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("along", ["joints", "time"])
def test_tokens_come_back_to_where_they_were(along, stride):
    module = StrideAttention(8, 2, stride=stride, along=along)
    module.attention = Same()
    p, c = normal(2, 5, 2, 7, 8), normal(2, 2, 8, seed=1)
    dp, dc, _ = module(p, c, torch.ones(2, 5, 2, 7, dtype=torch.bool))
    assert torch.equal(dp, p)
    torch.testing.assert_close(dc, c)


def test_frames_of_different_phase_do_not_meet():
    module = rough(StrideAttention(8, 2, stride=2, along="time"))
    p = normal(1, 6, 1, 3, 8).requires_grad_()
    out, _, _ = module(p, torch.zeros(1, 0, 8, dtype=torch.float64), torch.ones(1, 6, 1, 3, dtype=torch.bool))  # no modal tokens
    (slope,) = torch.autograd.grad(out[0, 0].sum(), p)
    per_frame = slope.abs().sum(dim=(0, 2, 3, 4))
    assert (per_frame[[1, 3, 5]] == 0).all() and (per_frame[[0, 2, 4]] > 0).all()


def transformer(size=(4, 3, 3), joints=6, bodies=2, reads="both", classes=5, **edits):
    readout = edits.pop("readout", "concat")
    made = config(**edits)
    shape = {"reads": reads, "size": size, "joints": joints, "bodies": bodies, "classes": classes, "readout": readout}
    return Transformer(made, **shape, generator=generator())


def test_joints_may_change_places_within_a_phase():
    made = rough(transformer())
    z, p, mask = normal(2, 4, 3, 3, 8), normal(2, 4, 2, 6, 8, seed=1), torch.rand(2, 4, 2, 6, generator=generator()) < 0.8
    before = made(z, p, mask).logits
    order = [4, 3, 0, 5, 2, 1]  # even ones among themselves, odd ones among themselves
    joint = made.tables["joint"].data.clone()
    made.tables["joint"].data = joint[order]
    torch.testing.assert_close(made(z, p[..., order, :], mask[..., order]).logits, before, rtol=0, atol=1e-11)
    across = [1, 0, 2, 3, 4, 5]
    made.tables["joint"].data = joint[across]
    assert (made(z, p[..., across, :], mask[..., across]).logits - before).abs().max() > 1e-4


def test_what_is_not_there_is_not_seen():
    made = rough(transformer())
    z, p, mask = normal(2, 4, 3, 3, 8), normal(2, 4, 2, 6, 8, seed=1), torch.ones(2, 4, 2, 6, dtype=torch.bool)
    mask[:, :, 1], mask[0, 2] = False, False
    other = torch.where(mask[..., None], p, 50 * normal(2, 4, 2, 6, 8, seed=7))
    torch.testing.assert_close(made(z, p, mask).logits, made(z, other, mask).logits, rtol=0, atol=1e-11)
    nobody = made(z, p, torch.zeros_like(mask))
    assert torch.isfinite(nobody.logits).all()


def test_odd_sizes_run():
    made = transformer(size=(5, 8, 7), joints=7, joint_stride=3, temporal_stride=2)
    z, p = torch.randn(2, 5, 8, 7, 8, generator=generator()), torch.randn(2, 5, 2, 7, 8, generator=generator())
    found = made(z, p, torch.ones(2, 5, 2, 7, dtype=torch.bool), weights=True)
    assert found.logits.shape == (2, 5) and found.features.shape == (2, 16) and len(found.looks) == 2
    look = found.looks[-1]
    assert look.searched.positions.shape == (2, 2, 3 * 4 * 4, 3) and look.to_points.shape == (2, 2, 2, 48)
    assert look.to_joints.shape == look.to_moments.shape == (2, 2, 2, 5, 2, 7)
    assert look.joint_pairs.shape == (2, 2, 7, 7) and look.frame_pairs.shape == (2, 2, 5, 5) and look.traffic.shape == (2, 3)


def test_gradients_reach_everything():
    made = rough(transformer(), size=0.1)  # away from zero: the last layer of a search that stands still blocks the ones before it
    z, p = normal(3, 4, 3, 3, 8), normal(3, 4, 2, 6, 8, seed=1)
    cross_entropy(made(z, p, torch.ones(3, 4, 2, 6, dtype=torch.bool)).logits, torch.tensor([0, 1, 2])).backward()
    lifeless = {n for n, q in made.named_parameters() if q.grad is None or not q.grad.abs().sum() > 0}
    # keys' biases cancel in the softmax; in the last block nothing is made of the tokens that c has read
    last = {n for n in lifeless if n.startswith("blocks.1.ffn.") and n.split(".")[3] in "zp"}
    last |= {n for n in lifeless if n.startswith("blocks.1.norms.ffn_") and n.split(".")[3] in ("ffn_z", "ffn_p")}
    assert lifeless - last <= {f"blocks.{i}.{a}.attention.k.bias" for i in range(2) for a in ("deformable", "joints", "time")}
    fresh = transformer().double()
    cross_entropy(fresh(z, p, torch.ones(3, 4, 2, 6, dtype=torch.bool)).logits, torch.tensor([0, 1, 2])).backward()
    assert all(b.deformable.search.offset.weight.grad.abs().sum() > 0 for b in fresh.blocks)


def test_each_stream_alone_lacks_the_other():
    z, p, mask = normal(2, 4, 3, 3, 8), normal(2, 4, 2, 6, 8, seed=1), torch.ones(2, 4, 2, 6, dtype=torch.bool)
    rgb, pose = rough(transformer(reads="rgb")), rough(transformer(reads="pose"))
    seen, felt = rgb(z, None, None, weights=True), pose(None, p, mask, weights=True)
    assert seen.features.shape == felt.features.shape == (2, 8)
    assert seen.looks[0].to_joints is None and felt.looks[0].searched is None
    assert not [n for n, _ in rgb.named_parameters() if "joints" in n] and not [
        n for n, _ in pose.named_parameters() if "search" in n
    ]


@pytest.mark.parametrize("readout", ["concat", "sum", "heads"])
def test_readouts(readout):
    made = rough(transformer(readout=readout))
    found = made(normal(2, 4, 3, 3, 8), normal(2, 4, 2, 6, 8, seed=1), torch.ones(2, 4, 2, 6, dtype=torch.bool))
    c = found.features.view(2, 2, 8)
    if readout == "heads":
        wanted = (made.heads[0](made.norm(c[:, 0])) + made.heads[1](made.norm(c[:, 1]))) / 2
    else:
        wanted = made.heads[0](made.norm(c.sum(dim=1) if readout == "sum" else c.flatten(1)))
    torch.testing.assert_close(found.logits, wanted)


def test_looks_are_the_weights_in_order():
    made = rough(Block(config(joint_stride=2, temporal_stride=2, temporal_rgb=True), rgb=True, pose=True))
    z, p, c = normal(2, 4, 3, 3, 8), normal(2, 4, 2, 5, 8, seed=1), normal(2, 2, 8, seed=2)
    mask = torch.ones(2, 4, 2, 5, dtype=torch.bool)
    mask[0, :, 1], mask[1, 2, 0, 1] = False, False
    kept = {}
    for name in ("joints", "time"):
        getattr(made, name).register_forward_pre_hook(lambda _, given, name=name: kept.__setitem__(name, given))
    with torch.no_grad():
        look = made(z, p, c, mask, weights=True)[3]
        for n in range(2):
            given = [kept["joints"][0][n], kept["joints"][1][n], mask[n]]
            shares = naive_stride(made.joints, *given)[2]
            for t, m, j in itertools.product(range(4), range(2), range(5)):
                torch.testing.assert_close(look.to_joints[n, :, :, t, m, j], shares["told", t, m, j], rtol=0, atol=1e-12)
            for j, i in itertools.product(range(5), range(5)):
                rows = [
                    sum((v for b, v in shares[a].items() if b[2] == i), torch.zeros(2)) for a in shares if len(a) == 3 and a[2] == j
                ]
                torch.testing.assert_close(look.joint_pairs[n, :, j, i], torch.stack(rows).mean(dim=0).double(), rtol=0, atol=1e-12)
            shares = naive_stride(made.time, kept["time"][0][n], kept["time"][1][n], mask[n], kept["time"][3][n])[2]
            for t, u in itertools.product(range(4), range(4)):
                rows = [
                    sum((v for b, v in shares[a].items() if b[0] == u), torch.zeros(2)) for a in shares if len(a) == 3 and a[0] == t
                ]
                torch.testing.assert_close(look.frame_pairs[n, :, t, u], torch.stack(rows).mean(dim=0).double(), rtol=0, atol=1e-12)
            for t, m, j in itertools.product(range(4), range(2), range(5)):
                torch.testing.assert_close(look.to_moments[n, :, :, t, m, j], shares["told", t, m, j], rtol=0, atol=1e-12)
    assert not look.joint_pairs[:, :, 0, 1].any() and not look.frame_pairs[:, :, 0, 1].any()  # other phases


# Table 4.8 of the fact sheet: transformer only, 60 classes, 25 joints; its persons and norms are not told.
@pytest.mark.parametrize(
    ("width", "heads", "blocks", "size", "millions"),
    [(96, 4, 2, (8, 8, 8), 0.715), (128, 4, 3, (8, 8, 8), 1.87), (512, 8, 4, (16, 7, 7), 39.0), (512, 8, 6, (16, 7, 7), 58.5)],
)
def test_sizes_are_about_those_of_the_sheet(width, heads, blocks, size, millions):
    made = config(width=width, heads=heads, blocks=blocks, groups=4)
    net = Transformer(made, reads="both", size=size, joints=25, bodies=1, classes=60, generator=generator())
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


def test_means_under_gaussians():
    early = normal(2, 3, 2, 5, 6)
    places = torch.rand(2, 2, 4, 2, generator=generator(), dtype=torch.float64) * 1.2 - 0.1
    confidence = torch.rand(2, 2, 4, generator=generator(), dtype=torch.float64)
    found = under_gaussians(early, places, confidence, 0.8)
    for n, t, j in itertools.product(range(2), range(2), range(4)):
        total, mean = 0.0, torch.zeros(3, dtype=torch.float64)
        for y, x in itertools.product(range(5), range(6)):
            away = (places[n, t, j, 0] * 6 - x - 0.5) ** 2 + (places[n, t, j, 1] * 5 - y - 0.5) ** 2
            g = confidence[n, t, j] * torch.exp(-away / (2 * 0.64))
            total, mean = total + g, mean + g * early[n, :, t, y, x]
        torch.testing.assert_close(found[n, t, j], mean / (total + 1e-4), rtol=0, atol=1e-12)


@pytest.mark.parametrize("join", ["mean", "concat"])
def test_joint_tokens(join):
    made = rough(PoseTokens(8, channels=3, sigma=1.0, frames=4, tokens=2, join=join))
    early, places = normal(2, 3, 4, 5, 5), torch.rand(2, 4, 6, 2, 2, generator=generator(), dtype=torch.float64)
    confidence = (torch.rand(2, 4, 6, 2, generator=generator(1)) < 0.7).double()
    tokens, mask = made(early, places, confidence)
    assert tokens.shape == (2, 2, 2, 6, 8)
    for n, u, m, j in itertools.product(range(2), range(2), range(2), range(6)):
        rows = []
        for t in (2 * u, 2 * u + 1):
            if not confidence[n, t, j, m]:
                rows.append(None)
                continue
            before = t > 0 and confidence[n, t - 1, j, m]
            speed = places[n, t, j, m] - places[n, t - 1, j, m] if before else torch.zeros(2, dtype=torch.float64)
            said = torch.cat([places[n, t, j, m], torch.ones(1, dtype=torch.float64), speed])
            one = early[n : n + 1, :, t : t + 1]
            a = under_gaussians(one, places[n, t, j, m].view(1, 1, 1, 2), torch.ones(1, 1, 1, dtype=torch.float64), 1.0)[0, 0, 0]
            rows.append(made.norm(made.appearance(a) + made.geometry(said)))
        seen = [r for r in rows if r is not None]
        assert bool(mask[n, u, m, j]) == bool(seen)
        if join == "concat":
            zero = torch.zeros(8, dtype=torch.float64)
            wanted = made.joined(torch.cat([zero if r is None else r for r in rows]))
        else:
            wanted = sum(seen) / len(seen) if seen else torch.zeros(8, dtype=torch.float64)
        torch.testing.assert_close(tokens[n, u, m, j], wanted, rtol=0, atol=1e-11)


def test_network_reads_what_it_should():
    small = VideoCNN.Config(widths=(8, 8, 8, 8), groups=4)
    settings = Network.Config(video=small, block=config())
    shape = {"frames": 4, "picture": 32, "joints": 6, "bodies": 2, "classes": 5}
    rgb = torch.rand(2, 3, 4, 32, 32, generator=generator())
    places, confidence = torch.rand(2, 4, 6, 2, 2, generator=generator()), torch.ones(2, 4, 6, 2)
    for reads in ("both", "rgb", "pose"):
        made = Network(settings, reads=reads, **shape, generator=generator()).eval()
        before = made(rgb, places, confidence).logits
        other = made(1 - rgb, places, confidence).logits, made(rgb, 1 - places, confidence).logits
        moved = [bool((before - one).abs().max() > 1e-7) for one in other]
        assert moved == [reads != "pose", reads != "rgb"]
    with pytest.raises(ConfigError, match=r"built for \(2, 4, 4\) video tokens.* give \(2, 2, 2\)"):
        Network(settings, reads="rgb", **shape, generator=generator())(rgb[..., :16, :16], None, None)


def test_settings_out_of_range():
    for wrong in (
        {"heads": 3},
        {"groups": 3},
        {"search_stride": (0, 1, 1)},
        {"search_kernel": (2, 3, 3)},
        {"temporal_stride": 0},
        {"drop_path": 1.0},
        {"search": "none"},
    ):
        with pytest.raises(ConfigError, match="deform3d"):
            config(**wrong)


def test_dropout_and_left_out_branches_are_drawn():
    made = transformer(dropout=0.3, drop_path=0.5).double()
    given = normal(4, 4, 3, 3, 8), normal(4, 4, 2, 6, 8, seed=1), torch.ones(4, 4, 2, 6, dtype=torch.bool)
    one, same, other, none = (made(*given, g).logits for g in (generator(1), generator(1), generator(2), None))
    assert torch.equal(one, same) and not torch.equal(one, other)
    torch.testing.assert_close(none, made(*given).logits)


def flashes(n, g, *, D=32, J=6, spread=0.7, noise=0.2, pose=False):
    """A blob at a random place of an 8 x 8 x 8 volume carries a bit; the joints are noise, or one of them carries another (XOR)."""
    direction = torch.linalg.qr(torch.randn(D, 3, generator=generator(7)))[0].T
    place = 1 + 5 * torch.rand(n, 3, generator=g)
    bit, other = torch.randint(0, 2, (2, n), generator=g)
    axes = torch.stack(torch.meshgrid(*[torch.arange(8.0)] * 3, indexing="ij"), dim=-1)
    away = ((axes - place[:, None, None, None]) ** 2).sum(dim=4)
    blob = torch.exp(-away / (2 * spread**2))[..., None]
    sign = 2.0 * torch.stack([bit, other]) - 1
    z = 4 * blob * (direction[0] + sign[0].view(-1, 1, 1, 1, 1) * direction[1])
    z = z + noise * torch.randn(z.shape, generator=g)
    p = torch.randn(n, 8, 1, J, D, generator=g) * (0.3 if pose else 1.0)
    if pose:
        p[:, :, :, 2] += 2 * sign[1].view(-1, 1, 1, 1) * direction[2]
    return z, p, torch.ones(n, 8, 1, J, dtype=torch.bool), (bit ^ other if pose else bit), place


def taught(steps, *, reach=3.0, rate=2e-3, stride=4, kernel=7, pose=False, blocks=1, **kind):
    edits = {"width": 32, "heads": 4, "blocks": blocks, "search_stride": (stride,) * 3, "search_kernel": (kernel,) * 3}
    made = transformer(size=(8, 8, 8), bodies=1, classes=2, search_range=(reach,) * 3, **edits)
    optimiser, g = torch.optim.AdamW(made.parameters(), lr=rate), generator(1)
    for _ in range(steps):
        z, p, mask, y, _ = flashes(32, g, pose=pose, **kind)
        loss = cross_entropy(made(z, p, mask).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return made


@torch.no_grad()
def judged(made, **kind):
    """(accuracy, distance from the blob to the nearest point that was searched)."""
    z, p, mask, y, place = flashes(500, generator(1000), **kind)
    found = made(z, p, mask, weights=True)
    away = (found.looks[0].searched.positions - place[:, None, None]).norm(dim=3).amin(dim=(1, 2))
    return float((found.logits.argmax(dim=1) == y).float().mean()), float(away.mean())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_search_goes_where_something_is():
    still, before = judged(taught(300, reach=0.0))
    moved, after = judged(taught(300))
    assert moved > 0.97 and moved > still + 0.03
    assert after < before - 0.4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_product_of_video_and_joints_is_learnt_and_needs_both():
    made = taught(300, pose=True, stride=2, kernel=5)
    assert judged(made, pose=True)[0] > 0.95
    z, p, mask, y, _ = flashes(500, generator(1000), pose=True)
    with torch.no_grad():
        for blind in (made(0 * z, p, mask), made(z, 0 * p, mask), made(z, p, mask & False)):
            assert 0.4 < (blind.logits.argmax(dim=1) == y).float().mean() < 0.6
