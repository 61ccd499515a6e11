"""Hidden joints, guesses and the read-out that turns them into positions, against loops and numpy's least squares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data import Store, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.explain import masking
from skelbench.explain.masking import MaskStudy, ReadOut, hops
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.nets.gin import GIN, adjacency
from skelbench.skeleton.clip import Clip, batch_of
from skelbench.skeleton.topology import Topology, topology

KINECT = topology("kinect_v2_25")
TRAIN, HELD = np.arange(40), np.arange(40, 60)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(layout: Topology = KINECT, **config: Any) -> SkeletonMAE:
    settings = {"encoder": GIN.Config(width=8, layers=2), "frames": 4} | config
    shape: dict[str, Any] = {"topology": layout, "bodies": 2, "coordinates": 3, "classes": 0}
    return SkeletonMAE.build(SkeletonMAE.Config(**settings), generator=generator(), **shape)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    def made() -> Iterator[Clip]:
        rng = np.random.default_rng(0)
        rest = rng.normal(size=(25, 3))
        for i in range(60):
            sway = (
                rng.normal(size=(14 + i % 4, 2, 1, 3)).cumsum(axis=0) * 0.2
            )  # all joints move together: there is something to guess
            joints = rest + sway + 0.02 * rng.normal(size=(14 + i % 4, 2, 25, 3))
            joints[:, 1] *= i % 3 == 0
            joints[2:4, 0] *= i % 5 != 0
            yield Clip(joints=joints.astype(np.float32), topology=KINECT, label=0, id=f"c{i}", about={"subject": i})

    return write_store(tmp_path_factory.mktemp("data") / "sway", made(), classes=["sway"])


@pytest.fixture(scope="module")
def readout(store: Store) -> ReadOut:
    return ReadOut.fit(build(), store, TRAIN, held_out=HELD, preset="none", generator=generator())


@pytest.fixture
def study(store: Store, readout: ReadOut) -> MaskStudy:
    return MaskStudy.of(build(), store, 45, rows=[], held_out=[], preset="none", readout=readout)


def test_the_read_out_is_least_squares_for_every_joint(store: Store, readout: ReadOut) -> None:
    method = build()
    seed = int(torch.randint(2**31, (1,), generator=generator()))
    batches = list(masking._guesses(method, store, TRAIN, "none", seed))
    y, x, hidden = (torch.cat([b[i] for b in batches]).numpy() for i in range(3))
    asked = list(masking._guesses(method, store, HELD, "none", seed + 1))
    y2, x2, hidden2 = (torch.cat([b[i] for b in asked]).numpy() for i in range(3))
    far, mean_far, number = [], [], 0
    for v in range(25):
        rows = hidden[:, v]
        A = np.concatenate([y[rows, v], np.ones((rows.sum(), 1))], axis=1)
        ridge = np.sqrt(masking.RIDGE * (A**2).sum(axis=0).mean()) * np.eye(A.shape[1])  # as rows that ask for small weights
        padded = np.concatenate([x[rows, v], np.zeros((A.shape[1], 3))])
        weight = np.linalg.lstsq(np.concatenate([A, ridge]), padded, rcond=None)[0]
        held = hidden2[:, v]
        guess = np.concatenate([y2[held, v], np.ones((held.sum(), 1))], axis=1) @ weight
        far.append(np.linalg.norm(guess - x2[held, v], axis=1))
        mean_far.append(np.linalg.norm(x[rows, v].mean(axis=0) - x2[held, v], axis=1))
        assert far[-1].mean() == pytest.approx(readout.joints[v], rel=1e-3)
        number += len(far[-1])
    assert np.concatenate(far).mean() == pytest.approx(readout.error, rel=1e-3)
    assert np.concatenate(mean_far).mean() == pytest.approx(readout.mean_pose, rel=1e-6)
    assert number == hidden2.sum() and readout.clips == 20 and readout.weight.shape == (25, 9, 3)
    assert readout.error < readout.mean_pose and np.isfinite(readout.untrained)
    again = ReadOut.fit(method, store, TRAIN, held_out=HELD, preset="none", untrained=False, generator=generator())
    assert again.error == readout.error and np.isnan(again.untrained)
    assert not [p for p in method.parameters() if p.grad is not None] and method.training


def test_what_is_hidden_while_fitting() -> None:
    method = build()
    hidden = masking._hidden(method, 4000, generator())
    parts = [list(p) for p in method.parts.values()]
    whole = torch.stack([hidden[:, p].all(dim=1) for p in parts], dim=1)
    exact = hidden.sum(dim=1) == (whole.float() @ torch.tensor([float(len(p)) for p in parts])).long()
    by_parts = exact & (whole.sum(dim=1) >= 1)
    assert 0.45 < by_parts.float().mean() < 0.6 and set(whole[by_parts].sum(dim=1).tolist()) == {1, 2, 3}
    assert int(hidden[~by_parts].sum(dim=1).max()) == 13 and hidden.any(dim=0).all() and hidden.any(dim=1).all()


def test_a_read_out_is_never_measured_on_its_own_clips(store: Store) -> None:
    for held in ([], [39, 40]):
        with pytest.raises(DataError, match="clips it was not fitted on"):
            ReadOut.fit(build(), store, TRAIN, held_out=held, preset="none", generator=generator())


def test_reconstruction_is_the_guess_read_as_positions(study: MaskStudy, store: Store, readout: ReadOut) -> None:
    hidden = study.hidden(parts=["left_arm", 5], joints=["head", 0])
    wanted = {*study.parts["left_arm"], *study.parts["right_leg"], KINECT.joint("head"), 0}
    assert set(np.flatnonzero(hidden).tolist()) == wanted
    found, clip = study.reconstruct(hidden), store[45]
    method = build().eval()
    assert found.joints.shape == (len(clip), 2, 25, 3)
    for t in range(len(clip)):
        for m in range(2):
            body = torch.from_numpy(clip.joints[t, m])
            if not body.any():
                assert np.isnan(found.joints[t, m]).all() and np.isnan(found.distance[t, m]).all()
                continue
            made = method.guess(body[None], torch.from_numpy(hidden))
            for v in range(25):
                if not hidden[v]:
                    assert np.array_equal(found.joints[t, m, v], clip.joints[t, m, v])
                    assert found.distance[t, m, v] == found.cosine[t, m, v] == 0
                    continue
                position = made.y[0, v] @ readout.weight[v, :-1] + readout.weight[v, -1]
                np.testing.assert_allclose(found.joints[t, m, v], position.detach(), atol=1e-4)
                far = np.linalg.norm(position.detach().numpy() - clip.joints[t, m, v])
                assert found.distance[t, m, v] == pytest.approx(far, abs=1e-4)
                x, y = made.x[0, v].detach().numpy(), made.y[0, v].detach().numpy()
                cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
                assert found.cosine[t, m, v] == pytest.approx(1 - cosine, abs=1e-5)
    flat = found.distance[..., hidden]
    assert found.mean() == pytest.approx(np.nanmean(flat))
    np.testing.assert_allclose(found.by_joint()[hidden], np.nanmean(flat, axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.by_frame("cosine"), np.nanmean(found.cosine[..., hidden], axis=(1, 2)), rtol=1e-5)
    assert np.isnan(found.by_joint()[~hidden]).all()


def test_nothing_hidden_is_nothing_changed(study: MaskStudy, store: Store) -> None:
    found = study.reconstruct(np.zeros(25, bool))
    there = store[45].present
    assert np.array_equal(found.joints[there], store[45].joints[there]) and np.isnan(found.mean())
    assert np.isnan(found.by_frame()).all()


def test_a_study_keeps_the_method_as_it_was(store: Store, readout: ReadOut) -> None:
    method = build()
    study = MaskStudy.of(method, store, 45, rows=[], held_out=[], preset="none", readout=readout)
    hidden = study.hidden(parts=[2])
    before = study.reconstruct(hidden).joints
    with torch.no_grad():
        for p in method.parameters():
            p.add_(1)
    assert np.array_equal(study.reconstruct(hidden).joints, before, equal_nan=True) and method.training


def test_remask_can_be_switched(study: MaskStudy) -> None:
    hidden = study.hidden(parts=["left_arm"])
    elbow = KINECT.joint("left_elbow")  # its neighbours are hidden, too; the chest is two bones away
    zeroed, plain = study.reconstruct(hidden, remask=True), study.reconstruct(hidden, remask=False)
    there = study.clip.present
    assert np.ptp(zeroed.joints[there][:, elbow], axis=0).max() < 1e-5 < np.ptp(plain.joints[there][:, elbow], axis=0).max()
    assert np.array_equal(study.reconstruct(hidden).joints, plain.joints, equal_nan=True)  # the method's own setting


def test_draws_and_names(study: MaskStudy) -> None:
    for ratio, count in ((0.01, 1), (0.32, 8), (0.999, 24)):
        assert study.draw(ratio, generator()).sum() == count
    assert np.array_equal(study.draw(0.5, generator(1)), study.draw(0.5, generator(1)))
    for call, message in (
        (lambda: study.draw(1.0, generator()), r"ratio=1\.0"),
        (lambda: study.hidden(parts=["wing"]), "no part 'wing'; there are: head, torso"),
        (lambda: study.hidden(parts=[6]), "no part 6"),
        (lambda: study.hidden(joints=[25]), "no joint 25"),
        (lambda: study.reconstruct(np.ones(25, bool)), "one joint at least must be seen; got 25 set"),
        (lambda: study.reconstruct(np.zeros(24, bool)), r"of \(24,\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
    with pytest.raises(DataError, match="no joint 'wing'"):
        study.hidden(joints=["wing"])


def test_one_clip_at_a_time(readout: ReadOut) -> None:
    two = batch_of(np.ones((2, 5, 1, 25, 3), np.float32))
    with pytest.raises(DataError, match="one clip with frames, got 2"):
        MaskStudy(build(), two, readout)


def test_normalised_clips_know_which_way_is_up(store: Store, readout: ReadOut) -> None:
    ups = {p: MaskStudy.of(build(), store, 45, rows=[], held_out=[], preset=p, readout=readout).clip.up for p in ("none", "isc")}
    assert ups == {"none": "y", "isc": "z"}


def test_clips_without_bodies_teach_nothing(tmp_path: Path) -> None:
    empty = (Clip(joints=np.zeros((5, 1, 25, 3), np.float32), topology=KINECT, label=0, id=f"e{i}") for i in range(4))
    held = write_store(tmp_path / "empty", empty, classes=["none"])
    with pytest.raises(DataError, match="no body is there in any of the 2 clips"):
        ReadOut.fit(build(), held, [0, 1], held_out=[2, 3], preset="none", generator=generator())


def test_hops_are_those_of_a_walk() -> None:
    edges = adjacency(KINECT)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.7, 0.95, 1.0):
        hidden = rng.random(25) < share
        wanted = []
        for v in range(25):
            seen, ring, steps = {v}, {v}, 0
            while ring and not any(not hidden[j] for j in ring):
                ring = {int(j) for i in ring for j in np.flatnonzero(edges[i])} - seen
                seen |= ring
                steps += 1
            wanted.append(steps if ring else -1)
        assert hops(edges, hidden).tolist() == wanted
