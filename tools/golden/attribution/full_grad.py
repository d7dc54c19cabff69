"""Makes tests/golden/attribution/full_grad.safetensors from the formula of the paper; see common.py.

Srinivas and Fleuret, 2019, equations 3 to 6: the gradient times the input, and the gradient at each convolution times its
bias, with batch-norm folded in; each is scaled to 0 to 1 by its magnitude, enlarged bilinearly and added up. The sum of all
of them, before that, must be the score.
"""

import torch
from common import PART_CODE, golden, of_part
from explicit import explicit, merged_pairs
from torch import nn


def full_grad(model, x, target):
    model = explicit(model).double()
    behind = dict(merged_pairs(model))
    modules = dict(model.named_modules())
    biases, values = [], []

    def keep(bias):
        def hook(_module, _input, value):
            value.retain_grad()
            biases.append(bias)
            values.append(value)

        return hook

    for name, module in modules.items():
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.register_forward_hook(keep(module.bias.detach()))
        if isinstance(module, nn.Conv2d):
            bias = torch.zeros(module.out_channels) if module.bias is None else module.bias.detach()
            if name in behind:
                norm = modules[behind[name]]
                scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
                norm.register_forward_hook(keep((bias - norm.running_mean) * scale + norm.bias.detach()))
            elif module.bias is not None:
                module.register_forward_hook(keep(bias))
        if isinstance(module, nn.BatchNorm2d) and name not in behind.values():
            scale = (module.weight / (module.running_var + module.eps).sqrt()).detach()
            module.register_forward_hook(keep(module.bias.detach() - module.running_mean * scale))
    x = x.double().requires_grad_()
    score = model(x)[0, target]
    score.backward()
    parts = [x.grad * x.detach()]
    for bias, value in zip(biases, values):
        parts.append(value.grad * (bias if value.dim() == 2 else bias.view(1, -1, 1, 1)))
    print(f"{type(model).__name__}: {sum(part.sum() for part in parts):.9g} for a score of {score:.9g}")
    total = 0
    for part in (part for part in parts if part.dim() == 4):
        part = part.abs()
        part = (part - part.min()) / (part.max() - part.min() + 1e-5)
        total = total + nn.functional.interpolate(part, x.shape[2:], mode="bilinear").sum(1)
    return total


golden(
    "full_grad",
    [
        ("squeezenet1_1", "full_grad(img).values", full_grad),
        *((name, "full_grad(img, model=m).values", full_grad) for name in ("resnet18", "densenet121")),
        ("vgg16_bn", f"full_grad({PART_CODE}, model=m).values", of_part(full_grad)),
        ("toy", "full_grad(img, model=m).values", full_grad),
    ],
)
