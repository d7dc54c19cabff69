"""Makes tests/golden/attribution/cam.safetensors from the definition, Σ weight · map; see common.py.

The toy has no case: it does not end in a mean over all places, which the method needs, and Percept says so.
"""

import torch
from common import golden


def hooked(model, x, layer):
    kept = {}
    handle = model.get_submodule(layer).register_forward_hook(lambda _, __, output: kept.update(maps=output))
    with torch.no_grad():
        model(x)
    handle.remove()
    return kept["maps"][0]


def squeezenet(model, x, target):
    map = hooked(model, x, "classifier.2")[target : target + 1]
    return map / map.numel()


def linear(layer, head, after=lambda maps: maps):
    def cam(model, x, target):
        maps, head_ = after(hooked(model, x, layer)), model.get_submodule(head)
        map = (head_.weight[target][:, None, None] * maps).sum(0, keepdim=True) + head_.bias[target]
        return map / map.numel()

    return cam


golden(
    "cam",
    [
        ("squeezenet1_1", "cam(img).values", squeezenet),
        ("resnet18", "cam(img, model=m).values", linear("layer4", "fc")),
        ("mobilenet_v2", "cam(img, model=m).values", linear("features.18", "classifier.1")),
        ("densenet121", "cam(img, model=m).values", linear("features.norm5", "classifier", torch.relu)),
    ],
)
