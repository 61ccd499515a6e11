"""Files with the authors' key names, written here with random weights at small widths, and files that must be refused."""

import pickle

import numpy as np
import pytest
import torch

from skelbench.cli import main
from skelbench.errors import ConfigError, RunError
from skelbench.methods.halp import HaLP
from skelbench.methods.halp_cmd import HaLP3s
from skelbench.methods.moco import MoCo
from skelbench.methods.weights import load_published
from skelbench.skeleton.clip import batch_of

H, D, K, S, LAYERS = 4, 6, 32, 3, 3


def encoder(prefix, generator):
    def table(*shape):
        return torch.randn(*shape, generator=generator)

    state = {}
    for layer in range(LAYERS):
        for end in ("", "_reverse"):
            state[f"{prefix}.encoder.gru.weight_ih_l{layer}{end}"] = table(3 * H, 150 if layer == 0 else 2 * H)
            state[f"{prefix}.encoder.gru.weight_hh_l{layer}{end}"] = table(3 * H, H)
            state[f"{prefix}.encoder.gru.bias_ih_l{layer}{end}"] = table(3 * H)
            state[f"{prefix}.encoder.gru.bias_hh_l{layer}{end}"] = table(3 * H)
    state[f"{prefix}.fc.0.weight"], state[f"{prefix}.fc.0.bias"] = table(2 * H, 2 * H), table(2 * H)
    state[f"{prefix}.fc.2.weight"], state[f"{prefix}.fc.2.bias"] = table(D, 2 * H), table(D)
    state[f"{prefix}.input_norm.weight"], state[f"{prefix}.input_norm.bias"] = table(150), table(150)
    state[f"{prefix}.input_norm.running_mean"], state[f"{prefix}.input_norm.running_var"] = table(150), table(150).abs() + 0.1
    state[f"{prefix}.input_norm.num_batches_tracked"] = torch.tensor(17)
    return state


def checkpoint(seed=0, prototypes=True):
    generator = torch.Generator().manual_seed(seed)
    state = {"queue": torch.nn.functional.normalize(torch.randn(D, K, generator=generator), dim=0), "queue_ptr": torch.tensor([8])}
    if prototypes:
        state["prototypes"] = torch.nn.functional.normalize(torch.randn(S, D, generator=generator), dim=1)
    return state | encoder("encoder_q", generator) | encoder("encoder_k", generator)


def save(path, state):
    torch.save({"epoch": 451, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.01}]}}, path)
    return path


