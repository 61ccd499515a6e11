"""Augmentations against one clip, one frame, one joint at a time in float64, and against the published arrays."""

import dataclasses
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton import (
    KINDS,
    ViewDraw,
    Views,
    centre_crop,
    centre_crop_resize,
    corrupt_joints,
    crop_resize,
    draw_joints,
    mask_joints,
    mirror,
    random_crop,
    random_crop_resize,
    random_rotate,
    random_shear,
    rotate,
    rotation_about,
    shear,
    shear_matrices,
    topology,
    transform_joints,
)

KINECT = topology("kinect_v2_25")
PENN = topology("penn_action_13")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(N: int = 3, C: int = 3, T: int = 9, V: int = 25, M: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(N, C, T, V, M, generator=generator(seed), dtype=torch.float64)


def naive_resize(cut: torch.Tensor, frames: int) -> torch.Tensor:
    """(C, size, V, M) -> (C, frames, V, M), frame by frame."""
    size = cut.shape[1]
    out = []
    for i in range(frames):
        at = min(max((i + 0.5) * size / frames - 0.5, 0), size - 1)
        low = math.floor(at)
        high = min(low + 1, size - 1)
        out.append(cut[:, low] * (1 - (at - low)) + cut[:, high] * (at - low))
    return torch.stack(out, 1)


def naive_joints(clip: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """(C, T, V, M) of one clip with one matrix a joint (V, C, C)."""
    out = torch.zeros_like(clip)
    for t in range(clip.shape[1]):
        for v in range(clip.shape[2]):
            for m in range(clip.shape[3]):
                out[:, t, v, m] = matrices[v] @ clip[:, t, v, m]
    return out


# --- time


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 11), st.integers(1, 12)), min_size=1, max_size=4), st.integers(1, 17))
def test_crop_resize_equals_the_loop(cuts: list[tuple[int, int, int]], frames: int) -> None:
    lengths = torch.tensor([n for n, _, _ in cuts])
    starts = torch.tensor([min(s, n - 1) for n, s, _ in cuts])
    sizes = torch.tensor([min(k, n - min(s, n - 1)) for n, s, k in cuts])
    x = clips(len(cuts), T=12, V=3)
    for n in range(len(cuts)):
        x[n, :, lengths[n] :] = torch.nan  # the padding is never read
    y = crop_resize(x, lengths, starts, sizes, frames)
    for n in range(len(cuts)):
        cut = x[n, :, starts[n] : starts[n] + sizes[n]]
        torch.testing.assert_close(y[n], naive_resize(cut, frames), rtol=0, atol=1e-12)
        library = torch.nn.functional.interpolate(
            cut.permute(0, 2, 3, 1).flatten(1, 2), size=frames, mode="linear", align_corners=False
        )
        torch.testing.assert_close(y[n].permute(0, 2, 3, 1).flatten(1, 2), library, rtol=0, atol=1e-12)


def test_crop_of_the_same_size_is_a_copy() -> None:
    x = clips(T=8)
    torch.testing.assert_close(
        crop_resize(x, torch.full((3,), 8), torch.full((3,), 2), torch.full((3,), 5), 5), x[:, :, 2:7], rtol=0, atol=0
    )


def test_crop_takes_strided_clips_and_keeps_dtype_and_gradient() -> None:
    stored = torch.randn(2, 7, 2, 25, 3, generator=generator())  # (N, T, M, V, C), as a store has it
    x = stored.permute(0, 4, 1, 3, 2).requires_grad_()
    y = centre_crop_resize(x, torch.tensor([7, 5]), frames=4)
    assert y.dtype == torch.float32 and y.shape == (2, 3, 4, 25, 2)
    torch.testing.assert_close(y, centre_crop_resize(x.contiguous(), torch.tensor([7, 5]), frames=4))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.sum() == pytest.approx(y.numel(), rel=1e-5) and not gradient[1, :, 5:].any()


