"""Makes tests/golden/attribution/lrp.safetensors with zennit's composites; see common.py.

    pip install zennit

What zennit does not see in torchvision's code is made explicit (explicit.py): sums and poolings get its rule for them, and
batch-norms are merged into the convolution whose result they read. Its own canonizer for a sequence of modules would take
DenseNet's next batch-norm for the one behind a convolution.
"""

import torch
from common import golden
from explicit import explicit, merge
from zennit.composites import COMPOSITES, NameMapComposite
from zennit.rules import Epsilon, WSquare

NAMES = {
    "EpsilonPlus": "epsilon_plus",
    "EpsilonPlusFlat": "epsilon_plus_flat",
    "EpsilonGammaBox": "epsilon_gamma_box",
    "EpsilonAlpha2Beta1": "epsilon_alpha2_beta1",
    "EpsilonAlpha2Beta1Flat": "epsilon_alpha2_beta1_flat",
}


def bounds(model):
    if type(model).__name__ == "SqueezeNet":
        return [-torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1), 255 - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return [(0 - mean) / std, (1 - mean) / std]


def run(model, x, target, composite):
    # denormal numbers change nothing but the time
    torch.set_flush_denormal(True)
    x = x.clone().requires_grad_()
    with composite.context(model) as modified:
        out = modified(x)
        start = torch.zeros_like(out)
        start[0, target] = out[0, target].detach()
        return torch.autograd.grad(out, x, start)[0][0]


def named(name):
    def compute(model, x, target):
        model = explicit(model)
        options = dict(zip(("low", "high"), bounds(model))) if name == "EpsilonGammaBox" else {}
        canonizer = merge(model)
        relevance = run(model, x, target, COMPOSITES[NAMES[name]](canonizers=[canonizer], **options))
        print(f"{type(model).__name__} {name}: {relevance.sum():.6g}")
        return relevance

    return compute


def own(model, x, target):
    """w² at the first layer, ε = 0.1 elsewhere."""
    convolutions = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)]
    rules = [([convolutions[0]], WSquare()), (convolutions[1:], Epsilon(0.1))]
    from zennit.composites import LayerMapComposite, MixedComposite, layer_map_base

    return run(model, x, target, MixedComposite([NameMapComposite(rules), LayerMapComposite(layer_map_base())]))


golden(
    "lrp",
    [
        ("squeezenet1_1", "lrp(img).values", named("EpsilonPlusFlat")),
        *(("squeezenet1_1", f'lrp(img, composite="{name}").values', named(name)) for name in NAMES if "PlusFlat" not in name),
        ("squeezenet1_1", 'lrp(img, composite=#{first: "w2", conv: "epsilon 0.1"}).values', own),
        *(("resnet18", f'lrp(img, model=m, composite="{name}").values', named(name)) for name in NAMES),
        ("vgg16_bn", "lrp(img, model=m).values", named("EpsilonPlusFlat")),
        ("vgg16_bn", 'lrp(img, model=m, composite="EpsilonGammaBox").values', named("EpsilonGammaBox")),
        ("mobilenet_v2", "lrp(img, model=m).values", named("EpsilonPlusFlat")),
        ("mobilenet_v2", 'lrp(img, model=m, composite="EpsilonAlpha2Beta1").values', named("EpsilonAlpha2Beta1")),
        ("densenet121", "lrp(img, model=m).values", named("EpsilonPlusFlat")),
        ("densenet121", 'lrp(img, model=m, composite="EpsilonGammaBox").values', named("EpsilonGammaBox")),
    ],
    # where a pool averages to nearly nothing, it shares out by dividing by that
    conditioned=["densenet121"],
)
