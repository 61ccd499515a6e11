"""make bench: ratios measured side by side in one run, against the budgets of the design.

    python -m tests.bench            everything
    python -m tests.bench gru views  only these

Both sides of a ratio are timed in alternation, and the best of several rounds is kept, so that a busy machine slows both alike.
The sides are checked to give the same numbers before they are timed. Nothing here is asserted about time.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from skelbench.methods import METHODS, method
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.parts.nearest import nearest
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.normalise import preset
from skelbench.skeleton.topology import topology
from skelbench.train.presets import presets

KINECT = topology("kinect_v2_25")


@dataclass(frozen=True)
class Result:
    """One printed line: a, what it is compared with, and the budget where the design sets one."""

    name: str
    seconds: float
    against: str
    other: float | None
    budget: str = ""
    unit: float = 1.0
    per: str = "call"

    def line(self) -> str:
        """Milliseconds a unit, the other side, and the ratio."""
        mine = f"{self.seconds / self.unit * 1e3:10.3f} ms/{self.per}"
        if self.other is None:
            return f"{self.name:34} {mine:22} {'':44} {self.budget}"
        ratio = self.other / self.seconds
        shown = f"{ratio:5.1f} x faster" if ratio >= 1.2 else f"{self.seconds / self.other:5.3f} x as long"
        return f"{self.name:34} {mine:22} {self.against:27} {self.other / self.unit * 1e3:10.3f} ms  {shown:16} {self.budget}"


def alternate(one: Callable[[], object], two: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Best time of each, taken in turns."""
    best = [math.inf, math.inf]
    for _ in range(rounds):
        for i, call in enumerate((one, two)):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best[0], best[1]


def alone(call: Callable[[], object], rounds: int = 5) -> float:
    return alternate(call, lambda: None, rounds)[0]


def same(a: torch.Tensor, b: torch.Tensor, what: str) -> None:
    worst = float((a - b).detach().abs().max())
    assert worst < 1e-4 * max(1.0, float(b.detach().abs().max())), f"{what}: the two sides differ by {worst}"


def working_space(one: Callable[[], object], two: Callable[[], object]) -> str:
    """The most bytes that tensors made by each call held at one time, in words."""
    from tests.evaluate.conftest import peak_bytes

    return f"working space {peak_bytes(one) / 1e6:.0f} MB, beside {peak_bytes(two) / 1e6:.0f}"


def bodies(n: int, frames: int = 90, seed: int = 0) -> Batch:
    """Smooth made-up bodies of the right shape (n, 3, frames, 25, 2)."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.01, (n, frames, 2, 25, 3)), axis=1) + rng.normal(0, 0.5, (n, 1, 2, 25, 3))
    return batch_of(walk.astype(np.float32), lengths=rng.integers(frames // 2, frames + 1, n))


def halp_over_moco() -> list[Result]:
    """A HaLP step beside a MoCo step with the same encoder, at the paper's sizes but for the width of the GRU."""
    results = []
    for hidden in (64, 256):
        batch = bodies(64)
        made = {}
        for name in ("moco", "halp"):
            cls = method(name)
            extra = {"plain_epochs": 0} if name == "halp" else {}
            config = cls.Config(encoder=GRU.Config(hidden=hidden), queue=512, **extra)
            made[name] = cls.build(
                config, topology=KINECT, bodies=2, coordinates=3, classes=0, generator=torch.Generator().manual_seed(0)
            )
        optimisers = {name: torch.optim.SGD(m.parameters(), 0.01, momentum=0.9) for name, m in made.items()}
        generators = {name: torch.Generator().manual_seed(1) for name in made}

        def step(name: str, made=made, optimisers=optimisers, generators=generators, batch=batch) -> None:
            made[name].begin_epoch(0)
            loss = made[name].step(batch, generators[name]).loss
            optimisers[name].zero_grad()
            loss.backward()
            optimisers[name].step()
            made[name].after_step(generators[name])

        for _ in range(20):
            step("halp")  # past the warm-up of 2K + 1 samples
        assert made["halp"].generating
        one, two = alternate(lambda: [step("halp") for _ in range(5)], lambda: [step("moco") for _ in range(5)], rounds=6)
        results.append(Result(f"HaLP step, GRU 3 x {hidden}, B=64", one, "plain MoCo step", two, "budget: under 1.03 x", 5, "step"))
    return results


