"""Makes tests/golden/attribution/lrp.safetensors with zennit's composites; see common.py.

    pip install zennit

What zennit does not see in torchvision's code is made explicit (explicit.py): sums and poolings get its rule for them, and
batch-norms are merged into the convolution whose result they read. Its own canonizer for a sequence of modules would take
DenseNet's next batch-norm for the one behind a convolution.
"""

import torch
from common import bounds, golden
from explicit import explicit, merge
from zennit.composites import COMPOSITES, LayerMapComposite, MixedComposite, NameMapComposite, layer_map_base
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus

NAMES = {
    "EpsilonPlus": "epsilon_plus",
    "EpsilonPlusFlat": "epsilon_plus_flat",
    "EpsilonGammaBox": "epsilon_gamma_box",
    "EpsilonAlpha2Beta1": "epsilon_alpha2_beta1",
    "EpsilonAlpha2Beta1Flat": "epsilon_alpha2_beta1_flat",
}


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
    return mixed(model, x, target, [([convolutions[0]], WSquare()), (convolutions[1:], Epsilon(0.1))])


def mixed(model, x, target, rules):
    return run(model, x, target, MixedComposite([NameMapComposite(rules), LayerMapComposite(layer_map_base())]))


# each rule as the program writes it, at both layers of the toy
RULES = {
    "0": lambda: Epsilon(0.0),
    "epsilon 0.1": lambda: Epsilon(0.1),
    "gamma 0.25": lambda: Gamma(0.25),
    "alpha-beta 2": lambda: AlphaBeta(2.0, 1.0),
    "z+": ZPlus,
    "flat": Flat,
    "w2": WSquare,
}


def everywhere(rule):
    return lambda model, x, target: mixed(model, x, target, [(["conv1"], RULES[rule]()), (["fc1"], RULES[rule]())])


def boxed(model, x, target):
    """Pixels between their bounds at the convolution, ε behind it."""
    return mixed(model, x, target, [(["conv1"], ZBox(*bounds(model))), (["fc1"], Epsilon(1e-6))])


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
        *(("toy", f'lrp(img, model=m, composite="{name}").values', named(name)) for name in NAMES),
        *(
            ("toy", f'lrp(img, model=m, composite=#{{conv: "{rule}", dense: "{rule}"}}).values', everywhere(rule))
            for rule in RULES
        ),
        ("toy", 'lrp(img, model=m, composite=#{first: "box", dense: "epsilon"}).values', boxed),
    ],
    # where a pool averages to nearly nothing, it shares out by dividing by that
    conditioned=["densenet121"],
)
