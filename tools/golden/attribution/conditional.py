"""Makes tests/golden/attribution/crp.safetensors with zennit-crp; see common.py.

    pip install zennit-crp
"""

import torch
from common import golden
from crp.attribution import CondAttribution
from explicit import explicit, merge
from zennit.composites import COMPOSITES


def conditional(layer, channels, name="EpsilonPlusFlat".lower()):
    def compute(model, x, target):
        torch.set_flush_denormal(True)
        model = explicit(model)
        names = {"epsilonplusflat": "epsilon_plus_flat", "epsilonalpha2beta1": "epsilon_alpha2_beta1"}
        canonizer = merge(model)
        composite = COMPOSITES[names[name]](canonizers=[canonizer])
        attribution = CondAttribution(model)
        result = attribution(x.clone().requires_grad_(), [{layer: channels, "y": [target]}], composite)
        # summed over the colours
        print(f"{type(model).__name__} {layer}: {result.heatmap.sum():.6g}")
        return result.heatmap[0]

    return compute


golden(
    "crp",
    [
        ("squeezenet1_1", 'crp(img, "fire6", [12, 333]).map', conditional("features.9", [12, 333])),
        ("squeezenet1_1", 'crp(img, "fire3", 5).map', conditional("features.4", [5])),
        (
            "squeezenet1_1",
            'crp(img, "fire8", [0, 1, 2, 3], composite="EpsilonAlpha2Beta1").map',
            conditional("features.11", [0, 1, 2, 3], "epsilonalpha2beta1"),
        ),
        ("vgg16_bn", 'crp(img, "features.32", [3, 77], model=m).map', conditional("features.32", [3, 77])),
        ("resnet18", 'crp(img, "layer2", [9], model=m).map', conditional("layer2", [9])),
        ("toy", 'crp(img, "relu1", [1], model=m).map', conditional("relu1", [1])),
    ],
)
