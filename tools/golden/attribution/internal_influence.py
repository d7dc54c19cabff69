"""Makes tests/golden/attribution/internal_influence.safetensors with Captum's InternalInfluence; see common.py."""

from captum.attr import InternalInfluence
from common import OTHER, ZERO, golden


def compute(layer):
    def influence(model, x, target):
        return InternalInfluence(model, model.get_submodule(layer)).attribute(x, target=target, n_steps=10)[0]

    return influence


golden(
    "internal_influence",
    [
        ("squeezenet1_1", f'internal_influence(img, layer="fire9", steps=10, baseline={ZERO["squeezenet1_1"]}).values', compute("features.12")),
        ("resnet18", f'internal_influence(img, layer="layer4", steps=10, baseline={OTHER}, model=m).values', compute("layer4")),
        ("toy", 'internal_influence(img, layer="relu1", steps=10, baseline="black", model=m).values', compute("relu1")),
    ],
)