def gru() -> list[Result]:
    """Two forward streams over the whole sequence, beside the same weights fed frame by frame as the released code does."""
    net = GRU(GRU.Config(hidden=256), topology=KINECT, bodies=2, coordinates=3, generator=torch.Generator().manual_seed(0)).eval()
    stock = torch.nn.GRU(net.inputs, 256, num_layers=3, bidirectional=True, batch_first=True)
    stock.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("input_norm")})
    x = torch.randn(64, 3, 64, 25, 2)
    layout = net.input_norm(net.sequence_layout(x).transpose(1, 2)).transpose(1, 2).detach()

    def frame_by_frame() -> torch.Tensor:
        hidden = None
        for t in range(layout.shape[1]):
            out, hidden = stock(layout[:, t : t + 1], hidden)
        return out[:, -1]

    same(net(x), frame_by_frame(), "GRU")
    one, two = alternate(lambda: net(x).sum().backward(), lambda: frame_by_frame().sum().backward(), rounds=4)
    return [Result("GRU whole sequence, 3 x 256, B=64", one, "frame by frame", two, per="step")]


def agcn() -> list[Result]:
    """A-GCN of the published size with its sums over three graphs in one pass, beside the equations as they stand."""
    from tests.bench_encoders import DirectAGCN

    results = []
    for clips, frames, channels in ((8, 64, AGCN.Config().channels), (64, 32, (8, 16, 32))):
        config = AGCN.Config(channels=channels)
        net = AGCN(config, topology=KINECT, bodies=2, coordinates=3, generator=torch.Generator().manual_seed(0))
        direct, x = DirectAGCN(net), torch.randn(clips, 3, frames, 25, 2)
        same(net(x), direct(x), "A-GCN")
        sides = [lambda net=side, x=x: net(x).sum().backward() for side in (net, direct)]
        one, two = alternate(*sides, rounds=3)
        title = f"A-GCN {len(channels)} blocks to {channels[-1]}, {clips} clips"
        results.append(Result(title, one, "graph by graph", two, working_space(*sides), per="step"))
    return results


def hcn() -> list[Result]:
    """HCN of the published size, all persons at once, beside person by person."""
    from tests.bench_encoders import DirectHCN

    net = HCN(HCN.Config(), topology=KINECT, bodies=2, coordinates=3, generator=torch.Generator().manual_seed(0))
    direct, x, g = DirectHCN(net), torch.randn(32, 3, 64, 25, 2), torch.Generator()
    same(net.eval()(x), direct.eval()(x), "HCN")
    net.train(), direct.train()
    sides = (lambda: net(x, g).sum().backward()), (lambda: direct(x).sum().backward())
    one, two = alternate(*sides, rounds=3)
    return [Result("HCN, published size, 32 clips", one, "person by person", two, working_space(*sides), per="step")]


def psumnet() -> list[Result]:
    """PSUMNet, published size, three streams in one pass, beside three passes of its equations as they stand."""
    from tests.bench_psumnet import DirectStream, view_of

    shape = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": 60}
    made = method("psumnet").build(method("psumnet").Config(), **shape, generator=torch.Generator().manual_seed(0))
    batch = replace(bodies(4), labels=torch.arange(4))
    streams = {name: DirectStream(made, name) for name in made.streams}
    view = view_of(made.eval(), batch)
    for name, direct in streams.items():
        same(made.nets[name](made.parts[name].unified(view, KINECT)), direct(view), f"PSUMNet {name}")

    def forward(apart: bool) -> None:
        made.eval()
        with torch.no_grad():
            if not apart:
                made.encode(view_of(made, batch))
                return
            for direct in streams.values():
                direct(view_of(made, batch))

    def step(apart: bool) -> None:
        made.train().zero_grad()
        if not apart:
            made.step(batch, torch.Generator().manual_seed(1)).loss.backward()
            return
        for name, direct in streams.items():  # each draws and cuts its own views, as three runs do
            seen = direct(made.view(batch, torch.Generator().manual_seed(1)))
            torch.nn.functional.cross_entropy(made.heads[name](seen), batch.labels).backward()

    from tests.evaluate.conftest import peak_bytes

    results = []
    for title, call in (("forward", forward), ("training step", step)):
        one, two = alternate(lambda call=call: call(False), lambda call=call: call(True), rounds=3)
        most = [peak_bytes(lambda call=call, apart=apart: call(apart)) / 1e6 for apart in (False, True)]
        told = f"aim: at most 0.7 of it; working space of 4 clips {most[0]:.0f} MB, stream by stream {most[1]:.0f}"
        results.append(Result(f"PSUMNet {title}, 3 streams", one, "stream by stream", two, told, 4, "clip"))
    return results