@pytest.mark.parametrize(("start", "size"), [(0, 0), (-1, 3), (3, 3), (0, 6)])
def test_a_cut_that_does_not_fit_names_the_clip(start: int, size: int) -> None:
    lengths = torch.tensor([9, 5])
    with pytest.raises(DataError, match=rf"clip 1 of the batch: cannot cut {size} frames from frame {start} of 5"):
        crop_resize(clips(2), lengths, torch.tensor([0, start]), torch.tensor([4, size]), 4)
    with pytest.raises(DataError, match="lengths run from 5 to 10"):
        crop_resize(clips(2), lengths + torch.tensor([1, 0]), torch.tensor([0, 0]), torch.tensor([1, 1]), 4)


def test_an_empty_clip_is_refused() -> None:
    with pytest.raises(DataError, match="clip 1 of the batch: cannot cut 0 frames"):
        Views().view(clips(2), torch.tensor([9, 0]), KINECT, generator())


def test_random_cuts_follow_the_rule() -> None:
    n = torch.tensor([1, 40, 64, 65, 100, 300]).repeat(3000)
    starts, sizes = random_crop(n, ratio=(0.1, 1.0), minimum=64, generator=generator())
    assert (starts >= 0).all() and (sizes >= 1).all() and (starts + sizes <= n).all()
    u = torch.rand(2, len(n), generator=generator(), dtype=torch.float64)
    for i in range(60):
        size = min(max(math.floor(int(n[i]) * (0.1 + 0.9 * float(u[0, i]))), 64), int(n[i]))
        assert (int(sizes[i]), int(starts[i])) == (size, math.floor(float(u[1, i]) * (int(n[i]) - size + 1)))
    assert (sizes[n <= 64] == n[n <= 64]).all() and (sizes[n > 64] >= 64).all()
    share = {k: float((sizes[n == k] == 64).double().mean()) for k in (100, 300)}  # atom at 64: P(floor(n s) <= 64)
    assert share[100] == pytest.approx((0.65 - 0.1) / 0.9, abs=0.03) and share[300] == pytest.approx(
        (65 / 300 - 0.1) / 0.9, abs=0.03
    )
    for k in (65, 100):  # starts reach both ends and are spread evenly
        room = (n - sizes)[(n == k) & (sizes == 64)]
        first = starts[(n == k) & (sizes == 64)]
        assert set(first.tolist()) == set(range(int(room[0]) + 1))
        assert float(first.double().mean()) == pytest.approx(float(room[0]) / 2, rel=0.1)
    long = sizes[(n == 300) & (sizes > 64)].double()
    assert float(long.mean()) == pytest.approx((65 + 299) / 2, rel=0.02)


@given(st.integers(1, 400), st.floats(0.05, 1))
def test_centre_cut(n: int, ratio: float) -> None:
    start, size = (int(v) for v in centre_crop(torch.tensor([n]), ratio=ratio))
    assert start == math.floor((1 - ratio) * n / 2) and size == n - 2 * start


def test_named_crops_are_the_crop_of_their_draw() -> None:
    x, lengths = clips(3, T=90), torch.tensor([90, 70, 3])
    y = random_crop_resize(x, lengths, frames=16, ratio=(0.5, 1.0), minimum=8, generator=generator(4))
    starts, sizes = random_crop(lengths, ratio=(0.5, 1.0), minimum=8, generator=generator(4))
    torch.testing.assert_close(y, crop_resize(x, lengths, starts, sizes, 16), rtol=0, atol=0)
    z = centre_crop_resize(x, lengths, frames=16, ratio=0.9)
    torch.testing.assert_close(z, crop_resize(x, lengths, torch.tensor([4, 3, 0]), torch.tensor([82, 64, 3]), 16), rtol=0, atol=0)


# --- space


