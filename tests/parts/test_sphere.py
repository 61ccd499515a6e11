"""Sphere geometry against acos/sin formulas written out in Python floats, and against a search on a fine grid."""

import math

import pytest
import torch

from skelbench.parts.sphere import angle, boundary, chords, slerp, slerp_weights, t_max, unit


def rows(*shape, seed=0, dtype=torch.float64):
    return unit(torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)))


def pair(omega, D=5, seed=0, dtype=torch.float64):
    """Two unit vectors at an angle that is known, however small."""
    a, b = rows(2, D, seed=seed)
    v = unit(b - (a @ b) * a)
    return a.to(dtype), (math.cos(omega) * a + math.sin(omega) * v).to(dtype), v.to(dtype)


@pytest.mark.parametrize("D", [2, 3, 128])
def test_angle_and_slerp_equal_the_textbook(D):
    a, b = rows(50, D), rows(50, D, seed=1)
    for i in range(50):
        dot = sum(float(a[i, d]) * float(b[i, d]) for d in range(D))
        omega, t = math.acos(dot), (i + 0.5) / 50
        assert angle(a[i], b[i]).item() == pytest.approx(omega, abs=1e-9)
        one, two = math.sin((1 - t) * omega) / math.sin(omega), math.sin(t * omega) / math.sin(omega)
        z = [one * float(a[i, d]) + two * float(b[i, d]) for d in range(D)]
        assert slerp(a[i], b[i], torch.tensor(t, dtype=torch.float64)).tolist() == pytest.approx(z, abs=1e-9)
        assert angle(a[i], torch.tensor(z, dtype=torch.float64)).item() == pytest.approx(t * omega, abs=1e-9)


@pytest.mark.parametrize("omega", [0.0, 1e-12, 1e-7, 1e-4, 1e-2, 1.0, math.pi - 1e-2, math.pi - 1e-4])
def test_small_and_wide_angles_keep_their_digits(omega):
    a, b, v = pair(omega)
    assert angle(a, b).item() == pytest.approx(omega, rel=1e-3, abs=1e-15)
    for t in (0.0, 0.3, 1.0):
        z = math.cos(t * omega) * a + math.sin(t * omega) * v
        torch.testing.assert_close(slerp(a, b, torch.tensor(t, dtype=torch.float64)), z, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coinciding_and_opposite_vectors_give_numbers(dtype):
    a = rows(4, 6, dtype=dtype)
    t = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=dtype)
    assert angle(a, a).eq(0).all()
    torch.testing.assert_close(angle(a, -a), torch.full((4,), math.pi, dtype=dtype))
    torch.testing.assert_close(slerp(a, a, t), a)
    torch.testing.assert_close(slerp(a, -a, t), a)  # no great circle stands out: the point stays
    longer = a * (1 + 1e-6)  # rounding made the cosine exceed 1
    assert torch.isfinite(angle(a, longer)).all() and torch.isfinite(slerp(a, longer, t)).all()


def test_chords_are_exactly_zero_for_equal_rows_and_right_elsewhere():
    a = rows(7, 20, dtype=torch.float32)
    table = chords(a, a)
    assert torch.equal(table.diagonal(), torch.zeros(7))
    naive = torch.stack([torch.stack([(x - y).double().norm() for y in a]) for x in a])
    torch.testing.assert_close(table.double(), naive, rtol=1e-6, atol=1e-7)


def largest_t(a, near, target, points=20_001):
    """Search: last t of a fine grid before the walk from a to target comes closer to target than to near."""
    omega = math.acos(max(-1.0, min(1.0, float(a @ target))))
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    z = (torch.sin((1 - t) * omega)[:, None] * a + torch.sin(t * omega)[:, None] * target) / math.sin(omega)
    closer = (z @ target > z @ near + 1e-12).nonzero()
    return 1.0 if not len(closer) else float(t[max(0, int(closer[0]) - 1)])


@pytest.mark.parametrize("D", [2, 3, 16])
def test_closed_form_equals_the_search(D):
    behind = 0
    for seed in range(40):
        a, prototypes = rows(D, seed=seed), rows(6, D, seed=1000 + seed)
        order = (prototypes @ a).argsort(descending=True)
        near = prototypes[order[0]]
        for s in order[1:]:
            target = prototypes[s]
            found = t_max(a, near, target).item()
            assert found == pytest.approx(largest_t(a, near, target), abs=1e-4)
            A, B = float(a @ near - a @ target), 1 - float(near @ target)
            behind += B + A * float(a @ target) < 0
            z = slerp(a, target, torch.tensor(found, dtype=torch.float64))
            assert float(z @ near - z @ target) == pytest.approx(0, abs=1e-9)
    assert (behind > 0) == (D < 16)  # where atan of the quotient would have been negative


def test_known_cases_of_the_boundary():
    near, target = rows(9, 8), rows(9, 8, seed=1)
    torch.testing.assert_close(t_max(near, near, target), torch.full((9,), 0.5, dtype=torch.float64))  # anchor on its prototype
    middle = slerp(near, target, torch.full((9,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(t_max(middle, near, target), torch.zeros(9, dtype=torch.float64), atol=1e-12, rtol=0)  # a tie
    anchors = rows(9, 8, seed=2)
    assert t_max(anchors, near, near).eq(0).all()  # target is the nearest prototype
    assert t_max(anchors, near, -anchors).eq(0).all()  # target opposite to the anchor
    assert t_max(anchors, anchors, anchors).eq(0).all()
    e = torch.eye(3, dtype=torch.float64)
    a = unit(0.8 * e[0] + 0.6 * e[2])  # orthogonal prototypes, a.p_s = 0: t_max W = atan(a.p_0)
    assert t_max(a, e[0], e[1]).item() * math.pi / 2 == pytest.approx(math.atan(0.8))


def test_boundary_and_weights_broadcast_over_tables():
    a, p = rows(5, 7), rows(4, 7, seed=1)
    toward, away, between = chords(a, p), chords(a, -p), chords(p, p)
    near, index = toward.min(dim=1)
    table = boundary(near[:, None], toward, away, between[index])
    for i in range(5):
        for s in range(4):
            assert table[i, s].item() == pytest.approx(t_max(a[i], p[index[i]], p[s]).item(), abs=1e-12)
    one, two = slerp_weights(table, toward, away)
    z = one[:, :, None] * a[:, None] + two[:, :, None] * p
    torch.testing.assert_close(z.norm(dim=2), torch.ones(5, 4, dtype=torch.float64))