def stgcnpp() -> list[Result]:
    """ST-GCN++, published size, beside its equations as they stand: graph by graph, an einsum for every sum over joints."""
    from tests.bench_stgcnpp import DirectSTGCNPP
    from tests.evaluate.conftest import peak_bytes

    shape = {"topology": KINECT, "bodies": 2, "coordinates": 3}
    net = STGCNPP(STGCNPP.Config(), generator=torch.Generator().manual_seed(0), **shape)
    direct, x = DirectSTGCNPP(net), bodies(4, frames=64).joints
    for mode in (False, True):
        same(net.train(mode)(x), direct(x), f"ST-GCN++, training={mode}")

    def forward(one: bool) -> None:
        net.eval()
        with torch.no_grad():
            (net if one else direct)(x)

    def step(one: bool) -> None:
        net.train().zero_grad()
        (net if one else direct)(x).square().mean().backward()

    results = []
    for title, call in (("forward", forward), ("training step", step)):
        space = [peak_bytes(lambda call=call, one=one: call(one)) / 1e6 for one in (True, False)]
        one, two = alternate(lambda call=call: call(True), lambda call=call: call(False), rounds=3)
        note = f"peak {space[0]:.0f} MB, direct {space[1]:.0f} MB"
        results.append(Result(f"ST-GCN++ {title}", one, "direct transcription", two, note, 4, "clip"))
    return results


def methods_over_moco() -> list[Result]:
    """A step of every method that trains, at its demo settings on the same clips, beside plain MoCo's: time and working space.

    A step is what a run does: loss, backward pass, optimiser, what follows. HaLP hallucinates positives from its first step on. The
    working space is all that tensors made by the step held at one time (activations, gradients, copies of queues); weights, queues
    and what the optimiser remembers were there before.
    """
    batch, shape = replace(bodies(64), labels=torch.arange(64) % 10), {"topology": KINECT, "bodies": 2, "coordinates": 3}
    cases: dict[str, dict] = {name: {} for name in METHODS if method(name).trains and name != "isc"}
    cases |= {f"isc {a}+{b}": {"pair": (a, b)} for a, b in (("seq", "graph"), ("seq", "image"), ("graph", "image"))}
    made, moves, draws = {}, {}, {}
    for title, edits in cases.items():
        name = title.split()[0]
        edits = {"plain_epochs": 0} if name.startswith("halp") else edits
        config, draws[title] = presets(name, "demo").edit(edits).method_config, torch.Generator().manual_seed(0)
        made[title] = method(name).build(config, **shape, classes=10, generator=draws[title]).train()
        made[title].meet(batch.labels, tuple(map(str, range(10))))
        moves[title] = torch.optim.Adam(made[title].parameters(), 1e-4)

    def step(title: str) -> None:
        net, generator = made[title], draws[title]
        net.begin_epoch(0)
        moves[title].zero_grad()
        net.step(batch, generator).loss.backward()
        moves[title].step()
        net.after_step(generator)

    for title in cases:
        for _ in range(6 if title.startswith("halp") else 1):  # past the warm-up of 2K + 1 samples
            step(title)
    assert made["halp"].generating and all(made["halp3s"].halp(name).generating for name in ("joint", "motion", "bone"))
    results = []
    for title in (title for title in cases if title != "moco"):
        one, two = alternate(lambda t=title: step(t), lambda: step("moco"), rounds=4)
        space = working_space(lambda t=title: step(t), lambda: step("moco"))
        results.append(Result(f"{title} step, demo, B=64", one, "plain MoCo step", two, space, per="step"))
    return results


