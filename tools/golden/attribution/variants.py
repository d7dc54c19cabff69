"""Makes tests/golden/attribution/variants.safetensors: what methods do with their options, and targets that are no class; see
common.py.

    PERCEPT=path/to/percept python tools/golden/attribution/variants.py

The references are formulas of papers, and Captum, zennit and PAIR's saliency package where they have the same. Classes are
mostly explained on a part of the image, where gradients do not hang on rounding.
"""

import copy
import sys

# beside this file there is another saliency.py
here = sys.path.pop(0)
from saliency.core.guided_ig import guided_ig_impl  # noqa: E402

sys.path.insert(0, here)
import common  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import ttach  # noqa: E402
from captum.attr import (  # noqa: E402
    IntegratedGradients,
    InternalInfluence,
    LayerConductance,
    LayerGradCam,
    NeuronDeconvolution,
    NeuronGradient,
    NeuronGuidedBackprop,
    NeuronIntegratedGradients,
)
from common import ZERO, gradients, percept_masks, pytorch_grad_cam  # noqa: E402
from draws import Draws  # noqa: E402
from pytorch_grad_cam import GradCAMPlusPlus  # noqa: E402
from torch.nn import functional as F  # noqa: E402

# a script writes its golden when it is imported; here only the functions are wanted
golden, common.golden = common.golden, lambda *_, **__: None
from blur_ig import STEPS, blur_ig  # noqa: E402
from deep_lift import Rescaled, rescaled  # noqa: E402
from lrp import NAMES  # noqa: E402
from zennit.composites import COMPOSITES  # noqa: E402

# the package is older than this name of an argument
quantile = np.quantile
np.quantile = lambda values, part, interpolation: quantile(values, part, method=interpolation)

NETWORK = "squeezenet1_1"
LAYERS = {f"fire{i}": f"features.{place}" for i, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12))}
TOP, LEFT, SIDE = 115, 80, 40
PART = f"m.prepare(img)[[0..1, 0..3, {TOP}..{TOP + SIDE}, {LEFT}..{LEFT + SIDE}]]"
# a baseline that is nowhere the image itself, and on which no window of a pooling has one colour
MOVED = "(img.to_tensor().roll([0, 7]) * 0.7137 + 0.1).to_image()"
MOVED_PART = MOVED.replace("img", f"img.crop({LEFT}, {TOP}, {SIDE}, {SIDE})")
MEAN = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
# smooth, so that nothing hangs on rounding
SMOOTH = '|a| { (a["conv1"] * a["conv1"]).mean() }'
NEURON = ("fire5", 142, 13, 20)
TARGET = 'neuron("{}", {}, y={}, x={})'.format(*NEURON)


def whole(code, compute):
    # hooks stay
    on_copy = lambda model, x, target: compute(copy.deepcopy(model), x, target)  # noqa: E731
    return NETWORK, code.replace("IMG", "img").replace("MOVED", MOVED), on_copy


def part(code, compute):
    """For a part of the image, and the class that it is taken for."""

    def of_part(model, x, _):
        x = x[:, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE].contiguous()
        with torch.no_grad():
            best = int(model(x).argmax())
        return compute(copy.deepcopy(model), x, best)

    return NETWORK, code.replace("IMG", PART).replace("MOVED", MOVED_PART), of_part


def smooth_score(model, x):
    return model.features[0](x).square().mean((1, 2, 3))


