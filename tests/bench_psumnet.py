"""A stream of PSUMNet as its equations stand on paper, for the benchmark to run beside ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelbench.methods.psumnet import PSUMNet
from skelbench.skeleton.augment import centre_crop_resize
from skelbench.skeleton.clip import Batch


def view_of(method: PSUMNet, batch: Batch) -> Tensor:
    """The test view, made anew."""
    return centre_crop_resize(batch.joints, batch.lengths, frames=method.config.frames)


class DirectStream(nn.Module):
    """Views (N, C, T, V, M) -> features: graph by graph, convolutions before means, an einsum for every sum over joints."""

    def __init__(self, method: PSUMNet, name: str) -> None:
        super().__init__()
        self.net, self.part, self.topology = method.nets[name], method.parts[name], method.topology

    def forward(self, view: Tensor) -> Tensor:
        net, x = self.net, self.part.unified(view, self.topology)
        N, C, T, V, M = x.shape
        x = net.input_norm(x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.view(N, M, V, C, T).permute(0, 1, 3, 4, 2).reshape(N * M, C, T, V)
        for i, block in enumerate(net.blocks):
            s, total = block.spatial, None
            for k in range(3):
                a = F.conv2d(x, s.theta[k][..., None, None], s.theta_bias[k]).mean(dim=2)
                b = F.conv2d(x, s.phi[k][..., None, None], s.phi_bias[k]).mean(dim=2)
                D = torch.tanh(a[..., :, None] - b[..., None, :])
                A = s.alpha * F.conv2d(D, s.relation[k][..., None, None], s.relation_bias[k]) + s.learned[k]
                y = torch.einsum("bcuv,bctv->bctu", A, F.conv2d(x, s.value[k][..., None, None], s.value_bias[k]))
                total = y if total is None else total + y
            y = block.temporal(F.relu(s.norm(total) + (x if s.shortcut is None else s.shortcut(x))))
            x = F.relu(y if i == 0 else y + (x if block.residual is None else block.residual(x)))
        return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)
