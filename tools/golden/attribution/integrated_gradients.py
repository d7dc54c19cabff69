"""Makes tests/golden/attribution/integrated_gradients.safetensors with Captum's IntegratedGradients; see common.py."""

from captum.attr import IntegratedGradients
from common import LAYERS, OTHER, ZERO, golden


def compute(steps):
    return lambda model, x, target: IntegratedGradients(model).attribute(x, target=target, n_steps=steps)[0]


golden(
    "integrated_gradients",
    [
        (
            network,
            f"integrated_gradients(img, baseline={ZERO.get(network, OTHER)}, steps=4, tolerance=1, model=m).values",
            compute(4),
        )
        for network in LAYERS
    ]
    + [
        (network, 'integrated_gradients(img, baseline="black", steps=50, model=m).values', compute(50))
        for network in ("toy", "two_numbers")
    ],
    conditioned=["squeezenet1_1", "resnet18", "vgg16_bn", "mobilenet_v2", "densenet121"],
)
