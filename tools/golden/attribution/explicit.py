"""What Captum and zennit need to see of torchvision's networks: every operation as a module of its own.

Both work with hooks on modules. They see no `torch.relu(x)`, no `x + y` and no pooling in a `forward`, and mix up the runs
of a module that is used twice, as the ReLU of ResNet's blocks. Here every such operation becomes a module, so that they act
on each; the networks compute what they did.
"""

import types

import torch
import torchvision
from torch import nn
from torchvision.models.densenet import DenseNet, _DenseLayer
from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2
from torchvision.models.resnet import BasicBlock
from zennit.canonizers import NamedMergeBatchNorm
from zennit.layer import Sum


def explicit(model):
    for module in model.modules():
        if isinstance(module, BasicBlock):
            module.relu2, module.sum = nn.ReLU(), Sum()
            module.forward = types.MethodType(basic_block, module)
        elif isinstance(module, InvertedResidual) and module.use_res_connect:
            module.sum = Sum()
            module.forward = types.MethodType(inverted_residual, module)
    if isinstance(model, MobileNetV2):
        model.pool = nn.AdaptiveAvgPool2d(1)
        model.forward = types.MethodType(
            lambda self, x: self.classifier(torch.flatten(self.pool(self.features(x)), 1)), model
        )
    if isinstance(model, DenseNet):
        model.last, model.pool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        model.forward = types.MethodType(
            lambda self, x: self.classifier(torch.flatten(self.pool(self.last(self.features(x))), 1)), model
        )
    return model.eval()


def basic_block(self, x):
    out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
    shortcut = x if self.downsample is None else self.downsample(x)
    return self.relu2(self.sum(torch.stack([shortcut, out], dim=-1)))


def inverted_residual(self, x):
    return self.sum(torch.stack([x, self.conv(x)], dim=-1))


def merged_pairs(model):
    """The convolutions with the batch-norm directly behind each, by name."""
    if isinstance(model, DenseNet):
        pairs = [("features.conv0", "features.norm0")]
        layers = [name for name, module in model.named_modules() if isinstance(module, _DenseLayer)]
        return pairs + [(f"{name}.conv1", f"{name}.norm2") for name in layers]
    pairs, last = [], (None, None)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and isinstance(last[1], nn.Conv2d):
            pairs.append((last[0], name))
        if not list(module.children()):
            last = (name, module)
    return pairs


class Merge(NamedMergeBatchNorm):
    """Zennit's merge leaves `eps` in a batch-norm that should do nothing, so that each makes its values 5e-6 smaller."""

    @staticmethod
    def merge_batch_norm(modules, batch_norm):
        NamedMergeBatchNorm.merge_batch_norm(modules, batch_norm)
        batch_norm.weight.data = torch.full_like(batch_norm.weight.data, (1 + batch_norm.eps) ** 0.5)


def merge(model):
    """The canonizer that merges batch-norms into the convolutions before them."""
    return Merge([([conv], norm) for conv, norm in merged_pairs(model)])


class Below(nn.Module):
    """min(x, 6), whose gradient passes as it is if `passing`."""

    def __init__(self, passing):
        super().__init__()
        self.passing = passing

    def forward(self, x):
        below = x.clamp(max=6)
        return x + (below - x).detach() if self.passing else below


def with_plain_relus(model, passing=False):
    """ReLU6 as a ReLU, on which Captum's rules act, and min(x, 6)."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.Sequential(nn.ReLU(), Below(passing)))
    return model
