"""ISC files with the authors' key names: written here at small widths, and with the published reference weights in them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from skelbench.cli import main
from skelbench.errors import RunError
from skelbench.methods.isc import ISC
from skelbench.methods.weights import load_published
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.clip import batch_of

D, K = 6, 32


def table(generator, *shape):
    return torch.randn(*shape, generator=generator)


def norm(g, key, width):
    found = {f"{key}.weight": table(g, width), f"{key}.bias": table(g, width), f"{key}.running_mean": table(g, width)}
    return found | {f"{key}.running_var": table(g, width).abs(), f"{key}.num_batches_tracked": torch.tensor(9)}


def conv(g, key, *shape):
    return {f"{key}.weight": table(g, *shape), f"{key}.bias": table(g, shape[0])}


def head(g, width):
    return conv(g, "fc.0", width, width) | conv(g, "fc.2", D, width)


def seq(g, hidden=4, layers=2):
    state = {}
    for layer in range(layers):
        for end in ("", "_reverse"):
            name = f"encoder.gru.{{}}_l{layer}{end}"
            state[name.format("weight_ih")] = table(g, 3 * hidden, 150 if layer == 0 else 2 * hidden)
            state[name.format("weight_hh")] = table(g, 3 * hidden, hidden)
            state |= {name.format(b): table(g, 3 * hidden) for b in ("bias_ih", "bias_hh")}
    return state | head(g, 2 * hidden)


def graph(g, channels=(8, 8, 16), window=5):
    state, given = norm(g, "data_bn", 150), 3
    for i, width in enumerate(channels, start=1):
        state[f"l{i}.gcn1.PA"] = table(g, 3, 25, 25)
        for letter, out in (("a", width // 4), ("b", width // 4), ("d", width)):
            for k in range(3):
                state |= conv(g, f"l{i}.gcn1.conv_{letter}.{k}", out, given, 1, 1)
        state |= (
            norm(g, f"l{i}.gcn1.bn", width) | conv(g, f"l{i}.tcn1.conv", width, width, window, 1) | norm(g, f"l{i}.tcn1.bn", width)
        )
        if width != given:
            state |= conv(g, f"l{i}.gcn1.down.0", width, given, 1, 1) | norm(g, f"l{i}.gcn1.down.1", width)
        if width != given and i > 1:
            state |= conv(g, f"l{i}.residual.conv", width, given, 1, 1) | norm(g, f"l{i}.residual.bn", width)
        given = width
    return state | head(g, given)


def image(g, rows=32, columns=16, channels=(4, 6, 8, 10)):
    one, two, three, four = channels
    state = conv(g, "conv5.0", three, 2 * two, 3, 3) | conv(g, "conv6.0", four, three, 3, 3)
    for end in ("", "m"):
        state |= conv(g, f"conv1{end}.0", columns, 3, 1, 1) | conv(g, f"conv2{end}", columns, columns, 3, 1)
        state |= conv(g, f"conv3{end}.0", one, 25, 3, 3) | conv(g, f"conv4{end}.0", two, one, 3, 3)
    return state | head(g, four * rows // 16 * columns // 16)


MAKERS = {"seq": seq, "graph": graph, "image": image}


def checkpoint(*pair, seed=0):
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, roles, ending in zip(pair, ("qk", "rl"), ("_S1", "_S2"), strict=False):
        ending = ending if len(pair) == 2 else ""
        queue = "Queue" if ending else "queue"
        state[f"{queue}{ending}"] = torch.nn.functional.normalize(table(g, D, K), dim=0)
        state[f"queue_ptr{ending}"] = torch.tensor([8])
        for role in roles:
            state |= {f"encoder_{role}.{key}": value for key, value in MAKERS[name](g).items()}
    return state


def save(path, state):
    torch.save({"epoch": 450, "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {}}, path)
    return path


@pytest.mark.parametrize("pair", [("seq",), ("graph",), ("image",), ("seq", "graph"), ("seq", "image"), ("graph", "image")])
def test_pair_and_sizes_are_read_from_the_file_and_nothing_is_lost(tmp_path, pair):
    state = checkpoint(*pair)
    found = load_published(save(tmp_path / "checkpoint_0450.pth.tar", state), "isc")
    assert isinstance(found, ISC) and found.config.pair == pair and found.config.mode == ("inter" if len(pair) == 2 else "intra")
    assert (found.config.queue, found.config.dim) == (K, D)
    sizes = {
        "seq": GRU.Config(hidden=4, layers=2, input_norm=False),
        "graph": AGCN.Config(channels=(8, 8, 16), window=5),
        "image": HCN.Config(rows=32, columns=16, channels=(4, 6, 8, 10)),
    }
    assert all(getattr(found.config, name) == sizes[name] for name in pair)
    arrived, sent = (sum(float(v.double().sum()) for v in held.values()) for held in (found.state_dict(), state))
    assert arrived == pytest.approx(sent, abs=1e-2)  # every number has arrived somewhere
    first = ("queue" if len(pair) == 1 else "Queue_S1", pair[0])
    assert torch.equal(found.queue[first[1]].keys, state[first[0]].T) and int(found.queue[first[1]].pointer) == 8
    clips = batch_of(np.random.default_rng(0).normal(size=(2, 20, 2, 25, 3)).astype(np.float32))
    assert found.features(clips).shape == (2, found.width)


def test_subsets_and_kernels_stand_where_they_belong(tmp_path):
    state = checkpoint("graph", "image")
    found = load_published(save(tmp_path / "both.pt", state), "isc").state_dict()
    for ours, letter in (("theta", "a"), ("phi", "b"), ("mix", "d")):
        for i in range(3):
            key = f"encoder_k.l2.gcn1.conv_{letter}.{i}"
            assert torch.equal(found[f"key.graph.encoder.blocks.1.spatial.{ours}"][i], state[f"{key}.weight"][:, :, 0, 0])
            assert torch.equal(found[f"key.graph.encoder.blocks.1.spatial.{ours}_bias"][i], state[f"{key}.bias"])
    assert torch.equal(found["query.graph.encoder.blocks.2.residual.1.running_var"], state["encoder_q.l3.residual.bn.running_var"])
    kernel = state["encoder_q.l3.tcn1.conv.weight"]
    assert torch.equal(found["query.graph.encoder.blocks.2.temporal.0.weight"], kernel.transpose(2, 3))
    assert torch.equal(found["query.image.encoder.motion.first.weight"], state["encoder_r.conv3m.0.weight"])  # 3 x 3: as it is
    assert torch.equal(found["key.image.encoder.joint.time.weight"], state["encoder_l.conv2.weight"].transpose(2, 3))
    assert torch.equal(found["key.image.head.2.bias"], state["encoder_l.fc.2.bias"])


@pytest.mark.parametrize(("case", "name"), [("isc_gru_a", "seq"), ("isc_agcn_a", "graph"), ("isc_hcn_a", "image")])
def test_published_weights_give_the_published_features(tmp_path, case, name):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / f"{case}.npz", allow_pickle=False) as file:
        assert "encoder_q" in json.loads(str(file["meta"]))["checkpoint_prefix"]
        z = {k: torch.from_numpy(file[k]) for k in file.files if k != "meta"}
    weights = {k.removeprefix("weight/"): v for k, v in z.items() if k.startswith("weight/")}
    dim = weights["fc.2.weight"].shape[0]
    state = {"queue": torch.nn.functional.normalize(torch.randn(dim, 64), dim=0), "queue_ptr": torch.tensor([0])}
    state |= {f"encoder_{role}.{key}": value for role in "qk" for key, value in weights.items()}
    found = load_published(save(tmp_path / "isc.pt", state), "isc").eval()
    assert found.config.pair == (name,)
    features = found.query[name].encoder(z.get("input/clip", z["input/x"]))
    for ours, theirs in ((features, z["output/features"]), (found.query[name].head(features), z["output/projection"])):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_from_the_shell(tmp_path, capsys):
    path = save(tmp_path / "isc.pt", checkpoint("seq", "graph"))
    found = load_published(path, "isc")
    assert main(["weights", str(path), "--method", "isc", "--out", str(tmp_path / "ours.safetensors")]) == 0
    printed = capsys.readouterr().out
    number = sum(p.numel() for p in found.query.parameters())
    assert f"isc, seq and graph, features of width {found.width}, {number:,} parameters" in printed
    written = load_file(tmp_path / "ours.safetensors")
    assert written.keys() == found.state_dict().keys() and all(torch.equal(written[k], v) for k, v in found.state_dict().items())


def test_what_does_not_fit_is_told(tmp_path):
    def told(state, match):
        with pytest.raises(RunError, match=match):
            load_published(save(tmp_path / "odd.pt", state), "isc")

    whole = checkpoint("seq", "graph")
    told({k: v for k, v in whole.items() if "Queue" not in k}, r"odd\.pt: not an ISC pre-training checkpoint")
    told({k: v for k, v in whole.items() if not k.startswith("encoder_q")}, "not an ISC")
    told({k.replace("encoder_r", "encoder_q"): v for k, v in checkpoint("seq").items() if "gru" not in k}, "not an ISC")
    twice = checkpoint("seq", "seq")
    told(twice, "not an ISC pre-training checkpoint.*different ones")
    told({k: v for k, v in whole.items() if "encoder_r.fc.2" not in k}, r"encoder_r is no whole graph encoder.*fc\.2\.weight")
    told(
        {k: v for k, v in whole.items() if k != "encoder_l.l2.gcn1.conv_b.1.bias"}, r"missing: encoder_l\.l2\.gcn1\.conv_b\.1\.bias"
    )
    told(whole | {"surprise": torch.zeros(1)}, "not known: surprise")
    told(whole | {"encoder_r.l1.gcn1.PA": torch.zeros(3, 17, 17)}, r"l1\.gcn1\.PA is \(3, 17, 17\), wanted \(3, 25, 25\)")
    told(whole | {"encoder_r.l2.gcn1.conv_a.2.weight": torch.zeros(2, 8)}, r"conv_a\.2\.weight is \(2, 8\), wanted \(2, 8, 1, 1\)")
    told(whole | {"encoder_q.encoder.gru.weight_ih_l0": torch.zeros(12, 151)}, "151 numbers a frame.*75 a body")
    pictures = checkpoint("image")
    told(pictures | {"encoder_q.conv3.0.weight": torch.zeros(4, 17, 3, 3)}, "17 joints.*25")
    told(pictures | {"encoder_q.conv1.0.weight": torch.zeros(8, 3, 1, 1)}, "no whole image encoder")