@pytest.mark.parametrize("C", [2, 3])
def test_spatial_augmentations_equal_loops(C: int) -> None:
    N, V = 3, 5
    x = clips(N, C=C, T=4, V=V)
    S = torch.randn(N, C, C, generator=generator(1), dtype=torch.float64)
    A = torch.randn(N, V, C, C, generator=generator(2), dtype=torch.float64)
    hit = torch.rand(N, V, generator=generator(3)) < 0.5
    eye = torch.eye(C, dtype=torch.float64)
    for n in range(N):
        rows = [S[n].T if struck else eye for struck in hit[n]]  # x C = C^T x
        for given_, matrices in [
            (transform_joints(x, A), A[n]),
            (shear(x, S), S[n].expand(V, C, C)),
            (mask_joints(x, hit), torch.stack([eye * (not struck) for struck in hit[n]])),
            (corrupt_joints(x, hit, S), torch.stack(rows)),
        ]:
            torch.testing.assert_close(given_[n], naive_joints(x[n], matrices), rtol=0, atol=1e-12)


def test_shear_matrices() -> None:
    S = shear_matrices(2000, 3, amplitude=0.5, generator=generator())
    assert (S.diagonal(dim1=1, dim2=2) == 1).all()
    off = S[:, ~torch.eye(3, dtype=torch.bool)]
    assert off.abs().max() < 0.5 and off.abs().max() > 0.49 and abs(float(off.mean())) < 0.01
    assert float(off.var()) == pytest.approx(1 / 12, rel=0.05)
    x = clips(4)
    torch.testing.assert_close(
        random_shear(x, amplitude=2.0, generator=generator(7)),
        shear(x, shear_matrices(4, 3, amplitude=2.0, generator=generator(7))),
    )
    torch.testing.assert_close(random_shear(x, amplitude=0.0, generator=generator()), x)


def test_joints_are_drawn_without_replacement() -> None:
    hit = draw_joints(4000, 25, 15, generator=generator())
    assert (hit.sum(1) == 15).all()
    assert (hit.double().mean(0) - 0.6).abs().max() < 0.04
    assert not draw_joints(2, 5, 0, generator=generator()).any() and draw_joints(2, 5, 5, generator=generator()).all()
    with pytest.raises(ConfigError, match="6 of 5"):
        draw_joints(2, 5, 6, generator=generator())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["kinect_v2_25", "cmu_asf_31", "coco_17", "mediapipe_hand_21"]), st.integers(0, 1), st.integers(0, 99))
def test_mirror_swaps_sides_and_is_its_own_inverse(name: str, axis: int, seed: int) -> None:
    t = topology(name)
    x = clips(3, C=t.dims, T=2, V=t.V, seed=seed)
    which = torch.rand(3, generator=generator(seed)) < 0.5
    y = mirror(x, t, axis, which)
    twin = {a: b for pair in t.pairs for a, b in (pair, pair[::-1])}
    for n in range(3):
        for v in range(t.V):
            expected = x[n, :, :, twin.get(v, v)].clone() if which[n] else x[n, :, :, v]
            if which[n]:
                expected[axis] *= -1
            assert torch.equal(y[n, :, :, v], expected)
    assert torch.equal(mirror(y, t, axis, which), x)
    assert torch.equal(mirror(mirror(x, t, axis), t, axis), x)
    bones = [(a, b) for a, b in t.bones]  # a mirrored body has bones of the same lengths, left for right
    length = {(a, b): (x[:, :, :, a] - x[:, :, :, b]).norm(dim=1) for a, b in bones}
    full = mirror(x, t, axis)
    for a, b in bones:
        other = (twin.get(a, a), twin.get(b, b))
        torch.testing.assert_close((full[:, :, :, a] - full[:, :, :, b]).norm(dim=1), length[other])


