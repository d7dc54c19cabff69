"""Makes tests/golden/attribution/networks.safetensors: methods on the networks that their own scripts leave out; see common.py.

    PERCEPT=path/to/percept python tools/golden/attribution/networks.py

The references are those of the methods' scripts. Gradients down to the image are taken on a part of it where they do not hang
on rounding, and everything in double precision.
"""

import copy

import captum.attr._core.deep_lift as captum_deep_lift
import common
import torch
from captum.attr import IntegratedGradients, NeuronDeepLift
from explicit import explicit
from torch import nn

# a script writes its golden when it is imported; here only the functions are wanted
golden, common.golden = common.golden, lambda *_, **__: None
from ablation_cam import compute as ablation_cam  # noqa: E402
from conductance import compute as conductance  # noqa: E402
from eigen_cam import compute as eigen_cam  # noqa: E402
from grad_cam import grad_cam  # noqa: E402
from guided import guided_grad_cam  # noqa: E402
from internal_influence import compute as internal_influence  # noqa: E402
from lrp import named as lrp  # noqa: E402
from saliency import saliency  # noqa: E402
from score_cam import compute as score_cam  # noqa: E402

# of each network's part the upper left corner and the side
PARTS = {"resnet18": (20, 80, 64), "vgg16_bn": (130, 60, 40), "mobilenet_v2": (40, 20, 64), "densenet121": (140, 20, 64)}
SAMPLES, NOISE = 2, 0.1
# seeds whose noise keeps away from kinks
SEEDS = {"resnet18": 9, "vgg16_bn": 7, "mobilenet_v2": 9, "densenet121": 1}
# steps of a path from the part moved to the side that do so
STEPS = {"resnet18": 5, "vgg16_bn": 8, "mobilenet_v2": 5, "densenet121": 3}


def whole(network, code, compute):
    return network, code.replace("IMG", "img"), compute


def part(network, code, compute):
    """For a network's part of the image, and the class that it is taken for."""
    top, left, side = PARTS[network]

    def of_part(model, x, _):
        x = x[:, :, top : top + side, left : left + side].contiguous()
        with torch.no_grad():
            best = int(model(x).argmax())
        # hooks stay
        return compute(copy.deepcopy(model), x, best)

    places = f"{top}..{top + side}, {left}..{left + side}"
    return network, code.replace("IMG", f"m.prepare(img)[[0..1, 0..3, {places}]]"), of_part


def of_explicit(compute):
    """DenseNet's last ReLU writes into what it reads."""
    return lambda model, x, target: compute(explicit(model), x, target)


def smooth_grad(seed):
    def compute(model, x, target):
        deviation, mean = NOISE * (x.max() - x.min()), 0
        for i in range(SAMPLES):
            noise = common.percept_masks(f"randn({list(x.shape[1:])}, seed={seed + i})")
            at = (x + deviation * noise.to(x.dtype)).requires_grad_()
            mean = mean + torch.autograd.grad(model(at)[0, target], at)[0][0] / SAMPLES
        return mean

    return compute


def full_grad(model, x, target):
    """As full_grad.py, where what ReLU6 adds to its slope times its input is one more bias; every bias of MobileNet-V2 but its
    last layer's is a batch-norm's."""
    model, added, values = explicit(model).double(), [], []

    def keep(module, inputs, value):
        if isinstance(module, nn.BatchNorm2d):
            scale = module.weight / (module.running_var + module.eps).sqrt()
            added.append((module.bias - module.running_mean * scale).detach().view(1, -1, 1, 1))
        else:
            added.append(6.0 * (inputs[0].detach() > 6))
        value.retain_grad()
        values.append(value)

    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.ReLU6)):
            module.register_forward_hook(keep)
    x = x.double().requires_grad_()
    score = model(x)[0, target]
    score.backward()
    parts = [x.grad * x.detach()] + [value.grad * bias for value, bias in zip(values, added)]
    off = (sum(part.sum() for part in parts) + model.classifier[1].bias[target] - score).item()
    print(f"full_grad: off by {off:.2g} of {score:.6g}")
    assert abs(off) < 1e-6 * abs(score.item()), "the parts are not the score"
    total = 0
    for size in map(torch.abs, parts):
        size = (size - size.min()) / (size.max() - size.min() + 1e-5)
        total = total + nn.functional.interpolate(size, x.shape[2:], mode="bilinear").sum(1)
    return total


