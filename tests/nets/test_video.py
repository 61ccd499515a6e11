"""Extractors: sizes and parameter names of torchvision's networks, weights files good and bad, maps of videos."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from skelbench.errors import ConfigError, RunError
from skelbench.nets.video import FrameCNN, ResNet, build_extractor
from skelbench.nets.video3d import VideoCNN, VideoResNet, build_video


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def size(net):
    return sum(p.numel() for p in net.parameters())


def test_small_networks_have_the_sizes_of_the_sheet():
    net = build_extractor(FrameCNN.Config(), channels=3, generator=generator())
    assert round(size(net) / 1e6, 2) == 0.22
    assert net(torch.rand(5, 3, 64, 64, generator=generator())).shape == (5, net.width) == (5, 128)
    video = build_video(VideoCNN.Config(), generator=generator())
    assert round(size(video) / 1e6, 2) == 0.09
    early, late = video(torch.rand(2, 3, 16, 64, 64, generator=generator()))
    assert early.shape == (2, 32, 16, 16, 16) and late.shape == (2, 96, 8, 8, 8) and video.size(16, 64, 64) == (8, 8, 8)


@pytest.mark.parametrize(("depth", "published", "width"), [(18, 11_689_512, 512), (34, 21_797_672, 512), (50, 25_557_032, 2048)])
def test_resnets_have_the_published_sizes(depth, published, width):
    net = ResNet(ResNet.Config(depth=depth), generator=generator())
    assert size(net) + width * 1000 + 1000 == published  # torchvision counts its classifier of 1000 classes
    assert net.width == width


@pytest.mark.parametrize(("kind", "published", "frames"), [("mc3_18", 11_695_440, 8), ("r3d_18", 33_371_472, 1)])
def test_video_resnets_have_the_published_sizes(kind, published, frames):
    net = VideoResNet(VideoResNet.Config(kind=kind, grid=2), generator=generator())
    assert size(net) + 512 * 400 + 400 == published  # a classifier of 400 classes
    early, late = net.eval()(torch.rand(1, 3, 8, 32, 32, generator=generator()))
    assert late.shape == (1, 512, *net.size(8, 32, 32)) == (1, 512, frames, 2, 2)
    assert early.shape[:2] == (1, net.channels[0]) == (1, 128)


def torchvision_names(depth):
    """Parameter and buffer names of torchvision's ResNets, written down from their layout."""
    blocks, convs = {18: ((2, 2, 2, 2), 2), 34: ((3, 4, 6, 3), 2), 50: ((3, 4, 6, 3), 3)}[depth]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{n}" for n in norm)}
    for i, count in enumerate(blocks, start=1):
        for j in range(count):
            for k in range(1, convs + 1):
                names |= {f"layer{i}.{j}.conv{k}.weight", *(f"layer{i}.{j}.bn{k}.{n}" for n in norm)}
            if j == 0 and (i > 1 or depth == 50):
                names |= {f"layer{i}.{j}.downsample.0.weight", *(f"layer{i}.{j}.downsample.1.{n}" for n in norm)}
    return names


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_parameter_names_are_those_of_torchvision(depth):
    assert set(ResNet(ResNet.Config(depth=depth), generator=generator()).state_dict()) | {
        "fc.weight",
        "fc.bias",
    } == torchvision_names(depth)


def made_up(net, classes=1000):
    """A file's contents: other weights, with a classifier."""
    state = {k: torch.rand(v.shape, generator=generator(3)) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    return {**state, "fc.weight": torch.zeros(classes, 512), "fc.bias": torch.zeros(classes)}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_come_in_by_path_and_batchnorm_stays(tmp_path, suffix):
    path = tmp_path / f"resnet18.{suffix}"
    state = made_up(ResNet(ResNet.Config(depth=18), generator=generator()))
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}  # as old files have it
    torch.save(old, path) if suffix == "pth" else save_file(old, path)
    net = ResNet(ResNet.Config(depth=18, weights=str(path)), generator=generator(1))
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, state[name], msg=name)
    before = copy.deepcopy(net.state_dict())
    net.train()(torch.rand(2, 1, 32, 32, generator=generator()))
    assert torch.equal(net.bn1.running_mean, before["bn1.running_mean"])
    loose = ResNet(ResNet.Config(depth=18, weights=str(path), frozen_norm=False), generator=generator(1))
    loose.train()(torch.rand(2, 1, 32, 32, generator=generator()))
    assert not torch.equal(loose.bn1.running_mean, before["bn1.running_mean"])


def test_one_channel_is_shown_three_times_and_colours_are_normalised():
    net = ResNet(ResNet.Config(depth=18), generator=generator()).eval()
    grey = torch.rand(2, 1, 32, 32, generator=generator())
    torch.testing.assert_close(net(grey), net(grey.repeat(1, 3, 1, 1)))
    seen = []
    net.conv1.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    net(grey)
    torch.testing.assert_close(seen[0][:, 1], (grey[:, 0] - 0.456) / 0.224)


def test_bad_weights_files_are_told_apart(tmp_path):
    def load(name):
        return ResNet(ResNet.Config(depth=18, weights=str(tmp_path / name)), generator=generator())

    good = made_up(ResNet(ResNet.Config(depth=18), generator=generator()))
    torch.save({k: v for k, v in good.items() if k != "layer4.0.conv1.weight"}, tmp_path / "lacks.pth")
    torch.save({**good, "conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "grey.pth")
    torch.save({**good, "bn1.bias": torch.full((64,), torch.nan)}, tmp_path / "nan.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "grey.pth").read_bytes()[:1000])
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 30)
    torch.save(made_up(ResNet(ResNet.Config(depth=34), generator=generator())), tmp_path / "deeper.pth")
    for name, message in {
        "absent.pth": "no such file",
        "lacks.pth": "1 missing, first 'layer4.0.conv1.weight'",
        "grey.pth": r"'conv1.weight' has shape \(64, 1, 7, 7\), wanted \(64, 3, 7, 7\)",
        "nan.pth": "'bn1.bias' holds values that are not finite",
        "list.pth": "no state dict",
        "cut.pth": "no weights file that could be read safely",
        "cut.safetensors": "damaged|no weights file",
        "deeper.pth": "too many, first 'layer1.2.conv1.weight'",
    }.items():
        with pytest.raises(RunError, match=message):
            load(name)


class Exploit:
    def __reduce__(self):
        return print, ("ran",)


def test_a_file_that_would_run_something_is_refused(tmp_path):
    torch.save({"conv1.weight": Exploit()}, tmp_path / "bad.pth")
    with pytest.raises(RunError, match="could be read safely"):
        ResNet(ResNet.Config(depth=18, weights=str(tmp_path / "bad.pth")), generator=generator())


def test_first_weights_come_from_the_generator_alone():
    for make in (
        lambda g: FrameCNN(FrameCNN.Config(), channels=1, generator=g),
        lambda g: VideoCNN(VideoCNN.Config(), generator=g),
        lambda g: ResNet(ResNet.Config(depth=18), generator=g),
        lambda g: VideoResNet(VideoResNet.Config(), generator=g),
    ):
        one, other = make(generator(1)).state_dict(), make(generator(1)).state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_settings_out_of_range():
    for make in (
        lambda: FrameCNN.Config(widths=(12,)),
        lambda: ResNet.Config(depth=19),
        lambda: VideoCNN.Config(stride=0),
        lambda: VideoResNet.Config(grid=0),
    ):
        with pytest.raises(ConfigError):
            make()