def test_a_mirrored_body_still_faces_its_frame() -> None:
    # shoulders along +x before, shoulders along +x after: that is what lateral = 0 of the isc preset means
    x = clips(1, T=1, M=1)
    x[0, :, 0, 8, 0] = x[0, :, 0, 4, 0] + torch.tensor([0.4, 0, 0], dtype=torch.float64)
    y = mirror(x, KINECT)
    torch.testing.assert_close(y[0, :, 0, 8, 0] - y[0, :, 0, 4, 0], torch.tensor([0.4, 0, 0], dtype=torch.float64))


@given(st.floats(-7, 7), st.integers(0, 2))
def test_turns(angle: float, axis: int) -> None:
    R = rotation_about(torch.tensor([angle], dtype=torch.float64), axis)[0]
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(R @ R.T, eye)
    assert float(torch.linalg.det(R)) == pytest.approx(1)
    assert torch.equal(R[:, axis], eye[axis])
    after, last = (axis + 1) % 3, (axis + 2) % 3
    torch.testing.assert_close(R @ eye[after], math.cos(angle) * eye[after] + math.sin(angle) * eye[last])  # x -> y about z


def test_rotate_equals_the_loop() -> None:
    x, angles = clips(), torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64)
    y = rotate(x, angles, axis=1)
    for n in range(3):
        c, s = math.cos(angles[n]), math.sin(angles[n])
        R = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
        torch.testing.assert_close(y[n], naive_joints(x[n], R.expand(25, 3, 3)), rtol=0, atol=1e-12)
    torch.testing.assert_close(rotate(y, -angles, axis=1), x)
    turned = random_rotate(x, limit=0.5, generator=generator())
    angle = torch.atan2(turned[:, 1], turned[:, 0]) - torch.atan2(x[:, 1], x[:, 0])  # (N, T, V, M)
    angle = torch.atan2(angle.sin(), angle.cos()).flatten(1)
    assert (angle.amax(1) - angle.amin(1)).max() < 1e-9 and angle.abs().max() <= 0.5 and len(set(angle[:, 0].tolist())) == 3
    assert torch.equal(turned[:, 2], x[:, 2])


def test_bad_shapes_are_named() -> None:
    x = clips(2)
    hit = torch.zeros(2, 25, dtype=torch.bool)
    for call in (
        lambda: shear(x, torch.zeros(2, 2, 2)),
        lambda: transform_joints(x, torch.zeros(2, 24, 3, 3)),
        lambda: mask_joints(x, hit[:, :3]),
        lambda: corrupt_joints(x, hit[:1], torch.zeros(2, 3, 3)),
        lambda: mirror(x, KINECT, 0, torch.zeros(3, dtype=torch.bool)),
        lambda: mirror(x, PENN),
        lambda: rotate(x[:, :2], torch.zeros(2)),
        lambda: Views().view(x, torch.tensor([9, 9]), PENN, generator()),
    ):
        with pytest.raises(DataError, match=r"wanted|coordinates"):
            call()
    for call in (lambda: mirror(x, KINECT, 3), lambda: rotate(x, torch.zeros(2), axis=-1)):
        with pytest.raises(ConfigError, match=r"coordinates 0\.\.2"):
            call()


# --- views


def naive_view(x: torch.Tensor, drawn: ViewDraw, n: int, views: Views, t) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """One clip, with the plain functions of the paper, one after the other."""
    start, size = int(drawn.starts[n]), int(drawn.sizes[n])
    y = naive_resize(x[n, :, start : start + size], views.frames)[None]
    if drawn.mirrored[n]:
        y = mirror(y, t, views.lateral)
    kind, hit, matrix = KINDS[int(drawn.kind[n])], drawn.hit[n : n + 1], drawn.matrices[n : n + 1]
    if kind == "shear":
        y = shear(y, matrix)
    elif kind == "mask":
        y = mask_joints(y, hit)
    elif kind == "corrupt":
        y = corrupt_joints(y, hit, matrix.transpose(1, 2))
    return y[0]