def integrated_gradients(steps):
    def compute(model, x, target):
        return IntegratedGradients(model).attribute(x, torch.roll(x, 7, dims=3), target=target, n_steps=steps)[0]

    return compute


def neuron_deep_lift(model, x, _):
    """MobileNet-V2 has no max-pooling, with which Captum's contributions would not be complete; see deep_lift.py."""
    captum_deep_lift.SUPPORTED_NON_LINEAR[nn.ReLU6] = captum_deep_lift.nonlinear
    method = NeuronDeepLift(explicit(model), model.features[6])
    return method.attribute(x, NEURON, baselines=torch.roll(x, 7, dims=3))[0].detach()


def rolled(network):
    """The part of the image, moved to the side; the network sees the middle of the image."""
    top, left, side = PARTS[network]
    return f"img.crop({left + 16}, {top + 16}, {side}, {side}).to_tensor().roll([0, 7]).to_image()"


OTHERS = ("vgg16_bn", "mobilenet_v2", "densenet121")
CAMS = {"vgg16_bn": "features.42", "mobilenet_v2": "features.18", "densenet121": "features.norm5"}
# layers with few channels
FEW = {"resnet18": "layer1", "vgg16_bn": "features.5", "mobilenet_v2": "features.1", "densenet121": "features.pool0"}
MIDDLE = {"vgg16_bn": "features.22", "mobilenet_v2": "features.13", "densenet121": "features.denseblock3"}
# of a layer of MobileNet-V2 a channel and a place
NEURON = (9, 3, 4)
UNIT = 'neuron("features.6", {}, y={}, x={})'.format(*NEURON)
PATH = f"steps=10, baseline={common.OTHER}, model=m"
CASES = [
    *(whole(name, "grad_cam(IMG, model=m).values", of_explicit(grad_cam(CAMS[name]))) for name in OTHERS),
    *(part(name, "saliency(IMG, model=m).values", saliency) for name in OTHERS),
    *(
        part(name, f'guided_grad_cam(IMG, layer="{layer}", model=m).values', guided_grad_cam(layer))
        for name, layer in MIDDLE.items()
        if name != "vgg16_bn"
    ),
    part("mobilenet_v2", "full_grad(IMG, model=m).values", full_grad),
    *(whole(name, "eigen_cam(IMG, model=m).values", of_explicit(eigen_cam(CAMS[name]))) for name in OTHERS),
    *(part(name, f'score_cam(IMG, layer="{layer}", model=m).values', score_cam(layer)) for name, layer in FEW.items()),
    *(part(name, f'ablation_cam(IMG, layer="{layer}", model=m).values', ablation_cam(layer)) for name, layer in FEW.items()),
    *(
        part(name, f"smooth_grad(IMG, samples={SAMPLES}, noise={NOISE}, seed={seed}, model=m).values", smooth_grad(seed))
        for name, seed in SEEDS.items()
    ),
    *(
        part(
            name,
            f"integrated_gradients(IMG, steps={steps}, tolerance=1, baseline={rolled(name)}, model=m).values",
            integrated_gradients(steps),
        )
        for name, steps in STEPS.items()
    ),
    part(
        "mobilenet_v2",
        f"deep_lift(IMG, baseline={rolled('mobilenet_v2')}, target={UNIT}, model=m).values",
        neuron_deep_lift,
    ),
    *(
        part(name, f'{function}(IMG, layer="{layer}", {PATH}).values', compute(layer))
        for function, compute in (("conductance", conductance), ("internal_influence", internal_influence))
        for name, layer in MIDDLE.items()
    ),
    *(
        part(name, f'lrp(IMG, composite="{composite}", model=m).values', lrp(composite))
        for name, composites in (
            ("vgg16_bn", ("EpsilonPlus", "EpsilonAlpha2Beta1")),
            ("mobilenet_v2", ("EpsilonPlus", "EpsilonGammaBox")),
            ("densenet121", ("EpsilonPlus", "EpsilonAlpha2Beta1")),
        )
        for composite in composites
    ),
]
golden("networks", CASES, conditioned=tuple(PARTS))