def views() -> list[Result]:
    """Two augmented views of every clip, batched, beside a loop over clips."""
    batch, maker = bodies(256), Views()

    def batched() -> None:
        g = torch.Generator().manual_seed(0)
        for _ in range(2):
            maker.view(batch.joints, batch.lengths, KINECT, g)

    def looped() -> None:
        g = torch.Generator().manual_seed(0)
        for i in range(len(batch)):
            for _ in range(2):
                maker.view(batch.joints[i : i + 1], batch.lengths[i : i + 1], KINECT, g)

    one, two = alternate(batched, looped)
    return [Result("two views of a clip, batched", one, "one clip at a time", two, "budget: under 0.050 ms/clip", 256, "clip")]


def preprocessing() -> list[Result]:
    """The isc preset on a batch, beside a loop over clips, frames, bodies and joints."""
    batch, chosen = bodies(32, frames=60), preset("isc")
    batch = batch_of(batch.joints.permute(0, 2, 4, 3, 1).numpy())
    x = batch.joints.double()

    def turn(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
        normal, size = np.cross(v, axis), np.linalg.norm(v)
        if np.linalg.norm(normal) < 1e-6 or size < 1e-6:
            return np.eye(3)
        k, angle = normal / np.linalg.norm(normal), math.acos(np.clip(v @ axis / size, -1, 1))
        K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
        return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K

    def looped() -> np.ndarray:
        data = x.permute(0, 4, 2, 3, 1).numpy().copy()  # (N, M, T, V, C)
        for clip in data:
            for t in range(clip.shape[1]):
                centre = clip[0, t, KINECT.center].copy()
                for body in range(clip.shape[0]):
                    for joint in range(clip.shape[2]):
                        clip[body, t, joint] -= centre
            for (a, b), axis in ((KINECT.spine, np.array([0, 0, 1.0])), (KINECT.shoulders, np.array([1.0, 0, 0]))):
                R = turn(clip[0, 0, b] - clip[0, 0, a], axis)
                for body in range(clip.shape[0]):
                    for t in range(clip.shape[1]):
                        for joint in range(clip.shape[2]):
                            clip[body, t, joint] = R @ clip[body, t, joint]
        return data

    whole = chosen.apply(x, batch.lengths, KINECT)
    same(whole, torch.from_numpy(looped()).permute(0, 4, 2, 3, 1), "isc preset")
    one, two = alternate(lambda: chosen.apply(batch.joints, batch.lengths, KINECT), looped, rounds=3)
    return [Result("isc preset, vectorised", one, "a loop over joints", two, unit=32, per="clip")]


def retrieval() -> list[Result]:
    """Mean average precision of 500 clips in galleries of two sizes, beside one sorted matrix; and the working space of both."""
    from skelbench.evaluate import KNN, Features, Retrieval
    from tests.evaluate.conftest import peak_bytes

    def clips(N: int, first: int) -> Features:
        g = torch.Generator().manual_seed(first)
        ids, none = tuple(str(first + i) for i in range(N)), torch.zeros(N, dtype=torch.int64)
        values, labels, classes = torch.randn(N, 128, generator=g), torch.arange(N) % 60, tuple(map(str, range(60)))
        return Features(values=values, labels=labels, rows=first + torch.arange(N), subjects=none, ids=ids, classes=classes)

    def sorted_matrix(gallery: Features, test: Features) -> torch.Tensor:
        unit = torch.nn.functional.normalize
        order = (unit(test.values.double(), dim=1) @ unit(gallery.values.double(), dim=1).T).argsort(dim=1, descending=True)
        right = (gallery.labels[order] == test.labels[:, None]).double()
        share = right.cumsum(1) / torch.arange(1, len(gallery) + 1)
        return (share * right).sum(1) / right.sum(1)

    results, test, how = [], clips(500, 0), {"memory": 16 << 20}
    for G in (8_000, 32_000):
        gallery = clips(G, 1000)
        one, two = (lambda g=gallery: Retrieval(**how).run(g, test)), (lambda g=gallery: sorted_matrix(g, test))
        same(one().average_precision, two(), "average precision")
        space = [f"{peak_bytes(call) / 1e6:.0f}" for call in (one, two, lambda g=gallery: KNN(**how).run(g, test))]
        told = f"working space: {space[0]} MB, sorted {space[1]}, 1-NN {space[2]}; budget: 17, whatever the gallery"
        seconds = alternate(one, two, 2)
        results.append(Result(f"mAP, 500 in {G // 1000}k x 128, 16 MB", seconds[0], "one sorted matrix", seconds[1], told))
    return results


def knn() -> list[Result]:
    """Exact cosine 1-NN of 4,000 queries in 16,000 rows of width 256, beside scikit-learn's brute force."""
    from sklearn.neighbors import NearestNeighbors

    g = torch.Generator().manual_seed(0)
    gallery, queries = torch.randn(16_000, 256, generator=g), torch.randn(4_000, 256, generator=g)
    reference = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(gallery.numpy())
    found = nearest(queries, gallery, 1).rows[:, 0]
    agree = float((found == torch.from_numpy(reference.kneighbors(queries.numpy())[1][:, 0])).double().mean())
    assert agree > 0.999, f"1-NN: only {agree} of the neighbours agree"
    one, two = alternate(lambda: nearest(queries, gallery, 1), lambda: reference.kneighbors(queries.numpy()), rounds=3)
    return [Result("1-NN 4k in 16k x 256, 128 MB", one, "scikit-learn brute force", two)]


def slider() -> list[Result]:
    """Hardness slider: 256 anchors x 100 positives, from the number to the picture's data."""
    from skelbench.explain.positives import PositiveStudy

    g = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize
    keys, prototypes = unit(torch.randn(256, 128, generator=g)), unit(torch.randn(20, 128, generator=g))
    study = PositiveStudy.draw(keys, prototypes, positives=100, generator=g)
    hardness = iter(np.linspace(0, 1, 10_000))
    seconds = alone(lambda: study.spread(float(next(hardness))), 20)
    return [Result("slider -> 256 x 100 positives", seconds, "", None, "budget: under 50 ms", 1, "move")]


def rendering() -> list[Result]:
    """Clips as 8 pictures in three modalities; rays in the boxes of limbs beside every pixel against every limb."""
    from skelbench.data.playground import clips
    from skelbench.data.rays import Capsules, meet, nearest
    from skelbench.data.render import render
    from skelbench.skeleton.clip import collate

    n, size = 16, 64
    batch = collate(list(clips(n)))
    seconds = alone(lambda: render(batch, KINECT, torch.Generator().manual_seed(0), frames=8, size=size), 3)
    results = [Result("clip -> 8 x 64 x 64 x 3 modalities", seconds, "", None, "1,200 clips in minutes", n, "clip")]

    seen, made = render(batch, KINECT, torch.Generator().manual_seed(0), size=size), torch.Generator().manual_seed(1)
    camera, F, Q = seen.camera, n * 8, 60
    start = torch.randn(F, Q, 3, generator=made) * torch.tensor([0.3, 0.6, 0.2]) + torch.tensor([0.0, 0.0, 3.0])
    end = start + 0.15 * torch.randn(F, Q, 3, generator=made)
    radius, none = torch.full((F, Q), 0.05), torch.zeros(F, Q, dtype=torch.int64)
    bodies = Capsules(start=start, end=end, radius=radius, there=none == 0, paint=none)

    def boxed() -> torch.Tensor:
        hit = nearest(bodies, camera, size)
        return torch.full((F * size * size,), math.inf).index_put((hit.pixel,), hit.z)

    def dense() -> torch.Tensor:
        rays = camera.rays(size, size).repeat_interleave(8, 0).flatten(1, 2)  # (F, P, 3)
        front = torch.full(rays.shape[:2], math.inf)
        for q in range(Q):
            which = torch.arange(F).repeat_interleave(size * size)
            z = meet(rays[..., 0].flatten(), rays[..., 1].flatten(), start[:, q], end[:, q], radius[:, q], which)
            front = torch.minimum(front, z.view_as(front))
        return front.flatten()

    one, two = boxed(), dense()
    same(torch.where(one.isfinite(), one, 0), torch.where(two.isfinite(), two, 0), "rays")
    best = alternate(boxed, dense, rounds=2)
    results.append(Result("rays, only where a limb can be", best[0], "every pixel, every limb", best[1], "", n, "clip"))
    return results


def loading() -> list[Result]:
    """What importing the package costs beyond torch."""
    import subprocess

    def seconds(code: str) -> float:
        best = math.inf
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best = min(best, time.perf_counter() - start)
        return best

    bare, ours = seconds("pass"), seconds("import skelbench")
    torch_only, start = seconds("import torch"), seconds("import torch, skelbench; skelbench.start, skelbench.load")
    return [
        Result("import skelbench", ours - bare, "", None, "budget: under 500 ms beyond torch"),
        Result("... and start, load", start - torch_only, "", None, ""),
    ]


def ntu_files() -> list[Result]:
    """NTU .skeleton text: whole files at once beside line by line, and from the text to a store with a preset applied."""
    import os
    import tempfile
    from pathlib import Path

    from skelbench.data import import_data
    from skelbench.data.formats.ntu import write_ntu
    from skelbench.data.formats.ntu_text import parse
    from skelbench.data.playground import clips

    def line_by_line(path: Path) -> list[tuple[int, int, np.ndarray]]:
        found = []
        with path.open() as file:
            for frame in range(int(file.readline())):
                for _ in range(int(file.readline())):
                    body = int(file.readline().split()[0])
                    rows = [[float(word) for word in file.readline().split()] for _ in range(int(file.readline()))]
                    found.append((frame, body, np.array(rows)[:, :3].astype(np.float32)))
        return found

    n, home = 40, os.environ.get("SKELBENCH_DATA")
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(write_ntu(clips(n), Path(folder, "text")).iterdir())
        for file in files:
            recording, rows = parse(file.read_bytes(), str(file)), line_by_line(file)
            assert [(f, i) for f, i, _ in rows] == list(zip(recording.frame.tolist(), recording.ids, strict=True))
            assert np.array_equal(recording.joints, np.stack([joints for _, _, joints in rows])), f"{file}: other numbers"
        best = [alternate(lambda f=f: parse(f.read_bytes(), str(f)), lambda f=f: line_by_line(f), 5) for f in files]
        one, two = (sum(side) for side in zip(*best, strict=True))
        results = [Result("NTU text, whole files at once", one, "line by line in Python", two, "", n, "clip")]
        os.environ["SKELBENCH_DATA"] = folder
        try:
            for name in ("none", "isc", "ctrgcn"):
                options: dict = {"preset": name, "missing": False, "workers": 1, "overwrite": True, "progress": False}
                seconds = alone(lambda options=options: import_data(Path(folder, "text"), "store", **options), 8)
                label, budget = f"NTU text -> store, preset {name}", "budget: under 3 ms/clip"
                results.append(Result(label, seconds, "", None, budget, n, "clip"))
        finally:
            os.environ.pop("SKELBENCH_DATA")
            if home is not None:
                os.environ["SKELBENCH_DATA"] = home
    return results


PARTS = {
    f.__name__: f
    for f in (
        halp_over_moco,
        gru,
        agcn,
        hcn,
        psumnet,
        stgcnpp,
        methods_over_moco,
        views,
        preprocessing,
        knn,
        retrieval,
        slider,
        rendering,
        loading,
        ntu_files,
    )
}


def main(names: list[str]) -> None:
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        raise SystemExit(f"no benchmark {unknown[0]!r}; there are: {', '.join(PARTS)}")
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; best of several alternating rounds\n")
    for name in names or PARTS:
        for result in PARTS[name]():
            print(result.line(), flush=True)


if __name__ == "__main__":
    main(copy.copy(sys.argv[1:]))
