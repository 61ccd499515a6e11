"""SkeletonMAE against loops over clips, frames, bodies and joints in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skelbench.data import Store
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.report import compare
from skelbench.methods.skeletonmae import Frames, SkeletonMAE, mean_cosine, reweighted_cosine
from skelbench.nets.gin import GIN
from skelbench.skeleton.bodyparts import six_parts
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.sampling import segment_frames
from skelbench.skeleton.topology import Topology, topology
from skelbench.train import open_run, start

COCO, KINECT = topology("coco_17"), topology("kinect_v2_25")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(*, layout: Topology = KINECT, coordinates: int = 3, seed: int = 0, **config: Any) -> SkeletonMAE:
    settings = {"encoder": GIN.Config(width=6, layers=2), "frames": 5, "noise": 0.0} | config
    method = SkeletonMAE.build(
        SkeletonMAE.Config(**settings), topology=layout, bodies=2, coordinates=coordinates, classes=0, generator=generator(seed)
    )
    with torch.no_grad():
        method.token.copy_(torch.randn(method.token.shape, generator=generator(seed + 1)))
    return method.double()


def clips(N: int = 4, T: int = 20, M: int = 2, seed: int = 0, layout: Topology = KINECT, C: int = 3) -> Batch:
    """Clips of different lengths; the second body is there in every second clip, for some frames."""
    joints = np.random.default_rng(seed).normal(size=(N, T, M, layout.V, C)).astype(np.float32)
    lengths = [T - 3 * (n % 3) for n in range(N)]
    for n, length in enumerate(lengths):
        joints[n, length:] = 0
        joints[n, n % 5 :, 1:] *= n % 2
    batch = batch_of(joints, lengths=lengths)
    return batch.with_joints(batch.joints.double())


def naive_loss(cosine: Tensor, hidden: Tensor, beta: float, inside: bool) -> Tensor:
    total = cosine.new_zeros(())
    for g in range(len(cosine)):
        V = int(hidden[g].sum())
        one = cosine.new_zeros(())
        for i in range(cosine.shape[1]):
            if hidden[g, i]:
                one = one + ((1 / V - cosine[g, i] / V) ** beta if inside else (1 - cosine[g, i]) ** beta / V)
        total = total + one
    return total / len(cosine)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("inside", [True, False])
def test_loss_is_equation_5(beta: float, inside: bool) -> None:
    cosine = torch.rand(6, 17, generator=generator(), dtype=torch.float64) * 2 - 1
    hidden = torch.rand(6, 17, generator=generator(1)) < 0.4
    hidden[0] = False
    found = reweighted_cosine(cosine, hidden, beta=beta, inside_power=inside)
    assert found[0] == 0
    torch.testing.assert_close(found[1:].mean(), naive_loss(cosine[1:], hidden[1:], beta, inside))


@pytest.mark.parametrize(("joints", "ratio"), [(2, 0.5), (4, 0.25), (5, 0.2), (9, 1 / 9)])
def test_the_printed_form_is_smaller_by_the_number_of_hidden_joints(joints: int, ratio: float) -> None:
    cosine, hidden = torch.rand(3, 17, dtype=torch.float64), (torch.arange(17) < joints).expand(3, -1)
    printed, mean = (reweighted_cosine(cosine, hidden, inside_power=inside) for inside in (True, False))
    torch.testing.assert_close(printed / mean, torch.full((3,), ratio, dtype=torch.float64))


def test_gradient_of_the_loss_through_guess_and_target() -> None:
    hidden = torch.tensor([[True, False, True], [False, True, True]])

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return reweighted_cosine(torch.nn.functional.cosine_similarity(x, y, dim=2), hidden).mean()

    x, y = (torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True, generator=generator(i)) for i in range(2))
    assert torch.autograd.gradcheck(loss, (x, y))
    torch.testing.assert_close(loss(x, 3 * y), loss(x, y))  # lengths do not count


@pytest.mark.parametrize("config", [{}, {"remask": True}, {"stop_gradient": False, "inside_power": False, "beta": 1.0}])
def test_step_is_a_loop_over_clips_frames_and_bodies(config: dict[str, Any]) -> None:
    method, batch = build(parts=(2, 5), **config), clips()
    step = method.step(batch, generator(7))
    step.loss.backward()
    index = segment_frames(batch.lengths, 5, generator=generator(7))
    parts = list(six_parts(KINECT).values())
    bodies, places = [], []
    for n in range(len(batch)):
        for t in range(5):
            for m in range(2):
                if batch.present[n, index[n, t], m]:
                    bodies.append(batch.joints[n, :, index[n, t], :, m].T)
                    places.append((n, t, m))
    W, b = (p.detach().clone().requires_grad_() for p in (method.embedding.weight, method.embedding.bias))
    hidden = torch.tensor([j in parts[2] + parts[5] for j in range(25)])
    x = torch.stack([torch.stack([W @ body[j] + b for j in range(25)]) for body in bodies])  # (G, V, D)
    seen = torch.stack([torch.stack([method.token if hidden[j] else one[j] for j in range(25)]) for one in x])
    h = method.encoder(seen) @ method.bridge.weight.T
    if method.config.remask:
        h = torch.stack([torch.stack([0 * v if hidden[j] else v for j, v in enumerate(one)]) for one in h])
    y = method.decoder(h, method.encoder.edges)
    target = x.detach() if method.config.stop_gradient else x
    cosine = torch.stack(
        [
            torch.stack([(a @ c) / (a.norm() * c.norm()) for a, c in zip(one, two, strict=True)])
            for one, two in zip(target, y, strict=True)
        ]
    )
    wanted = naive_loss(cosine, hidden.expand(len(x), -1), method.config.beta, method.config.inside_power)
    torch.testing.assert_close(step.loss, wanted)
    wanted.backward()
    torch.testing.assert_close(method.embedding.weight.grad, W.grad)
    torch.testing.assert_close(method.embedding.bias.grad, b.grad)
    mask, error = step.out["mask"], step.out["error"]
    assert mask.shape == (4, 5, 25, 2) and mask.dtype == torch.bool
    for g, (n, t, m) in enumerate(places):
        assert torch.equal(mask[n, t, :, m], hidden)
        torch.testing.assert_close(error[n, t, :, m], (1 - cosine[g]).detach())
    assert int(mask.any(dim=2).sum()) == len(places) == int((~error.isnan()).all(dim=2).sum())
    torch.testing.assert_close(step.parts["error"], (1 - cosine[:, hidden]).mean().detach())


def test_who_is_absent_does_not_count() -> None:
    method, batch = build(noise=0.1), clips()
    alone = batch_of(batch.joints[:, :, :, :, :1].permute(0, 2, 4, 3, 1).numpy(), lengths=batch.lengths)
    nobody = alone.with_joints(torch.cat([alone.joints, torch.zeros_like(alone.joints)], dim=4).double())
    assert nobody.present[:, :, 1].sum() == 0
    one = method.step(alone.with_joints(alone.joints.double()), generator(3))
    two = method.step(nobody, generator(3))
    torch.testing.assert_close(one.loss, two.loss)
    torch.testing.assert_close(method.features(alone.with_joints(alone.joints.double())), method.features(nobody))
    empty = batch.with_joints(torch.zeros_like(batch.joints), lengths=batch.lengths)
    with pytest.raises(DataError, match=r"no body is there in any frame of the clips 0, 1, 2, 3"):
        method.step(empty, generator())
    assert not method.features(empty).any()


def test_a_score_is_left_out() -> None:
    method = build(layout=COCO, coordinates=3)
    batch = clips(layout=COCO)
    other = batch.joints.clone()
    other[:, 2] = torch.where(other[:, 2] != 0, torch.rand_like(other[:, 2]) + 0.1, 0)
    assert method.coordinates == 2
    losses = [method.step(batch.with_joints(x), generator(1)).loss for x in (batch.joints, other)]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("layout", [COCO, KINECT, topology("shrec17_hand_22")], ids=lambda t: t.name)
def test_masks(layout: Topology) -> None:
    parts = [set(p) for p in six_parts(layout).values()]
    fixed = build(layout=layout, parts=(1, 4)).draw_hidden(7, generator())
    assert fixed.shape == (7, layout.V) and set(fixed[3].nonzero().flatten().tolist()) == parts[1] | parts[4]
    drawn = build(layout=layout, masking="random_parts", count=3).draw_hidden(500, generator())
    chosen = [[bool(row[list(p)].all()) for p in parts] for row in drawn]
    assert all(sum(c) == 3 for c in chosen) and [int(row.sum()) for row in drawn] == [
        sum(len(p) for p, hit in zip(parts, c, strict=True) if hit) for c in chosen
    ]
    assert len({tuple(c) for c in chosen}) == 20  # all of 6 over 3
    joints = build(layout=layout, masking="joints", ratio=0.5).draw_hidden(500, generator())
    assert (
        joints.sum(dim=1).unique().tolist() == [round(0.5 * layout.V)] and joints.any(dim=0).all() and not joints.all(dim=0).any()
    )
    again = build(layout=layout, masking="joints", ratio=0.5).draw_hidden(500, generator())
    assert torch.equal(joints, again)


def test_something_is_hidden_and_something_seen_at_any_ratio() -> None:
    for ratio, count in ((0.001, 1), (0.999, 24)):
        assert build(masking="joints", ratio=ratio).draw_hidden(3, generator()).sum(dim=1).tolist() == [count] * 3


@pytest.mark.parametrize("graph", ["pyskl_graph", "coco_annotation_skeleton", "skeletonmae_graph"])
def test_zeroing_before_the_decoder_makes_wrists_constant(graph: str) -> None:
    """Why ``remask`` is off: a whole limb hidden, a decoder of one hop, and the wrist hears nothing."""
    batch = clips(layout=COCO, C=2)
    for remask in (True, False):
        method = build(layout=COCO, coordinates=2, graph=graph, parts=(2, 3), remask=remask).eval()
        frames = method.frames(batch)
        y = method.guess(frames.graphs, method.draw_hidden(1, generator())).y
        spread = y.std(dim=0).amax(dim=1)  # (V,)
        wrists = [COCO.joint("left_wrist"), COCO.joint("right_wrist")]
        constant = (spread < 1e-12).nonzero().flatten().tolist()
        assert constant == (wrists if remask else [])


def test_no_gradient_flows_into_the_target() -> None:
    """With everything hidden the embedding is heard of only as the target."""
    for stop in (True, False):
        method = build(masking="joints", ratio=0.9, stop_gradient=stop)
        graphs = method.frames(clips()).graphs
        made = method.guess(graphs, torch.ones(25, dtype=torch.bool))
        reweighted_cosine(made.cosine, torch.ones(len(graphs), 25, dtype=torch.bool)).sum().backward()
        grad = method.embedding.weight.grad
        assert (grad is None or not grad.any()) if stop else bool(grad.any())


def test_noise_and_every_draw_come_from_the_generator() -> None:
    method, batch = build(noise=0.5, masking="random_parts"), clips()
    one, two, three = (method.step(batch, generator(s)).loss for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, three)


def test_half_precision_changes_little() -> None:
    batch = clips()
    batch = batch.with_joints(batch.joints.float())
    whole = build().float().step(batch, generator()).loss
    method = build().float()
    with torch.autocast("cpu", torch.bfloat16):
        half = method.step(batch, generator()).loss
        half.backward()
        assert method.features(batch).dtype == torch.float32
    assert half.dtype == torch.float32 and float(half.detach()) == pytest.approx(float(whole.detach()), rel=0.05)


def test_spread() -> None:
    x = torch.randn(5, 4, 3, dtype=torch.float64, generator=generator())
    flat = [v / v.norm() for v in x.reshape(-1, 3)]
    wanted = sum(a @ b for i, a in enumerate(flat) for j, b in enumerate(flat) if i != j) / (20 * 19)
    torch.testing.assert_close(mean_cosine(x), wanted)
    torch.testing.assert_close(mean_cosine(x[:1, :1].expand(5, 4, 3)), torch.ones((), dtype=torch.float64))


def test_features_are_the_mean_over_bodies_and_fixed_frames() -> None:
    method, batch = build().train(), clips()
    found = method.features(batch)
    assert method.training and found.shape == (4, method.width) == (4, 6)
    method.eval()
    index = segment_frames(batch.lengths, 5)
    for n in range(4):
        rows = [
            method.encoder(method.embedding(batch.joints[n, :, t, :, m].T[None]))[0].mean(dim=0)
            for t in index[n]
            for m in range(2)
            if batch.present[n, t, m]
        ]
        torch.testing.assert_close(found[n], sum(rows) / len(rows))
    wide = build(readout="joints")
    assert wide.width == 150
    torch.testing.assert_close(wide.features(batch).view(4, 25, 6).mean(dim=1), found)
    quarters = build(readout="quarters")
    assert quarters.width == 4 * 150
    by_quarter, fixed = quarters.features(batch).view(4, 4, 150), quarters.eval().frames(batch)  # five frames: 0 1, 2, 3, 4
    for n in range(4):
        for q, times in enumerate(([0, 1], [2], [3], [4])):
            there = [(t, m) for t in times for m in range(2) if fixed.present[n, t, m]]
            rows = [quarters.encoder(quarters.embedding(fixed.joints[n, t, m][None]))[0].flatten() for t, m in there]
            wanted = sum(rows) / len(rows) if rows else torch.zeros(150)
            torch.testing.assert_close(by_quarter[n, q], wanted)
    swapped = batch.with_joints(batch.joints.flip(4), lengths=batch.lengths)
    torch.testing.assert_close(method.features(swapped), found)  # it does not matter who is called the first body


def test_explain_hides_one_part_after_the_other() -> None:
    method, batch = build(), clips()
    told = method.explain(batch)
    assert told.joints is not None and told.frames is not None and told.pairs is None
    assert told.joints.shape == (4, 5, 25) and told.frames.shape == (4, 5)
    method.eval()
    frames = method.frames(batch)
    for joints in six_parts(KINECT).values():
        hidden = torch.zeros(25, dtype=torch.bool)
        hidden[list(joints)] = True
        error = frames.back(1 - method.guess(frames.graphs, hidden).cosine)  # (N, L, V, M)
        for n, t in ((0, 0), (1, 1), (3, 4)):
            there = frames.present[n, t]
            torch.testing.assert_close(told.joints[n, t, joints[0]], error[n, t, joints[0]][there].mean().detach())
    torch.testing.assert_close(told.frames, told.joints.mean(dim=2))


def test_values_go_back_to_their_places() -> None:
    present = torch.tensor([[[True, False], [False, True]]])
    frames = Frames(torch.arange(2 * 2 * 3.0).view(1, 2, 2, 3, 1), present)
    assert torch.equal(frames.graphs[..., 0], torch.tensor([[0.0, 1, 2], [9, 10, 11]]))
    back = frames.back(frames.graphs, fill=-1.0)
    assert back.shape == (1, 2, 3, 2, 1)
    assert back[0, 0, :, 0, 0].tolist() == [0, 1, 2] and back[0, 0, :, 1, 0].tolist() == [-1, -1, -1]


def test_size_of_the_paper() -> None:
    method = SkeletonMAE.build(SkeletonMAE.Config(), topology=COCO, bodies=2, coordinates=3, classes=99, generator=generator())
    assert sum(p.numel() for p in method.parameters()) == 38_535


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masking": "some"}, "masking='some'"),
        ({"parts": ()}, r"parts=\(\)"),
        ({"parts": (6,)}, r"parts=\(6,\)"),
        ({"parts": (1, 1)}, "each once"),
        ({"parts": (0, 1, 2, 3, 4, 5)}, "nothing to see"),
        ({"count": 6}, "count=6"),
        ({"ratio": 1.0}, "ratio=1.0"),
        ({"ratio": 0.0}, "ratio=0.0"),
        ({"beta": 0.5}, "beta=0.5"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"frames": 0}, "frames=0"),
        ({"readout": "last"}, "readout='last'"),
        ({"readout": "quarters", "frames": 3}, "frames=3 cannot be read in quarters"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SkeletonMAE.Config(**settings)


def test_skeletons_without_six_parts_hide_joints() -> None:
    five = Topology.from_dict({"name": "five", "joints": list("abcde"), "parents": [-1, 0, 1, 1, 1]})
    with pytest.raises(DataError, match="six parts need six"):
        build(layout=five)
    method, batch = build(layout=five, masking="joints", ratio=0.4), clips(layout=five)
    assert method.step(batch, generator()).loss.isfinite() and method.explain(batch).joints is not None
    method.config = SkeletonMAE.Config(encoder=method.config.encoder, masking="parts")  # a live change
    with pytest.raises(DataError, match="six parts need six"):
        method.step(batch, generator())


def test_a_run_learns_and_resumes_bit_for_bit(flat: Store, runs: Path) -> None:
    edits: dict[str, Any] = dict(epochs=6, normalise="none", save_every=0, masking="random_parts", lr=0.01)
    whole = start("skeletonmae", flat, "smoke", **edits).run(progress=False)
    often = start("skeletonmae", flat, "smoke", **edits)
    while not often.finished:
        for _ in often:
            break
        often.save()
        often = open_run(often.folder)
    assert (whole.folder / "metrics.jsonl").read_bytes() == (often.folder / "metrics.jsonl").read_bytes()
    for name, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, often.method.state_dict()[name]), name
    errors = whole.metrics["error"]
    assert np.mean(errors[-4:]) < 0.8 * np.mean(errors[:4])


def test_its_table_has_the_untrained_network_as_a_floor(flat: Store, runs: Path) -> None:
    run = start("skeletonmae", flat, "smoke", normalise="none", probe_every=0).run(progress=False)
    rows = {(r.method, r.protocol): r for r in compare(run).rows}
    assert {m for m, _ in rows} == {"skeletonmae", "random", "raw"} and all(0 <= r.accuracy <= 1 for r in rows.values())
