"""Encoders as their equations stand on paper, for the benchmark to run beside ours: subset by subset, person by person."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelbench.nets.agcn import AGCN
from skelbench.nets.hcn import HCN


class DirectAGCN(nn.Module):
    """A-GCN on (B, C, T, V): three graphs one after the other, each joints first and channels after, then summed."""

    def __init__(self, net: AGCN) -> None:
        super().__init__()
        self.net = net

    @staticmethod
    def conv(part: nn.Module, x: Tensor) -> Tensor:
        layer, norm = part
        window, stride = layer.kernel_size[1], layer.stride[1]
        return norm(F.conv2d(x, layer.weight.transpose(2, 3), layer.bias, stride=(stride, 1), padding=(window // 2, 0)))

    def forward(self, x: Tensor) -> Tensor:
        net, (N, C, T, V, M) = self.net, x.shape
        x = net.input_norm(x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.view(N, M, V, C, T).permute(0, 1, 3, 4, 2).reshape(N * M, C, T, V)
        for i, block in enumerate(net.blocks):
            s, (B, C, T, V), total = block.spatial, x.shape, None
            for k in range(3):
                one = F.conv2d(x, s.theta[k][..., None, None], s.theta_bias[k]).permute(0, 3, 1, 2).reshape(B, V, -1)
                two = F.conv2d(x, s.phi[k][..., None, None], s.phi_bias[k]).reshape(B, -1, V)
                A = (one @ two / two.shape[1]).softmax(dim=1) + net.graph[k] + s.learned[k]
                y = F.conv2d((x.reshape(B, C * T, V) @ A).view(B, C, T, V), s.mix[k][..., None, None], s.mix_bias[k])
                total = y if total is None else total + y
            y = F.relu(s.norm(total) + (x if s.shortcut is None else self.conv(s.shortcut, x)))
            y = self.conv(block.temporal, y)
            x = F.relu(y if i == 0 else y + (x if block.residual is None else self.conv(block.residual, x)))
        return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)


class DirectHCN(nn.Module):
    """HCN on (N, C, T, V), person by person."""

    def __init__(self, net: HCN) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        net, T, answers = self.net, x.shape[2], []
        for person in x.unbind(4):
            steps = F.interpolate(person[:, :, 1:] - person[:, :, :-1], size=(T, x.shape[3]), mode="bilinear")
            seen = []
            for stream, picture in ((net.joint, person), (net.motion, steps)):
                y = F.relu(F.conv2d(picture, stream.point.weight, stream.point.bias))
                y = F.conv2d(y, stream.time.weight.transpose(2, 3), stream.time.bias, padding=(1, 0)).permute(0, 3, 2, 1)
                y = F.max_pool2d(stream.first(y.contiguous()), 2)
                seen.append(F.max_pool2d(F.dropout2d(stream.second(y), net.config.dropout, self.training), 2))
            y = torch.cat(seen, dim=1)
            for conv in (net.join, net.last):
                y = F.max_pool2d(F.dropout2d(F.relu(conv(y)), net.config.dropout, self.training), 2)
            answers.append(y.flatten(1))
        return torch.stack(answers).max(dim=0).values
