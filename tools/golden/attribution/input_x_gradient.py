"""Makes tests/golden/attribution/input_x_gradient.safetensors with Captum's InputXGradient; see common.py."""

from captum.attr import InputXGradient
from common import LAYERS, golden


def compute(model, x, target):
    return InputXGradient(model).attribute(x.requires_grad_(True), target=target)[0]


golden("input_x_gradient", [(network, "input_x_gradient(img, model=m).values", compute) for network in LAYERS], conditioned=["vgg16_bn", "mobilenet_v2", "densenet121"])
