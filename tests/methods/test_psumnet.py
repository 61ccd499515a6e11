"""PSUMNet: streams in one pass against streams alone, fusion, views, explanations, checkpoints, and what it refuses."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.errors import ConfigError, DataError, RunError
from skelbench.methods import method
from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.weights import load_published
from skelbench.methods.weights_psumnet import net_sources
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.part_streams import MODALITIES
from skelbench.skeleton.topology import Topology, topology
from skelbench.train import presets

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(layout=KINECT, classes=4, coordinates=3, **edits):
    small = {n: CTRGCN.Config(channels=c) for n, c in (("body", (8, 16)), ("hand", (8,)), ("leg", (8,)))}
    config = PSUMNet.Config(**{**small, "frames": 8, "minimum": 4, **edits})
    made = PSUMNet.build(config, topology=layout, bodies=2, coordinates=coordinates, classes=classes, generator=generator())
    with torch.no_grad():
        for name, p in made.named_parameters():
            if "alpha" in name or name.endswith("norm.weight"):
                p.add_(0.4)
    return made


def clips(n=6, V=25, C=3, labels=None, T=12):
    x = np.random.default_rng(0).normal(size=(n, T, 2, V, C)).astype(np.float32)
    return batch_of(x, lengths=[T - i % 3 for i in range(n)], labels=np.arange(n) % 4 if labels is None else labels)


def test_one_pass_trains_every_stream_as_if_it_were_alone():
    made, batch = build(), clips()
    together = made.step(batch, generator(5))
    together.loss.backward()
    for name in made.streams:
        alone = copy.deepcopy(made)
        alone.zero_grad()
        view = alone.view(batch, generator(5))
        loss = cross_entropy(alone.heads[name](alone.nets[name](alone.parts[name].unified(view, KINECT))), batch.labels)
        loss.backward()
        torch.testing.assert_close(together.parts[f"loss_{name}"], loss.detach())
        for (key, one), (_, other) in zip(made.nets[name].named_parameters(), alone.nets[name].named_parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, msg=key)
    total = sum(together.parts[f"loss_{name}"] for name in made.streams)
    torch.testing.assert_close(together.loss.detach(), total)


def test_scores_are_the_weighted_sum_and_features_stand_side_by_side():
    made, batch = build(weights=PSUMNet.Weights(body=2.0, hand=0.5, leg=1.5)), clips()
    each = made.stream_logits(batch)
    torch.testing.assert_close(made.logits(batch), 2 * each["body"] + 0.5 * each["hand"] + 1.5 * each["leg"])
    assert made.features(batch).shape == (6, made.width) == (6, 32)
    loss = sum(cross_entropy(one, batch.labels, reduction="none") for one in each.values())
    torch.testing.assert_close(made.held_out_loss(batch), loss)
    assert made.training  # as it was


def test_the_score_channel_of_a_picture_is_left_out():
    made, batch = build(topology("coco_17"), coordinates=3), clips(V=17)
    other = batch.with_joints(torch.cat([batch.joints[:, :2], batch.joints[:, 2:] + 1], dim=1))
    torch.testing.assert_close(made.logits(batch), made.logits(other))


def test_shrec_is_one_stream_of_whole_padded_clips():
    layout = topology("shrec17_hand_22")
    made = build(layout, fit="pad", frames=20, turn=0.0)
    batch = clips(V=22)
    assert made.streams == ("hand",) and made.view(batch).shape == (6, 3, 20, 22, 2)
    torch.testing.assert_close(
        made.view(batch, generator())[:, :, :12], batch.joints * (torch.arange(12) < batch.lengths[:, None])[:, None, :, None, None]
    )
    with pytest.raises(ConfigError, match="cannot be trained further"):
        made.backbone()


def test_backbone_gives_the_features():
    made, batch = build().eval(), clips()
    torch.testing.assert_close(made.backbone().encoder(made.view(batch)), made.features(batch))


def test_explanations():
    made, batch = build(), clips()
    found = made.explain(batch)
    torch.testing.assert_close(found.joints.sum(dim=(1, 2)), torch.ones(6))
    torch.testing.assert_close(found.frames, found.joints.sum(dim=2))
    assert found.pairs.shape == (6, 9, 25, 25)
    made.eval()
    graph = made.nets["leg"].adjacency(made.parts["leg"].unified(made.view(batch), KINECT)).mean(dim=1)  # both bodies were seen
    hip, knee = 12, 13
    torch.testing.assert_close(found.pairs[:, 7, knee, hip], graph[:, 1, 1, 2])
    assert found.pairs[:, 6:, 4].abs().max() == 0  # no shoulder in the legs


@pytest.mark.parametrize("chosen", [("joint",), ("bone_velocity", "joint"), ("bone",), MODALITIES])
def test_some_modalities_are_those_channels_of_all(chosen):
    made, batch = build(modalities=chosen), clips()
    view = made.view(batch)
    for name, part in made.parts.items():
        whole = part.unified(view, KINECT).unflatten(1, (4, 3))
        torch.testing.assert_close(
            made.unified(name, view), whole[:, [i for i, m in enumerate(MODALITIES) if m in chosen]].flatten(1, 2)
        )
        assert made.nets[name].shape[0] == 3 * len(chosen)
    made.step(batch, generator()).loss.backward()
    torch.testing.assert_close(made.eval().backbone().encoder(view), made.features(batch))
    assert made.explain(batch).pairs.shape == (6, 9, 25, 25)


def test_joints_of_the_body_alone_are_a_single_stream_of_the_size_of_ctr_gcn():
    config = PSUMNet.Config(streams=("body",), modalities=("joint",))
    shape = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": 120}
    made = PSUMNet.build(config, generator=generator(), **shape)
    assert made.streams == ("body",) and sum(p.numel() for p in made.parameters()) == 1_462_092  # measured on the released CTR-GCN


def test_what_it_refuses():
    with pytest.raises(DataError, match="no label"):
        build().step(clips(labels=[0, 1, -1, 2, 3, 0]), generator())
    with pytest.raises(DataError, match="no parts"):
        build(Topology(name="worm", joints=("a", "b"), parents=(-1, 0)))
    with pytest.raises(ConfigError, match="has the streams hand, not 'body'"):
        build(topology("shrec17_hand_22"), streams=("body",))
    with pytest.raises(ConfigError, match="at least one class"):
        build(classes=0)
    for wrong in (
        {"streams": ("arm",)},
        {"fit": "crop"},
        {"ratio": (0.0, 1.0)},
        {"turn": -1.0},
        {"reading": "own"},
        {"modalities": ("joints",)},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PSUMNet.Config(**wrong)


def test_presets_and_registration():
    assert method("psumnet") is PSUMNet
    paper = presets("psumnet", "paper")
    assert (paper.train.lr, paper.train.batch, paper.train.patience, paper.train.select) == (0.1, 200, 5, True)
    own = paper.method_config
    assert [len(getattr(own, n).channels) for n in ("body", "hand", "leg")] == [10, 6, 4]
    assert type(paper).from_dict(paper.to_dict()) == paper


def released(made, name):
    """The weights of one stream under the names and shapes of a released file."""
    out = {f"fc.{key}": value for key, value in made.heads[name].state_dict().items()}
    for key, value in made.nets[name].state_dict().items():
        sources = net_sources(key)
        for i, source in enumerate(sources):
            one = value if len(sources) == 1 else value[i]
            out[source] = one[..., None, None].clone() if len(sources) > 1 and source.endswith("weight") else one.clone()
    return out


def test_released_files_are_read_stream_by_stream(tmp_path):
    made, batch = build(hand=CTRGCN.Config(channels=(8, 16, 16))), clips()
    for name in made.streams:
        torch.save({f"module.{k}": v for k, v in released(made, name).items()}, tmp_path / f"{name}.pt")
    files = {name: tmp_path / f"{name}.pt" for name in made.streams}
    found = load_published(files, "psumnet")
    assert found.streams == made.streams and found.config.hand.channels == (8, 16, 16)
    view = made.view(batch)
    made.eval(), found.eval()
    torch.testing.assert_close(found.fused(found.scored(found.encode(view))), made.fused(made.scored(made.encode(view))))
    one = load_published({"leg": files["leg"]}, "psumnet")
    assert one.streams == ("leg",)
    with pytest.raises(RunError, match="a stream of 9 joints"):
        load_published({"hand": files["leg"]}, "psumnet")
    with pytest.raises(ConfigError, match="one file a stream"):
        load_published(files["leg"], "psumnet")
    short = {k: v for k, v in released(made, "leg").items() if "alpha" not in k}
    torch.save(short, tmp_path / "short.pt")
    with pytest.raises(RunError, match=r"missing: layers\.0\.gcn1\.alpha"):
        load_published({"leg": tmp_path / "short.pt"}, "psumnet")


def test_published_sequence_and_fusion():
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    z = np.load(Path(folder) / "psumnet_data_a.npz", allow_pickle=False)
    sequence = z["input/sequence"].transpose(1, 3, 2, 0)[None]  # (1, T, M, V, C)
    made = build(frames=64, minimum=64)
    view = made.view(batch_of(sequence, lengths=[137]))
    np.testing.assert_allclose(view[0].numpy(), z["output/sequence/resized"], atol=1e-5)
    for name, part in made.parts.items():
        np.testing.assert_allclose(part.unified(view, KINECT)[0].numpy(), z[f"output/sequence/{name}"], atol=1e-5)
    scores = {name: torch.from_numpy(z[f"input/fusion/logits_{name}"]) for name in made.streams}
    fused = build().fused(scores)
    np.testing.assert_allclose(fused.numpy(), z["output/fusion/ntu60_xsub"], rtol=1e-5, atol=1e-5)
    assert np.array_equal(fused.argmax(dim=1).numpy(), z["output/fusion_argmax/ntu60_xsub"])
