"""ST-GCN++ as its equations stand on paper, for the benchmark to run beside ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelbench.nets.stgcnpp import STGCNPP


class DirectSTGCNPP(nn.Module):
    """Joints (N, C, T, V, M) -> features: z_w = sum_i sum_v A_i[v, w] (W_i x_v + b_i), one graph and one branch after the other."""

    def __init__(self, net: STGCNPP) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        net, (N, C, T, V, M) = self.net, x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(N * M, V * C, T)  # one BatchNorm for all bodies
        x = net.input_norm(x).view(N * M, V, C, T).permute(0, 2, 3, 1)
        for block in net.blocks:
            s, t = block.spatial, block.temporal
            weight, bias = s.mix.weight.chunk(3), s.mix.bias.chunk(3)
            z = sum(torch.einsum("bctv,vw->bctw", F.conv2d(x, weight[i], bias[i]), s.graph[i]) for i in range(3))
            y = F.relu(s.norm(z) + (x if s.shortcut is None else s.shortcut(x)))
            y = t.join(torch.cat([branch(y) for branch in t.branches], dim=1))
            if not block.first:
                y = y + (x if block.residual is None else block.residual(x))
            x = F.relu(y)
        return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)
