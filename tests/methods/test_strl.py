"""STRL as a method: its loss written out, what planting takes over, what a run folder must hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, DataError, RunError
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.methods.strl import STRL
from skelbench.nets.gin import GIN
from skelbench.nets.strl import SpatialTemporal
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.sampling import segment_frames
from skelbench.skeleton.topology import topology
from skelbench.train import open_run, start

COCO = topology("coco_17")
SMALL = GIN.Config(width=8, layers=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def config(**changes: Any) -> STRL.Config:
    return STRL.Config(net=SpatialTemporal.Config(encoder=SMALL, layers=2, frames=5), **({"noise": 0.0} | changes))


def build(classes: int = 4, seed: int = 0, **changes: Any) -> STRL:
    shape: dict[str, Any] = {"topology": COCO, "bodies": 2, "coordinates": 3, "classes": classes}
    return STRL.build(config(**changes), generator=generator(seed), **shape)


def pretrained(seed: int = 9, encoder: GIN.Config = SMALL) -> SkeletonMAE:
    shape: dict[str, Any] = {"topology": COCO, "bodies": 2, "coordinates": 3, "classes": 0}
    made = SkeletonMAE.build(SkeletonMAE.Config(encoder=encoder, frames=5), generator=generator(seed), **shape)
    made.step(clips(), generator())  # running statistics off their first values
    return made


def clips(N: int = 6, labels: list[int] | None = None) -> Batch:
    """Joints in the plane with a score behind them."""
    joints = np.random.default_rng(0).normal(size=(N, 12, 2, 17, 3)).astype(np.float32)
    joints[::2, :, 1] = 0
    return batch_of(joints, lengths=[12 - n % 3 for n in range(N)], labels=labels or [n % 4 for n in range(N)])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_step_is_smoothed_cross_entropy_of_the_network(smoothing: float) -> None:
    method, batch = build(smoothing=smoothing), clips()
    step = method.step(batch, generator(3))
    index = segment_frames(batch.lengths, 5, generator=generator(3))
    x = torch.stack([batch.joints[n, :2, index[n]].permute(1, 3, 2, 0) for n in range(6)])  # (N, T, M, V, 2)
    present = torch.stack([batch.present[n, index[n]] for n in range(6)])
    logits = method.net(x, present).logits.detach()  # BatchNorm sees the same batch: training mode gives the same numbers again
    loss = 0.0
    for n in range(6):
        p = [math.exp(float(v)) for v in logits[n]]
        own = int(batch.labels[n])
        wanted = [smoothing / 4 + (1 - smoothing) * (c == own) for c in range(4)]
        loss -= sum(w * math.log(v / sum(p)) for w, v in zip(wanted, p, strict=True)) / 6
    assert float(step.loss.detach()) == pytest.approx(loss, rel=1e-5)
    assert float(step.parts["accuracy"]) == pytest.approx(float((logits.argmax(dim=1) == batch.labels).float().mean()))
    assert {"residual_1", "residual_2"} <= set(step.parts) and all(0 < step.parts[f"residual_{i}"] < 1 for i in (1, 2))


def test_scores_do_not_count_and_logits_are_those_of_the_features() -> None:
    method, batch = build().train(), clips()
    other = batch.joints.clone()
    other[:, 2] += 1.0 * (other[:, 2] != 0)
    logits = method.logits(batch)
    assert method.training and logits.shape == (6, 4) and method.features(batch).shape == (6, method.width) == (6, 8)
    torch.testing.assert_close(method.logits(batch.with_joints(other)), logits)
    method.eval()
    torch.testing.assert_close(method.net.classifier(method.features(batch)), logits)
    with torch.no_grad():
        torch.testing.assert_close(method.logits(batch), logits)


def test_half_precision_changes_little() -> None:
    whole, method = build().step(clips(), generator()).loss, build()
    with torch.autocast("cpu", torch.bfloat16):
        half = method.step(clips(), generator()).loss
        half.backward()
        assert method.logits(clips()).dtype == torch.float32
    assert float(half.detach()) == pytest.approx(float(whole.detach()), rel=0.05)


def test_planting_changes_embedding_and_encoders_and_nothing_else() -> None:
    donor = pretrained()
    made, scratch = STRL.from_pretrained(donor, classes=4, config=config(), generator=generator()), build()
    given = {f"embedding.{k}": v for k, v in donor.embedding.state_dict().items()}
    given |= {f"encoder.{k}": v for k, v in donor.encoder.state_dict().items()}
    fresh, planted = scratch.net.state_dict(), 0
    for name, tensor in made.net.state_dict().items():
        head, _, rest = name.partition(".")
        if head == "embedding":
            source = given[name]
        elif ".encoders." in name:
            source, planted = given["encoder." + rest.split(".", 3)[3]], planted + 1
        else:
            source = fresh[name]
        assert torch.equal(tensor, source), name
    assert planted == 2 * 2 * len(donor.encoder.state_dict())
    assert made.config.net.encoder == donor.config.encoder and made.net.classifier[-1].out_features == 4
    own = STRL.from_pretrained(donor, classes=7, generator=generator())
    assert own.config.net == SpatialTemporal.Config(encoder=SMALL)  # the paper's network around that encoder


def test_another_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pre-trained encoder is GIN.Config\(width=12"):
        STRL.from_pretrained(pretrained(encoder=GIN.Config(width=12)), classes=4, config=config(), generator=generator())
    with pytest.raises(ConfigError, match="'pyskl_graph'"):
        STRL.from_pretrained(pretrained(), classes=4, config=config(graph="pyskl_graph"), generator=generator())


def test_settings_and_labels_out_of_range() -> None:
    for settings in ({"smoothing": 1.0}, {"noise": -0.1}):
        with pytest.raises(ConfigError, match=f"{next(iter(settings))}="):
            config(**settings)
    with pytest.raises(ConfigError, match="at least one class"):
        build(0)
    with pytest.raises(DataError, match=r"clip '1' has no label \(2 of 6"):
        build().step(clips(labels=[0, -1, 1, 2, -1, 3]), generator())


EDITS: dict[str, Any] = {"normalise": "none", "save_every": 0, "probe_every": 0}


def test_a_run_from_a_run_and_bit_for_bit_after_every_step(flat: Store, runs: Path) -> None:
    first = start("skeletonmae", flat, "smoke", **EDITS).run(progress=False)
    edits = EDITS | {"pretrained": str(first.folder)}
    run = start("strl", flat, "smoke", **edits)
    encoder = run.method.net.layers[0].encoders[1].state_dict()
    assert all(torch.equal(v, encoder[k]) for k, v in first.method.encoder.state_dict().items())
    assert torch.equal(run.method.net.embedding.weight, first.method.embedding.weight)
    run.run(progress=False)
    often = start("strl", flat, "smoke", **edits)
    while not often.finished:
        for _ in often:
            break
        often.save()
        often = open_run(often.folder)
    assert (run.folder / "metrics.jsonl").read_bytes() == (often.folder / "metrics.jsonl").read_bytes()
    assert all(torch.equal(v, often.method.state_dict()[k]) for k, v in run.method.state_dict().items())
    moved = [v for k, v in run.method.net.layers[0].encoders[0].named_parameters() if "one.weight" in k]
    assert not torch.equal(moved[0], first.method.encoder.layers[0].perceptron.one.weight)  # all weights are trained


def test_what_a_folder_must_hold(flat: Store, runs: Path, tmp_path: Path) -> None:
    def planted(path: Path) -> STRL:
        return build(pretrained=str(path))

    run = start("skeletonmae", flat, "smoke", **EDITS)
    with pytest.raises(RunError, match="has no checkpoint yet"):
        planted(run.folder)
    run.run(progress=False)
    checkpoint = max((run.folder / "checkpoints").iterdir())
    wanted = run.method.embedding.weight
    for path in (run.folder, checkpoint, checkpoint / "weights.safetensors"):
        assert torch.equal(planted(path).net.embedding.weight, wanted)
    with pytest.raises(RunError, match=r"nowhere: no run, no checkpoint"):
        planted(tmp_path / "nowhere")
    wide = STRL.Config(net=SpatialTemporal.Config(encoder=GIN.Config(width=16, layers=2), frames=5), pretrained=str(run.folder))
    shape: dict[str, Any] = {"topology": COCO, "bodies": 2, "coordinates": 2, "classes": 2}
    with pytest.raises(RunError, match="does not fit this network of width 16 with 2 GIN layers"):
        STRL.build(wide, generator=generator(), **shape)
    hand = {**shape, "topology": topology("mediapipe_hand_21")}
    with pytest.raises(RunError, match=r"on skeleton 'coco_17' \(17 joints\), these clips have 'mediapipe_hand_21' \(21\)"):
        STRL.build(config(pretrained=str(run.folder)), generator=generator(), **hand)
    other = start("strl", flat, "smoke", **EDITS).run(progress=False)
    with pytest.raises(RunError, match="a checkpoint of 'strl', wanted one of 'skeletonmae'"):
        planted(other.folder)
    state = json.loads((checkpoint / "state.json").read_text())
    weights = (checkpoint / "weights.safetensors").read_bytes()
    (checkpoint / "weights.safetensors").write_bytes(weights[:-4] + b"abcd")
    with pytest.raises(RunError, match="is damaged: its checksum"):
        planted(run.folder)
    (checkpoint / "weights.safetensors").write_bytes(weights[:40])
    with pytest.raises(RunError, match="cannot be read"):
        planted(checkpoint / "weights.safetensors")
    for text in ("{", "[]", json.dumps({**state, "files": 3})):
        (checkpoint / "state.json").write_text(text)
        with pytest.raises(RunError, match=r"state\.json"):
            planted(run.folder)
