"""Makes tests/golden/attribution/deep_lift.safetensors by the paper's rules, mostly rescale; see common.py.

Image and baseline run together; on the backward pass each ReLU and each max-pooling puts the quotient of both differences in
place of its derivative. Where windows of a pooling overlap, several can have their maximum at one pixel, and what they
contribute adds up. Captum's DeepLift is the reference where its contributions sum to the difference of the scores, as on
MobileNet-V2: there both must agree. Of a max-pooling behind a ReLU the ReLU's hook gets the plain gradient instead of the
pooling's multipliers (and overlapping windows overwrite each other), so its sum is off, as its convergence delta says.

The baseline is the image itself, moved to the side: on one color all pixels of a window are equal, and where their maximum is
hangs on rounding.
"""

import torch
from captum.attr import DeepLift
from common import PART_CODE, golden, of_part
from explicit import explicit
from torch import nn

NONE = 1e-10


class Rescaled(torch.autograd.Function):
    """A function of a batch of two, image and baseline, whose multipliers come from both."""

    @staticmethod
    def forward(ctx, x, function):
        ctx.function = function
        y = function(x)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, above):
        x, y = ctx.saved_tensors
        (image, start), (seen, nothing), above = x.chunk(2), y.chunk(2), above[:1]
        difference = image - start
        if image.shape == seen.shape:
            risen = (seen - nothing) * above
        else:
            # to the larger maximum by way of its place in the image, from there to the baseline's by way of its place there
            larger = torch.maximum(seen, nothing)
            risen = gradient(ctx.function, image, (larger - nothing) * above)
            risen = risen + gradient(ctx.function, start, (seen - larger) * above)
        none = difference.abs() < NONE
        plain = gradient(ctx.function, image, above)
        multipliers = torch.where(none, plain, risen / torch.where(none, torch.ones_like(difference), difference))
        return torch.cat([multipliers, torch.zeros_like(multipliers)]), None


def gradient(function, x, above):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x, above)[0]


def rescaled(model):
    for module in model.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6, nn.MaxPool2d)):
            plain = module.forward
            module.forward = lambda x, plain=plain: Rescaled.apply(x, plain)
    return model


def deep_lift(model, x, target):
    model = explicit(model)
    start = torch.roll(x, 7, dims=3)
    captums, delta = captum(model, x, start, target)
    model = rescaled(model)
    both = torch.cat([x, start]).detach().requires_grad_()
    scores = model(both)[:, target]
    values = torch.autograd.grad(scores[0], both)[0][0] * (x - start)[0].detach()
    off = float(values.double().sum() - (scores[0] - scores[1]))
    distance = float((captums - values).abs().max() / values.abs().max())
    print(f"{type(model).__name__}: sums to {values.sum():.6g}, off by {off:.2g}; Captum by {delta:.2g}, {distance:.2g} apart")
    assert abs(off) < 1e-3 * abs(float(scores[0] - scores[1])), "the contributions do not sum to the difference"
    assert distance < 1e-4 or abs(delta) > 0.01 * abs(float(scores[0] - scores[1])), "Captum is complete, and differs"
    return values


def captum(model, x, start, target):
    import captum.attr._core.deep_lift as module

    module.SUPPORTED_NON_LINEAR[nn.ReLU6] = module.nonlinear
    values, delta = DeepLift(model).attribute(x, start, target=target, return_convergence_delta=True)
    return values[0].detach(), delta.item()


def reveal_cancel(model, x, target):
    """The paper's other rule, unit by unit, for the toy: the convolution as a matrix, and each layer's ReLU behind it.

    The rise of a ReLU by what comes in positive is the mean of that before and after the negative, and the other way round.
    """
    start = torch.roll(x, 7, dims=3)
    model, x, start = model.double(), x.double(), start.double()
    units = torch.eye(x.numel()).double().view(-1, *x.shape[1:])
    bias = model.conv1(torch.zeros_like(x)).flatten().detach()
    layers = [((model.conv1(units).flatten(1) - bias).T.detach(), bias), (model.fc1.weight.detach(), model.fc1.bias.detach())]
    ends, starts = [x.flatten()], [start.flatten()]
    for weight, bias in layers:
        for read in (ends, starts):
            read.append((weight @ read[-1] + bias).relu())
    multipliers = nn.functional.one_hot(torch.tensor(target), len(ends[-1])).double()
    for (weight, bias), end, begin in reversed(list(zip(layers, ends, starts))):
        parts = weight * (end - begin)
        plus, minus, z = parts.clamp(min=0).sum(1), parts.clamp(max=0).sum(1), weight @ begin + bias
        f = torch.relu
        rise = (f(z + plus) - f(z) + f(z + minus + plus) - f(z + minus)) / 2
        fall = (f(z + minus) - f(z) + f(z + plus + minus) - f(z + plus)) / 2
        up = torch.where(plus > 0, multipliers * rise / plus, 0)[:, None]
        down = torch.where(minus < 0, multipliers * fall / minus, 0)[:, None]
        of = torch.where(parts > 0, up, torch.where(parts < 0, down, torch.where(end == begin, (up + down) / 2, 0)))
        multipliers = (weight * of).sum(0)
    values = multipliers * (ends[0] - starts[0])
    difference = ends[-1][target] - starts[-1][target]
    assert abs(values.sum() - difference) < 1e-9 * abs(difference), "the contributions do not sum to the difference"
    return values.view(x.shape[1:])


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
        ("toy", f"deep_lift(img, model=m, baseline={rolled()}).values", deep_lift),
        ("toy", f'deep_lift(img, model=m, baseline={rolled()}, rule="reveal-cancel").values', reveal_cancel),
    ],
)