def gradient(score, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(score(x).sum(), x)[0]


def moved(x):
    mean = MEAN.to(x.dtype)
    return (torch.roll(x, 7, dims=3) + mean) * 0.7137 + 25.5 - mean


def color(red, green, blue):
    return lambda x: (255 * torch.tensor([blue, green, red]).view(1, 3, 1, 1) - MEAN).to(x.dtype).expand(x.shape)


def noise(x, seed):
    return percept_masks(f"randn({list(x.shape[1:])}, seed={seed})").to(x.dtype)[None]


def until(model, layer):
    """A network that ends behind a layer."""
    return model.features[: int(LAYERS[layer].split(".")[1]) + 1]


def behind(model, layer):
    """The rest of the network."""
    return lambda maps: model.classifier(model.features[int(LAYERS[layer].split(".")[1]) + 1 :](maps)).flatten(1)


class OfNeuron(torch.nn.Module):
    """A network whose one number is that of a unit."""

    def __init__(self, model):
        super().__init__()
        self.features = until(model, NEURON[0])

    def forward(self, x):
        _, channel, row, column = NEURON
        return self.features(x)[:, channel, row, column]


def faster_score_cam(layer, count):
    """Only the channels whose maps vary most, as github.com/tabayashi0117/Score-CAM takes them."""

    def compute(model, x, target):
        with torch.no_grad():
            maps = until(model, layer)(x)[0]
            chosen = maps.flatten(1).std(1).argsort(descending=True)[:count]
            masks = F.interpolate(maps[None, chosen], x.shape[2:], mode="bilinear")[0]
            low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
            masks = (masks - low) / (high - low)
            weights = torch.softmax(torch.cat([model(x * mask)[:, target] for mask in masks]), 0)
            return (weights[:, None, None] * maps[chosen]).sum(0, keepdim=True).relu()

    return compute


def augmented(layer, combine):
    """The mean map over pytorch-grad-cam's copies of the input. Here no map is scaled before."""
    copies = ttach.Compose([ttach.HorizontalFlip(), ttach.Multiply(factors=[0.9, 1, 1.1])])

    def compute(model, x, target):
        maps = []
        for change in copies:
            activations, slope = gradients(model, change.augment_image(x).detach(), target, LAYERS[layer])
            maps.append(change.deaugment_mask(combine(activations, slope)))
        return torch.stack(maps).mean(0)[0].relu()

    return compute


def weighted(activations, slope):
    return (slope.mean((2, 3), keepdim=True) * activations).sum(1, keepdim=True)


def by_place(activations, slope):
    return (slope.relu() * activations).sum(1, keepdim=True)


def refine_cam(layers):
    """The product of the layers' Grad-CAM++ maps, each divided by its maximum, at the size of the largest."""

    def compute(model, x, target):
        maps = [pytorch_grad_cam(GradCAMPlusPlus, LAYERS[layer])(model, x, target) for layer in layers]
        size = max((tuple(map.shape[1:]) for map in maps), key=lambda size: size[0] * size[1])
        maps = [F.interpolate(map[None], size, mode="bilinear")[0] for map in maps]
        return torch.stack([map / map.max() for map in maps]).prod(0)

    return compute


def expected_gradients(starts, samples, seed, of_class=True):
    """The mean over drawn baselines and places of the gradient times the difference."""

    def compute(model, x, target):
        baselines = [start(x) for start in starts]
        score = (lambda x: model(x)[:, target]) if of_class else (lambda x: smooth_score(model, x))
        total = 0
        for sample in range(samples):
            draws = Draws(seed, stream=sample)
            start = baselines[draws.below(len(baselines))]
            total = total + gradient(score, start + draws.number() * (x - start)) * (x - start)
        return total[0] / samples

    return compute


def guided_ig(steps, distance):
    """The path hangs on rounding where a number of the baseline is that of the image: there it has nowhere to go."""

    def compute(model, x, target):
        def slope(at):
            at = torch.from_numpy(at).to(x.dtype)
            return gradient(lambda x: model(x)[:, target], at).double().numpy()

        found = guided_ig_impl(x.numpy(), moved(x).numpy(), slope, steps=steps, max_dist=distance)
        return torch.from_numpy(found)[0]

    return compute


def integrated(steps, start=torch.zeros_like, of_class=True, rule="gausslegendre"):
    def compute(model, x, target):
        forward = (lambda x: model(x)[:, target]) if of_class else (lambda x: smooth_score(model, x))
        found = IntegratedGradients(forward).attribute(x, start(x), n_steps=steps, method=rule)[0]
        # Captum's weights of trapezoids sum to that much less than 1
        return found * steps / (steps - 1) if rule == "riemann_trapezoid" else found

    return compute


def mean_of(*computes):
    return lambda model, x, target: torch.stack([compute(model, x, target) for compute in computes]).mean(0)


class Revealed(torch.autograd.Function):
    """A convolution with its ReLU, of a batch of two, by the RevealCancel rule: every product of a weight and a difference
    is looked at by itself."""

    @staticmethod
    def forward(ctx, x, convolution):
        ctx.convolution = convolution
        ctx.save_for_backward(x)
        return convolution(x).relu()

    @staticmethod
    def backward(ctx, above):
        (x,), convolution = ctx.saved_tensors, ctx.convolution
        window = dict(kernel_size=convolution.kernel_size, padding=convolution.padding, stride=convolution.stride)
        change, before = F.unfold(x[:1] - x[1:], **window)[0], convolution(x[1:]).flatten(2)[0]
        weight, above, back = convolution.weight.flatten(1), above[:1].flatten(2)[0], torch.zeros_like(change)
        for rows in torch.arange(len(weight)).split(16):
            products = weight[rows, :, None] * change
            rises, falls = products.clamp(min=0).sum(1), products.clamp(max=0).sum(1)
            start = before[rows]

            def multiplier(own, other):
                alone = (start + own).relu() - start.relu()
                after = (start + other + own).relu() - (start + other).relu()
                return torch.where(own == 0, 0.0, (alone + after) / 2 / own) * above[rows]

            up, down = multiplier(rises, falls)[:, None], multiplier(falls, rises)[:, None]
            chosen = torch.where(products > 0, up, torch.where(products < 0, down, (up + down) / 2))
            back += (weight[rows, :, None] * chosen).sum(0)
        back = F.fold(back[None], x.shape[2:], **window)
        return torch.cat([back, torch.zeros_like(back)]), None


def reveal_cancel(model, x, target):
    pool = lambda module: lambda x: Rescaled.apply(x, module)  # noqa: E731

    def fire(module, x):
        x = Revealed.apply(x, module.squeeze)
        return torch.cat([Revealed.apply(x, module.expand1x1), Revealed.apply(x, module.expand3x3)], 1)

    def forward(x):
        for module in model.features:
            if isinstance(module, torch.nn.Conv2d):
                x = Revealed.apply(x, module)
            elif isinstance(module, torch.nn.MaxPool2d):
                x = pool(module)(x)
            elif not isinstance(module, torch.nn.ReLU):
                x = fire(module, x)
        return Revealed.apply(x, model.classifier[1]).mean((2, 3))

    start = moved(x)
    both = torch.cat([x, start]).requires_grad_()
    scores = forward(both)[:, target]
    values = torch.autograd.grad(scores[0], both)[0][0] * (x - start)[0]
    print(f"reveal-cancel: sums to {values.sum():.6g} of {scores[0] - scores[1]:.6g}")
    return values


def neuron_deep_lift(model, x, _):
    start = moved(x)
    both = torch.cat([x, start]).requires_grad_()
    scores = OfNeuron(rescaled(model))(both)
    values = torch.autograd.grad(scores[0], both)[0][0] * (x - start)[0].detach()
    print(f"DeepLIFT of a neuron: sums to {values.sum():.6g} of {scores[0] - scores[1]:.6g}")
    return values


def of_neuron(method):
    """A method of Captum for a unit, which it calls a neuron."""

    def compute(model, x, _):
        attribution = method(model, model.get_submodule(LAYERS[NEURON[0]]))
        return attribution.attribute(x.clone().requires_grad_(), neuron_selector=NEURON[1:])[0]

    return compute


def neuron_integrated(model, x, _):
    attribution = NeuronIntegratedGradients(model, model.get_submodule(LAYERS[NEURON[0]]))
    return attribution.attribute(x, neuron_selector=NEURON[1:], n_steps=8)[0]


def of_layer(method, layer, **options):
    """A method of Captum for a layer, where a unit is explained."""

    def compute(model, x, _):
        network = OfNeuron(model)
        return method(network, model.get_submodule(LAYERS[layer])).attribute(x, **options)[0]

    return compute


def smoothed(compute, samples, seed, noise_, statistic):
    """Over noisy copies of the image."""

    def of(model, x, target):
        deviation = noise_ * (x.max() - x.min())
        values = [compute(model, (x + deviation * noise(x, seed + i)).detach(), target).detach() for i in range(samples)]
        return statistic(torch.stack(values).double())

    return of


def grad_cam(layer):
    def compute(model, x, target):
        return LayerGradCam(model, model.get_submodule(LAYERS[layer])).attribute(x, target, relu_attributions=True)[0]

    return compute


def knockout(layer):
    """The drop of the score without each channel."""

    def compute(model, x, target):
        with torch.no_grad():
            maps, rest = until(model, layer)(x), behind(model, layer)
            score, drops = rest(maps)[0, target], []
            for channel in range(maps.shape[1]):
                without = maps.clone()
                without[:, channel] = 0
                drops.append(score - rest(without)[0, target])
            return torch.stack(drops)

    return compute


def by_gradient(layer):
    def compute(model, x, target):
        activations, slope = gradients(model, x, target, LAYERS[layer])
        return (activations * slope).sum((2, 3))[0]

    return compute


def relevance(layer, channels=None, through=None, composite="EpsilonPlusFlat"):
    """The relevance of a layer's channels; of that which passes through some channels of a later one, if it is given."""

    def compute(model, x, target):
        kept = {}

        def keep(_, __, output):
            kept["maps"] = output

        def only(_, __, output):
            mask = torch.zeros_like(output)
            mask[:, channels] = 1
            output.register_hook(lambda gradient: gradient * mask)

        handles = [model.get_submodule(LAYERS[layer]).register_forward_hook(keep)]
        if through:
            handles.append(model.get_submodule(LAYERS[through]).register_forward_hook(only))
        torch.set_flush_denormal(True)
        with COMPOSITES[NAMES[composite]]().context(model) as modified:
            output = modified(x.clone().requires_grad_())
            start = torch.zeros_like(output)
            start[0, target] = output[0, target].detach()
            values = torch.autograd.grad(output, kept["maps"], start)[0]
        for handle in handles:
            handle.remove()
        return values.sum((2, 3))[0]

    return compute


def neuron_lrp(model, x, _):
    composite = COMPOSITES[NAMES["EpsilonPlusFlat"]]()
    torch.set_flush_denormal(True)
    x = x.clone().requires_grad_()
    with composite.context(OfNeuron(model)) as modified:
        output = modified(x)
        return torch.autograd.grad(output, x, output.detach())[0][0]


CAFFE = ZERO[NETWORK]
BLACK, WHITE, BLUE = color(0, 0, 0), color(1, 1, 1), color(0.2, 0.5, 0.9)
CASES = [
    whole('score_cam(IMG, layer="fire5", channels=12).values', faster_score_cam("fire5", 12)),
    part('score_cam(IMG, layer="fire9", channels=40).values', faster_score_cam("fire9", 40)),
    whole("grad_cam(IMG, augment=true).values", augmented("fire9", weighted)),
    whole('grad_cam(IMG, layer="fire7", augment=true).values', augmented("fire7", weighted)),
    whole("layer_cam(IMG, augment=true).values", augmented("fire9", by_place)),
    whole('layer_cam(IMG, layer="fire7", augment=true).values', augmented("fire7", by_place)),
    whole('refine_cam(IMG, layers=["fire4", "fire7", "fire9"]).values', refine_cam(["fire4", "fire7", "fire9"])),
    whole('refine_cam(IMG, layers=["fire5", "fire6"]).values', refine_cam(["fire5", "fire6"])),
    part(
        'expected_gradients(IMG, baseline=["black", [0.2, 0.5, 0.9], MOVED], samples=6, seed=3).values',
        expected_gradients([BLACK, BLUE, moved], 6, 3),
    ),
    whole(
        f"expected_gradients(IMG, baseline=[MOVED, {CAFFE}], samples=5, seed=8, target={SMOOTH}).values",
        expected_gradients([moved, torch.zeros_like], 5, 8, of_class=False),
    ),
    part(f"guided_ig(IMG, steps=4, max_distance=0.1, baseline=MOVED).values", guided_ig(4, 0.1)),
    part(f"blur_ig(IMG, steps={STEPS}, sigma=6.0).values", blur_ig(6.0, lambda model, x, target: model(x)[0, target])),
    part(f"integrated_gradients(IMG, steps=20, tolerance=1, baseline={CAFFE}).values", integrated(20)),
    part(
        'integrated_gradients(IMG, steps=4, tolerance=1, rule="trapezoid", baseline=MOVED).values',
        integrated(4, moved, rule="riemann_trapezoid"),
    ),
    part(
        'integrated_gradients(IMG, steps=5, tolerance=1, baseline=["black", "white"]).values',
        mean_of(integrated(5, BLACK), integrated(5, WHITE)),
    ),
    whole(
        f"integrated_gradients(IMG, steps=12, baseline=MOVED, target={SMOOTH}).values", integrated(12, moved, of_class=False)
    ),
    part('deep_lift(IMG, rule="reveal-cancel", baseline=MOVED).values', reveal_cancel),
    whole(f"saliency(IMG, target={TARGET}).values", of_neuron(NeuronGradient)),
    whole(f"guided_backprop(IMG, target={TARGET}).values", of_neuron(NeuronGuidedBackprop)),
    whole(f"deconvnet(IMG, target={TARGET}).values", of_neuron(NeuronDeconvolution)),
    whole(
        f"integrated_gradients(IMG, steps=8, tolerance=1, baseline={CAFFE}, target={TARGET}).values", neuron_integrated
    ),
    whole(f"deep_lift(IMG, baseline=MOVED, target={TARGET}).values", neuron_deep_lift),
    whole(f"lrp(IMG, target={TARGET}).values", neuron_lrp),
    whole(
        f'conductance(IMG, layer="fire3", steps=6, baseline={CAFFE}, target={TARGET}).values',
        of_layer(LayerConductance, "fire3", n_steps=6),
    ),
    whole(
        f'internal_influence(IMG, layer="fire3", steps=8, baseline={CAFFE}, target={TARGET}).values',
        of_layer(InternalInfluence, "fire3", n_steps=8),
    ),
    whole(
        "smooth(grad_cam, IMG, samples=3, noise=0.1, seed=5).values",
        smoothed(grad_cam("fire9"), 3, 5, 0.1, lambda values: values.mean(0)),
    ),
    whole(
        f"smooth(|image| integrated_gradients(image, steps=4, tolerance=1, baseline={CAFFE}, target={SMOOTH}), IMG, "
        'samples=2, noise=0.2, seed=5, statistic="square").values',
        smoothed(integrated(4, of_class=False), 2, 5, 0.2, lambda values: values.square().mean(0)),
    ),
    whole('knockout(IMG, "fire6").values', knockout("fire6")),
    whole('channel_attribution(IMG, "fire6").values', relevance("fire6")),
    whole(
        'channel_attribution(IMG, "fire4", composite="EpsilonAlpha2Beta1").values',
        relevance("fire4", composite="EpsilonAlpha2Beta1"),
    ),
    whole('channel_attribution(IMG, "fire6", by="gradient").values', by_gradient("fire6")),
    part('channel_attribution(IMG, "fire8", by="ablation").values', knockout("fire8")),
    whole('layer_to_layer(IMG, "fire6", [12, 333], "fire4").values', relevance("fire4", [12, 333], "fire6")),
    whole('layer_to_layer(IMG, "fire9", 488, "fire8").values', relevance("fire8", [488], "fire9")),
]
golden("variants", CASES, conditioned=[NETWORK])
