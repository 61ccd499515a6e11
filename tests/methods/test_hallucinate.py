"""HaLP's positives against loops in Python floats, a search for the boundary, and the published reference tensors."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.methods.halp import alignment, draw, hallucinate
from skelbench.parts.infonce import info_nce
from skelbench.parts.sphere import unit


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(*shape, seed=0, dtype=torch.float64):
    return unit(torch.randn(*shape, generator=generator(seed), dtype=torch.float64)).to(dtype)


def naive(a, prototypes, target, u):
    """One positive in Python floats: (z, t, t_max, margin of the rank filter)."""

    def dot(x, y):
        return math.fsum(p * q for p, q in zip(x, y, strict=True))

    nearest = max(range(len(prototypes)), key=lambda j: dot(a, prototypes[j]))
    p0, ps = prototypes[nearest], prototypes[target]
    omega = math.acos(max(-1.0, min(1.0, dot(a, ps))))
    A, B = dot(a, p0) - dot(a, ps), 1 - dot(p0, ps)
    limit = math.atan2(A * math.sin(omega), B + A * math.cos(omega)) / omega
    t = (1 - u) * limit
    one, two = math.sin((1 - t) * omega) / math.sin(omega), math.sin(t * omega) / math.sin(omega)
    z = [one * x + two * y for x, y in zip(a, ps, strict=True)]
    other = max(dot(z, p) for j, p in enumerate(prototypes) if j != nearest)
    return z, t, limit, dot(z, p0) - other


@pytest.mark.parametrize("D", [2, 3, 5, 128])
@pytest.mark.parametrize("S", [2, 7, 20])
def test_equals_the_loop(D, S):
    anchors, prototypes = rows(6, D), rows(S, D, seed=1)
    targets, u = draw(anchors, prototypes, hardness=0.2, positives=9, generator=generator())
    made = hallucinate(anchors, prototypes, targets, u)
    tables = anchors.tolist(), prototypes.tolist()
    for n in range(6):
        for p in range(9):
            z, t, limit, margin = naive(tables[0][n], tables[1], int(targets[n, p]), float(u[n, p]))
            assert made.t[n, p].item() == pytest.approx(t, abs=1e-9)
            assert made.t_max[n, p].item() == pytest.approx(limit, abs=1e-9)
            assert made.points[n, p].tolist() == pytest.approx(z, abs=1e-9)
            if abs(margin) > 1e-9:
                assert bool(made.kept[n, p]) == (margin > 0)
    assert made.points.shape == (6, 9, D) and made.kept.dtype == torch.bool
    assert 0.1 < made.kept.double().mean() <= 1


@pytest.mark.parametrize("D", [3, 16])
def test_boundary_is_where_a_search_finds_it(D):
    anchors, prototypes = rows(20, D), rows(5, D, seed=1)
    targets, _ = draw(anchors, prototypes, hardness=0, positives=3, generator=generator())
    made = hallucinate(anchors, prototypes, targets, torch.zeros(20, 3, dtype=torch.float64))
    grid = torch.linspace(0, 1, 5001, dtype=torch.float64)
    for n in range(20):
        p0 = prototypes[(prototypes @ anchors[n]).argmax()]
        for p in range(3):
            ps = prototypes[targets[n, p]]
            omega = torch.acos(anchors[n] @ ps)
            way = (torch.sin((1 - grid) * omega)[:, None] * anchors[n] + torch.sin(grid * omega)[:, None] * ps) / torch.sin(omega)
            last = grid[(way @ p0 >= way @ ps)].max()
            assert made.t_max[n, p].item() == pytest.approx(last.item(), abs=3e-4)


def test_the_case_where_a_plain_arctangent_turns_back():
    """Targets behind the anchor in three dimensions: B + A cos W < 0, t_max must lie between 1/2 and 1."""
    anchors, prototypes = rows(400, 3), rows(6, 3, seed=1)
    targets = torch.arange(6).expand(400, 6)
    made = hallucinate(anchors, prototypes, targets, torch.zeros(400, 6, dtype=torch.float64))
    cosine = anchors @ prototypes.T
    A = cosine.max(dim=1, keepdim=True).values - cosine
    B = 1 - (prototypes @ prototypes.T)[cosine.argmax(dim=1)]
    behind = B + A * cosine < -1e-6
    assert behind.sum() > 5
    assert (made.t_max[behind] > 0.5).all() and (made.t_max <= 1).all() and (made.t_max >= 0).all()
    assert made.kept[behind].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("D", [3, 128])
def test_corner_cases_give_unit_points_and_no_nan(dtype, D):
    prototypes = rows(5, D, dtype=dtype)
    prototypes = torch.cat([prototypes, prototypes[:1], -prototypes[1:2]])  # a duplicate of 0, an antipode of 1
    anchors = torch.cat([prototypes, rows(3, D, seed=2, dtype=dtype)])
    targets = torch.arange(7).expand(10, 7)
    for u in (0.0, 0.4, 1.0):
        made = hallucinate(anchors, prototypes, targets, torch.full((10, 7), u, dtype=dtype))
        assert all(torch.isfinite(x).all() for x in (made.points, made.t, made.t_max)) and made.points.dtype == dtype
        torch.testing.assert_close(made.points.norm(dim=2), torch.ones(10, 7, dtype=dtype))
        assert (made.t_max >= 0).all() and (made.t_max <= 1).all()
        torch.testing.assert_close(made.t, (1 - u) * made.t_max)
    made = hallucinate(anchors, prototypes, targets, torch.zeros(10, 7, dtype=dtype))
    on = prototypes @ prototypes.T
    for n in (0, 2, 3, 4):  # anchors on a prototype: half way to every other one
        free = (on[n].abs() < 0.9999) & (torch.arange(7) != n)
        torch.testing.assert_close(made.t_max[n][free], torch.full((int(free.sum()),), 0.5, dtype=dtype))
    assert made.t_max[0, 0] == made.t_max[0, 5] == made.t_max[5, 0] == 0  # on the target and on its duplicate
    assert made.t_max[1, 6] == 0  # straight behind: no great circle stands out, the point stays
    torch.testing.assert_close(made.points[1, 6], anchors[1])
    assert made.kept[0, 0] and made.kept[0, 5]


def test_ties_stay_at_the_anchor_and_count_as_kept():
    e = torch.eye(4, dtype=torch.float64)
    anchors, prototypes = unit(e[:1] + e[1:2]), e[:3]
    made = hallucinate(anchors, prototypes, torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, dtype=torch.float64))
    assert made.t_max[0, :2].tolist() == pytest.approx([0, 0], abs=1e-12)
    torch.testing.assert_close(made.points[0, 0], anchors[0])
    assert made.kept.all()


def test_positives_on_the_boundary_are_as_near_to_both_and_the_filter_is_about_third_prototypes():
    anchors, prototypes = rows(64, 16, dtype=torch.float32), rows(20, 16, seed=1, dtype=torch.float32)
    targets, u = draw(anchors, prototypes, hardness=1.0, positives=50, generator=generator())
    assert u.eq(0).all()
    made = hallucinate(anchors, prototypes, targets, u)
    z_p = made.points @ prototypes.T
    nearest = made.nearest[:, None, None].expand(-1, 50, 1)
    own = z_p.gather(2, nearest)[..., 0]
    aim = z_p.gather(2, targets[..., None])[..., 0]
    torch.testing.assert_close(own, aim, rtol=0, atol=2e-6)
    third = z_p.clone().scatter_(2, targets[..., None], -9).scatter_(2, nearest, -9).amax(dim=2)
    clear = (third - own).abs() > 1e-5
    assert torch.equal(made.kept[clear], (own > third)[clear]) and 0.05 < made.kept.float().mean() < 0.95


def test_training_never_forms_the_points_and_gets_the_same_numbers():
    anchors, prototypes, q = rows(8, 128), rows(20, 128, seed=1), rows(8, 128, seed=2)
    targets, u = draw(anchors, prototypes, hardness=0.2, positives=30, generator=generator())
    made = hallucinate(anchors, prototypes, targets, u)
    loss, mean = alignment(q, made, 0.07)
    assert "points" not in vars(made)
    torch.testing.assert_close(made.similarity(q), torch.einsum("nd,npd->np", q, made.points))
    total, count = 0.0, 0
    for n in range(8):
        for p in range(30):
            if made.kept[n, p]:
                total += float(q[n] @ made.points[n, p])
                count += 1
    assert mean.item() == pytest.approx(total / count) and loss.item() == pytest.approx(-total / count / 0.07)


def test_gradient_reaches_the_query_alone_and_is_right():
    anchors, prototypes = rows(4, 6).requires_grad_(), rows(5, 6, seed=1).requires_grad_()
    targets, u = draw(anchors.detach(), prototypes.detach(), hardness=0.2, positives=7, generator=generator())
    made = hallucinate(anchors, prototypes, targets, u)
    q = rows(4, 6, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: alignment(unit(x), made, 0.07)[0], (q,))
    alignment(q, made, 0.07)[0].backward()
    assert anchors.grad is None and prototypes.grad is None
    kept = made.kept.double()
    expected = -torch.einsum("np,npd->nd", kept, made.points.detach()) / kept.sum() / 0.07
    torch.testing.assert_close(q.grad, expected)


def test_nothing_kept_and_a_poisoned_point_leave_the_loss_alone():
    anchors, prototypes, q = rows(3, 6), rows(5, 6, seed=1), rows(3, 6, seed=2).requires_grad_()
    targets, u = draw(anchors, prototypes, hardness=0.2, positives=4, generator=generator())
    made = hallucinate(anchors, prototypes, targets, u)
    none = type(made)(**{**{k: getattr(made, k) for k in made.__dataclass_fields__}, "kept": torch.zeros_like(made.kept)})
    loss, _ = alignment(q, none, 0.07)
    loss.backward()
    assert loss.item() == 0 and q.grad.eq(0).all()
    weights = made.from_target.clone()
    weights[0, 0] = math.nan
    keep = made.kept.clone()
    keep[0, 0] = False
    fields = {k: getattr(made, k) for k in made.__dataclass_fields__} | {"from_target": weights, "kept": keep}
    assert torch.isfinite(alignment(q, type(made)(**fields), 0.07)[0])


def test_draw_takes_every_other_prototype_equally_often_and_never_the_nearest():
    anchors, prototypes = rows(5, 8), rows(6, 8, seed=1)
    targets, u = draw(anchors, prototypes, hardness=0.3, positives=4000, generator=generator())
    nearest = (anchors @ prototypes.T).argmax(dim=1)
    assert u.min() >= 0 and u.max() < 0.7 and u.mean().item() == pytest.approx(0.35, abs=0.01)
    for n in range(5):
        counts = torch.bincount(targets[n], minlength=6)
        assert counts[nearest[n]] == 0
        assert ((counts / 4000 - 0.2).abs() < 0.04).sum() == 5
    narrow, _ = draw(anchors, prototypes, hardness=0.3, positives=200, nearest=2, generator=generator())
    ranks = (anchors @ prototypes.T).argsort(dim=1, descending=True)
    for n in range(5):
        assert set(narrow[n].tolist()) == set(ranks[n, 1:3].tolist())
    wide, _ = draw(anchors, prototypes, hardness=0.3, positives=4000, nearest=50, generator=generator())
    assert torch.equal(wide, targets)  # more than there are: all others
    assert not torch.equal(draw(anchors, prototypes, hardness=0.3, positives=4000, generator=generator(1))[0], targets)


def test_hardness_has_one_direction():
    anchors, prototypes = rows(40, 32), rows(20, 32, seed=1)
    shares = []
    for hardness in (0.0, 0.5, 0.9):
        made = hallucinate(anchors, prototypes, *draw(anchors, prototypes, hardness=hardness, positives=50, generator=generator()))
        share = made.t / made.t_max
        assert share.min() > hardness and share.max() <= 1
        shares.append((torch.einsum("nd,npd->np", anchors, made.points).mean().item(), made.kept.double().mean().item()))
    assert shares[0] > shares[1] > shares[2] and shares[0][1] > shares[2][1]  # harder: further from the anchor, fewer kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchors": torch.ones(2, 4)}, "anchors must be unit vectors; row 0"),
        ({"anchors": torch.full((2, 4), math.nan)}, "anchors must be unit"),
        ({"prototypes": torch.eye(5)}, r"\(2, 4\) and \(5, 5\)"),
        ({"targets": torch.tensor([[0, 4], [0, 1]])}, r"0 \.\. 3"),
        ({"targets": torch.tensor([[0, -1], [0, 1]])}, r"0 \.\. 3"),
        ({"targets": torch.zeros(2, 2)}, "float32"),
        ({"targets": torch.zeros(3, 2, dtype=torch.int64)}, r"\(3, 2\)"),
        ({"u": torch.full((2, 2), 1.5)}, r"\[0, 1\)"),
        ({"u": torch.full((2, 2), math.nan)}, r"\[0, 1\)"),
    ],
)
def test_what_does_not_fit_is_told(change, message):
    good = {"anchors": torch.eye(4)[:2], "prototypes": torch.eye(4), "u": torch.zeros(2, 2)}
    good["targets"] = torch.zeros(2, 2, dtype=torch.int64)
    hallucinate(**good)
    with pytest.raises(ConfigError, match=message):
        hallucinate(**good | change)


@pytest.mark.parametrize("change", [{"hardness": 1.1}, {"hardness": -0.1}, {"positives": 0}, {"nearest": 0}])
def test_draw_refuses_settings_out_of_range(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        draw(torch.eye(4)[:2], torch.eye(4), **{"hardness": 0.2, "positives": 3, "generator": generator()} | change)
    with pytest.raises(ConfigError, match="two prototypes"):
        draw(torch.eye(4)[:2], torch.eye(4)[:1], hardness=0.2, positives=3, generator=generator())


@pytest.mark.parametrize("case", ["a_default", "d_lambda1", "f_near5"])
def test_published_generator_and_loss(case):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "halp_generator.npz", allow_pickle=False) as file:
        z = {k.removeprefix(f"{case}__"): torch.from_numpy(file[k]) for k in file.files if k.startswith(case)}
        parameters = dict(zip(file["param_names"].tolist(), file[f"{case}__params"].tolist(), strict=True))
    made = hallucinate(z["k"], z["prototypes"], z["selected_index"], z["u"])
    for name, tolerance in {"t_max": 1e-5, "t": 1e-5, "points": 1e-5}.items():
        theirs = z[{"t_max": "t_max_true", "points": "z"}.get(name, name)]
        torch.testing.assert_close(getattr(made, name), theirs, rtol=0, atol=tolerance)
    assert torch.equal(made.kept, z["keep_mask"])
    loss, _ = alignment(z["q"], made, parameters.get("temperature", 0.07))
    torch.testing.assert_close(2 * loss, z["halp_loss_times_mu"], rtol=1e-4, atol=0)
    ce, _ = info_nce(z["q"], z["k"], z["queue"].T, 0.07)
    torch.testing.assert_close(ce, z["ce"], rtol=0, atol=1e-5)
    candidates = z["candidates"].shape[1]
    drawn, _ = draw(z["k"], z["prototypes"], hardness=0.2, positives=2000, nearest=candidates, generator=generator())
    for mine, theirs in zip(drawn, z["candidates"], strict=True):
        assert set(mine.tolist()) == set(theirs.tolist())
