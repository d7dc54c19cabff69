"""Makes tests/golden/attribution/deep_lift.safetensors with Captum's DeepLift; see common.py.

Where windows of a max-pooling overlap, several of them can have their maximum at one pixel. Captum hands back what only one
of them contributes (max_unpool2d writes, it does not add up), so that its contributions do not sum to the difference of the
scores; here they are added up. ReLU6 is no function Captum knows, so it is added to those it does.
"""

import captum.attr._core.deep_lift as captum_deep_lift
import torch
from captum.attr import DeepLift
from common import golden
from explicit import explicit
from torch import nn


def unpool(values, indices, _kernel, _stride, _padding, size):
    flat = torch.zeros(size[0], size[1], size[2] * size[3], dtype=values.dtype)
    flat.scatter_add_(2, indices.flatten(2), values.flatten(2))
    return flat.view(size)


def max_pool(module, inputs, outputs, grad_input, grad_output, eps=1e-10):
    pool = torch.nn.functional.max_pool2d
    return captum_deep_lift.maxpool(module, pool, unpool, inputs, outputs, grad_input, grad_output, eps)


captum_deep_lift.SUPPORTED_NON_LINEAR[nn.MaxPool2d] = max_pool
captum_deep_lift.SUPPORTED_NON_LINEAR[nn.ReLU6] = captum_deep_lift.nonlinear


def baseline(model, x, color):
    if type(model).__name__ == "SqueezeNet":
        mean, std, white = torch.tensor([104.0, 117.0, 123.0]), torch.ones(3), 255
    else:
        mean, std, white = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]), 1
    return ((white * color - mean) / std).view(1, 3, 1, 1).expand_as(x).contiguous()


def deep_lift(color):
    def compute(model, x, target):
        model = explicit(model)
        start = baseline(model, x, color)
        values, delta = DeepLift(model).attribute(x, start, target=target, return_convergence_delta=True)
        print(f"{type(model).__name__}: sums to {values.sum():.6g}, off by {delta.item():.2g}")
        return values[0]

    return compute


OTHERS = ("resnet18", "vgg16_bn", "mobilenet_v2", "densenet121")
golden(
    "deep_lift",
    [
        ("squeezenet1_1", "deep_lift(img).values", deep_lift(0)),
        ("squeezenet1_1", 'deep_lift(img, baseline="white").values', deep_lift(1)),
        *((name, "deep_lift(img, model=m).values", deep_lift(0)) for name in OTHERS),
    ],
)
