"""Makes tests/golden/attribution/deep_lift.safetensors with Captum's DeepLift; see common.py.

Where windows of a max-pooling overlap, several of them can have their maximum at one pixel. Captum hands back what only one
of them contributes (max_unpool2d writes, it does not add up), so that its contributions do not sum to the difference of the
scores; here they are added up. The baseline is the image itself, moved to the side: on one color all pixels of a window are
equal, and where their maximum is hangs on rounding. ReLU6 is no function Captum knows, so it is added to those it does.
"""

import captum.attr._core.deep_lift as captum_deep_lift
import torch
from captum.attr import DeepLift
from common import PART_CODE, golden, of_part
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


def deep_lift(model, x, target):
    model = explicit(model)
    start = torch.roll(x, 7, dims=3)
    values, delta = DeepLift(model).attribute(x, start, target=target, return_convergence_delta=True)
    print(f"{type(model).__name__}: sums to {values.sum():.6g}, off by {delta.item():.2g}")
    return values[0]


def rolled(crop=""):
    return f"img{crop}.to_tensor().roll([0, 7]).to_image()"


VIEW = ".crop(16, 16, 224, 224)"
golden(
    "deep_lift",
    [
        ("squeezenet1_1", f"deep_lift(img, baseline={rolled()}).values", deep_lift),
        *(
            (name, f"deep_lift(img, model=m, baseline={rolled(VIEW)}).values", deep_lift)
            for name in ("resnet18", "mobilenet_v2", "densenet121")
        ),
        (
            "vgg16_bn",
            f"deep_lift({PART_CODE}, model=m, baseline={rolled('.crop(76, 146, 40, 40)')}).values",
            of_part(deep_lift),
        ),
    ],
)