@pytest.mark.parametrize(
    ("t", "views"),
    [
        (KINECT, Views()),
        (KINECT, Views(frames=10, ratio=(0.3, 0.8), minimum=4, mirror=0.5, shear=0.3)),
        (PENN, Views(frames=7, minimum=2, mirror=0.7, lateral=1, p_shear=0.2, p_mask=0.2, p_corrupt=0.2)),
    ],
)
def test_a_view_is_its_draw_clip_by_clip(t, views: Views) -> None:  # type: ignore[no-untyped-def]
    N = 24
    x, lengths = clips(N, C=t.dims, T=80, V=t.V), torch.arange(N) * 3 + 5
    drawn = views.draw(lengths, t, t.dims, generator(5))
    made = views.view(x, lengths, t, generator(5))
    assert made.shape == (N, t.dims, views.frames, t.V, 2) and made.dtype == torch.float64
    assert set(drawn.kind.tolist()) == ({1, 2, 3} if t is KINECT else {0, 1, 2, 3})
    for n in range(N):
        torch.testing.assert_close(made[n], naive_view(x, drawn, n, views, t), rtol=0, atol=1e-12)


def test_shares_and_sizes_of_the_draw() -> None:
    N = 20000
    drawn = Views(mirror=0.3).draw(torch.full((N,), 100), KINECT, 3, generator())
    shares = [float((drawn.kind == k).double().mean()) for k in range(4)]
    assert shares == pytest.approx([0, 0.5, 0.25, 0.25], abs=0.015) and shares[0] == 0
    assert float(drawn.mirrored.double().mean()) == pytest.approx(0.3, abs=0.015)
    struck = drawn.hit.sum(1)
    assert (struck[drawn.kind >= 2] == 15).all() and not struck[drawn.kind < 2].any()
    assert (drawn.hit[drawn.kind >= 2].double().mean(0) - 0.6).abs().max() < 0.03
    sheared, corrupted = drawn.matrices[drawn.kind == 1], drawn.matrices[drawn.kind == 3]
    assert (sheared.diagonal(dim1=1, dim2=2) == 1).all()
    for entries in (sheared[:, ~torch.eye(3, dtype=torch.bool)], corrupted.flatten(1)):
        assert entries.abs().max() < 1 and float(entries.mean()) == pytest.approx(0, abs=0.01)
        assert float(entries.var()) == pytest.approx(1 / 3, rel=0.02)
        correlation = torch.corrcoef(entries.T) - torch.eye(entries.shape[1])
        assert correlation.abs().max() < 0.06  # every entry is a draw of its own
    assert not drawn.matrices[drawn.kind == 2].any()
    gentle = Views(shear=0.3, p_shear=0.9, p_mask=0, p_corrupt=0.1).draw(torch.full((N,), 100), KINECT, 3, generator())
    off = gentle.matrices[gentle.kind == 1][:, ~torch.eye(3, dtype=torch.bool)].abs().max()
    assert 0.299 < off < 0.3 and 0.99 < gentle.matrices[gentle.kind == 3].abs().max() < 1


def test_exactly_one_augmentation_even_when_the_shares_round() -> None:
    views = Views(p_shear=0.7, p_mask=0.2, p_corrupt=0.1)  # adds up to 1 - 2**-53
    assert views._kind(torch.tensor([1 - 2**-53], dtype=torch.float64)).item() == 3
    assert Views(p_shear=0, p_mask=0, p_corrupt=0)._kind(torch.tensor([0.0, 0.5], dtype=torch.float64)).tolist() == [0, 0]
    assert Views(p_shear=0, p_mask=1, p_corrupt=0)._kind(torch.tensor([0.0, 0.999], dtype=torch.float64)).tolist() == [2, 2]


