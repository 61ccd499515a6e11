"""ONNX files give the numbers PyTorch gives; what cannot be traced is told and leaves nothing behind."""

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, RunError
from skelbench.methods import method
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.recipes.export import export_onnx
from skelbench.skeleton.topology import topology

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def build():
    made = method("psumnet")
    small = {n: CTRGCN.Config(channels=(8, 16)) for n in ("body", "hand", "leg")}
    shape = {"topology": topology("kinect_v2_25"), "bodies": 2, "coordinates": 3, "classes": 5}
    net = made.build(made.Config(**small, frames=8), generator=torch.Generator().manual_seed(0), **shape)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "alpha" in name or name.endswith("norm.weight"):
                p.add_(0.4)
    return net


@pytest.mark.slow
def test_psumnet_runs_in_onnxruntime_with_any_number_of_clips(tmp_path):
    net, file = build(), tmp_path / "net.onnx"
    found = export_onnx(net, file, clips=3)
    assert found.difference < 1e-4 and "onnxruntime" in str(found) and "<table>" in found._repr_html_()
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    session, x = onnxruntime.InferenceSession(str(file)), torch.randn(5, 3, 8, 25, 2)
    with torch.no_grad():
        net.eval()
        wanted = net.fused(net.scored(net.encode(x))).numpy()
    np.testing.assert_allclose(session.run(None, {"joints": x.numpy()})[0], wanted, rtol=1e-4, atol=1e-4)


def test_what_branches_on_its_numbers_cannot_be_traced(tmp_path):
    class Branching(CTRGCN):
        def forward(self, x):
            return super().forward(x if float(x.sum()) > 0 else -x)

    net = build()
    net.nets["leg"].__class__ = Branching
    with pytest.raises(RunError, match="'psumnet' cannot be traced"):
        export_onnx(net, tmp_path / "net.onnx", clips=2)
    assert not list(tmp_path.iterdir())


def test_the_file_must_be_named_as_one(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        export_onnx(build(), tmp_path / "net.pt")
