"""Makes tests/golden/attribution/conductance.safetensors with Captum's LayerConductance; see common.py."""

from captum.attr import LayerConductance
from common import OTHER, ZERO, golden


def compute(layer):
    def conductance(model, x, target):
        return LayerConductance(model, model.get_submodule(layer)).attribute(x, target=target, n_steps=10)[0]

    return conductance


golden(
    "conductance",
    [
        ("squeezenet1_1", f'conductance(img, layer="fire9", steps=10, baseline={ZERO["squeezenet1_1"]}).values', compute("features.12")),
        ("resnet18", f'conductance(img, layer="layer4", steps=10, baseline={OTHER}, model=m).values', compute("layer4")),
        ("toy", 'conductance(img, layer="relu1", steps=10, baseline="black", model=m).values', compute("relu1")),
    ],
)