def clips():
    return batch_of(np.random.default_rng(0).normal(size=(2, 20, 2, 25, 3)).astype(np.float32))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_halp_file_becomes_a_halp_of_its_sizes(tmp_path, prefix):
    state = checkpoint()
    found = load_published(save(tmp_path / "checkpoint_0450.pth.tar", {prefix + k: v for k, v in state.items()}))
    assert isinstance(found, HaLP) and found.config.encoder.hidden == H and found.config.encoder.layers == LAYERS
    assert (found.config.queue, found.config.dim, found.config.prototypes, found.config.prototypes_from) == (K, D, S, K)
    assert torch.equal(found.queue.keys, state["queue"].T) and int(found.queue.pointer) == 8
    assert torch.equal(found.prototypes, state["prototypes"])
    for branch in "qk":
        ours = {"q": found.query, "k": found.key}[branch]
        for key, value in state.items():
            if key.startswith(f"encoder_{branch}."):
                name = key.removeprefix(f"encoder_{branch}.").replace("encoder.gru.", "encoder.").replace("fc.", "head.")
                name = f"encoder.{name}" if name.startswith("input_norm") else name
                assert torch.equal(ours.state_dict()[name], value), key
    native = torch.nn.GRU(150, H)  # the first stream of the first layer, by torch itself
    end = "encoder_q.encoder.gru."
    native.load_state_dict({k: state[end + k] for k in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")})
    x = torch.randn(5, 2, 150)
    assert torch.equal(found.query.encoder._stream(x, 0, ""), native(x)[0])
    assert found.features(clips()).shape == (2, 2 * H)


def test_a_plain_state_dict_and_a_baseline_file_do_too(tmp_path):
    torch.save(checkpoint(prototypes=False), tmp_path / "plain.pt")
    moco = load_published(tmp_path / "plain.pt", "moco", stream="bone")
    assert type(moco) is MoCo and moco.config.stream == "bone"
    halp = load_published(tmp_path / "plain.pt")
    assert halp.prototypes.eq(0).all() and halp.config.prototypes == 20 and not halp.generating
    assert torch.equal(halp.query.encoder.weight_hh_l2, moco.query.encoder.weight_hh_l2)
    assert type(load_published(save(tmp_path / "halp.pt", checkpoint()), "moco")) is MoCo  # its prototypes are left behind


def test_a_file_of_three_streams_gives_the_one_asked_for(tmp_path):
    state, parts = {}, {"": "_j", "_motion": "_m", "_bone": "_b"}
    for seed, (end, letter) in enumerate(parts.items()):
        for key, value in checkpoint(seed).items():
            head, dot, rest = key.partition(".")
            state[f"prototypes{letter}" if key == "prototypes" else head + end + dot + rest] = value
    path = save(tmp_path / "multi.pth.tar", state)
    for seed, stream in enumerate(("joint", "motion", "bone")):
        found, single = load_published(path, stream=stream), checkpoint(seed)
        assert torch.equal(found.prototypes, single["prototypes"]) and torch.equal(found.queue.keys, single["queue"].T)
        assert torch.equal(found.query.head[2].weight, single["encoder_q.fc.2.weight"]) and found.config.stream == stream


def test_a_file_of_three_streams_becomes_three_streams(tmp_path, capsys):
    state, parts = {}, {"": "_j", "_motion": "_m", "_bone": "_b"}
    for seed, (end, letter) in enumerate(parts.items()):
        for key, value in checkpoint(seed).items():
            head, dot, rest = key.partition(".")
            state[f"prototypes{letter}" if key == "prototypes" else head + end + dot + rest] = value
    found = load_published(save(tmp_path / "multi.pth.tar", state), "halp3s")
    assert isinstance(found, HaLP3s) and (found.config.queue, found.config.prototypes, found.config.distil_from) == (K, S, K)
    for seed, stream in enumerate(("joint", "motion", "bone")):
        one, single = found.halp(stream), load_published(save(tmp_path / "single.pt", checkpoint(seed)), stream=stream)
        assert all(torch.equal(one.state_dict()[k], v) for k, v in single.state_dict().items())
    assert main(["weights", str(tmp_path / "multi.pth.tar"), "--method", "halp3s"]) == 0
    number = sum(p.numel() for name in found.config.streams for p in found.halp(name).query.parameters())
    assert f"halp3s, three streams, features of width {found.width}, {number:,} parameters" in capsys.readouterr().out
    with pytest.raises(RunError, match="holds one stream"):
        load_published(tmp_path / "single.pt", "halp3s")
    del state["encoder_q_bone.fc.0.bias"]
    with pytest.raises(RunError, match=r"missing: encoder_q_bone\.fc\.0\.bias"):
        load_published(save(tmp_path / "multi.pth.tar", state), "halp3s")


class Hostile:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_pickles_that_would_run_code_are_refused(tmp_path, capsys):
    torch.save({"state_dict": checkpoint(), "args": Hostile()}, tmp_path / "hostile.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps({"state_dict": Hostile()}, protocol=2))
    for name in ("hostile.pt", "raw.pt"):
        with pytest.raises(RunError, match=rf"{name}: refused.*would run code"):
            load_published(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_damaged_and_foreign_files_are_told(tmp_path):
    with pytest.raises(RunError, match=r"missing\.pt: cannot read"):
        load_published(tmp_path / "missing.pt")
    whole = save(tmp_path / "whole.pt", checkpoint()).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("epoch,loss\n1,2\n")
    for name in ("half.pt", "empty.pt", "text.pt"):
        with pytest.raises(RunError, match=name):
            load_published(tmp_path / name)
    for seed in range(20):
        (tmp_path / "noise.pt").write_bytes(np.random.default_rng(seed).bytes(200))
        with pytest.raises(RunError, match=r"noise\.pt"):
            load_published(tmp_path / "noise.pt")
    for content in ([1, 2], {"epoch": 3}, torch.zeros(3)):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(RunError, match="holds no state dict"):
            load_published(tmp_path / "other.pt")


def test_keys_and_shapes_that_do_not_fit_are_all_listed(tmp_path):
    state = checkpoint()
    del state["encoder_q.fc.0.bias"], state["encoder_k.encoder.gru.bias_hh_l1_reverse"]
    state["encoder_q.encoder.gru.weight_hh_l2"] = torch.zeros(3 * H, H + 1)
    state["queue"] = torch.zeros(D + 1, K)
    state["surprise"] = torch.zeros(1)
    with pytest.raises(RunError) as error:
        load_published(save(tmp_path / "odd.pt", state))
    told = str(error.value)
    assert "missing: " in told and "encoder_q.fc.0.bias" in told and "encoder_k.encoder.gru.bias_hh_l1_reverse" in told
    assert "encoder_q.encoder.gru.weight_hh_l2 is (12, 5), wanted (12, 4)" in told
    assert f"queue is ({D + 1}, {K}), wanted ({D}, {K})" in told
    assert "not known: surprise" in told
    with pytest.raises(RunError, match=r"not a HaLP or MoCo.*encoder_q\.fc\.2\.weight"):
        load_published(save(tmp_path / "odd.pt", {k: v for k, v in checkpoint().items() if "fc" not in k}))
    wide = checkpoint()
    wide["encoder_q.encoder.gru.weight_ih_l0"] = torch.zeros(3 * H, 151)
    with pytest.raises(RunError, match=r"151 numbers a frame.*75"):
        load_published(save(tmp_path / "odd.pt", wide))
    with pytest.raises(ConfigError, match="'cmd'"):
        load_published(tmp_path / "odd.pt", "cmd")