def test_draws_do_not_hang_on_padding_or_dtype() -> None:
    x, lengths = clips(6, T=80), torch.tensor([80, 70, 64, 30, 2, 1])
    longer = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 40), value=math.nan)
    views = Views(mirror=0.5)
    one = views.view(x, lengths, KINECT, generator(2))
    assert torch.equal(views.view(longer, lengths, KINECT, generator(2)), one)
    torch.testing.assert_close(views.view(x.float(), lengths, KINECT, generator(2)), one.float(), rtol=0, atol=2e-5)
    assert not torch.equal(views.view(x, lengths, KINECT, generator(3)), one)
    g = generator(2)
    assert torch.equal(views.view(x, lengths, KINECT, g), one) and not torch.equal(views.view(x, lengths, KINECT, g), one)


def test_drawn_views_can_be_made_again() -> None:
    x, lengths, views = clips(4, T=80), torch.full((4,), 80), Views()
    drawn = views.draw(lengths, KINECT, 3, generator(1))
    assert torch.equal(views.make(x, lengths, KINECT, drawn), views.make(x.clone(), lengths, KINECT, drawn))
    still = dataclasses.replace(drawn, kind=drawn.kind * 0, hit=drawn.hit & False)
    torch.testing.assert_close(
        views.make(x, lengths, KINECT, still), crop_resize(x, lengths, drawn.starts, drawn.sizes, 64), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("frames", 0),
        ("frames", 64.0),
        ("minimum", 0),
        ("ratio", (0.0, 1.0)),
        ("ratio", (0.9, 0.5)),
        ("ratio", (0.5, 1.1)),
        ("ratio", (0.5,)),
        ("ratio", 0.5),
        ("shear", -0.1),
        ("shear", math.inf),
        ("p_shear", 1.1),
        ("p_mask", -0.1),
        ("p_corrupt", math.nan),
        ("joints_hit", 2),
        ("mirror", -1),
        ("lateral", 3),
    ],
)
def test_settings_out_of_range(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"views: {setting} = "):
        Views(**{setting: value})  # type: ignore[arg-type]


def test_settings_together() -> None:
    with pytest.raises(ConfigError, match=r"p_shear \+ p_mask \+ p_corrupt = 1.25"):
        Views(p_mask=0.5)
    assert Views(**json.loads(json.dumps(dataclasses.asdict(Views())))) == Views()  # a list for the ratio is fine
    with pytest.raises(dataclasses.FrozenInstanceError):
        Views().frames = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Views(32)  # type: ignore[misc]


@pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the reference arrays")
def test_published_augmentations() -> None:
    z = np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / "halp_isc_augment_a.npz")
    meta = json.loads(str(z["meta"]))
    sequence = torch.from_numpy(z["input/sequence"])[None]
    for job in meta["jobs"]:
        key, ratio = job[:2], json.loads(job.split("l_ratio=")[1])
        n, start, length = (torch.tensor([v]) for v in z[f"input/n_start_length/{key}"])
        y = crop_resize(sequence, n, start, length, 64)[0][:, :, meta["stored_joints"]]
        np.testing.assert_allclose(y.numpy(), z[f"output/resized/{key}"], rtol=0, atol=1e-5, err_msg=job)
        if len(ratio) == 1:
            assert centre_crop(n, ratio=ratio[0]) == (start, length), job
    clip = torch.from_numpy(z["input/clip"])[None]
    hit = {k: torch.zeros(1, 25, dtype=torch.bool) for k in ("masked", "corrupted")}
    for k, one in hit.items():
        one[0, torch.from_numpy(z[f"input/{k}_joints"])] = True
    S, K = (torch.from_numpy(z[f"input/{k}_matrix"])[None] for k in ("shear", "corruption"))
    results = {
        "sheared": shear(clip, S),
        "masked": mask_joints(clip, hit["masked"]),
        "corrupted": corrupt_joints(clip, hit["corrupted"], K),
    }
    for k, y in results.items():
        np.testing.assert_allclose(y[0].numpy(), z[f"output/{k}"], rtol=0, atol=1e-5, err_msg=k)
