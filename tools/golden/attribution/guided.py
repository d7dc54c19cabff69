"""Makes tests/golden/attribution/{guided_backprop,deconvnet,guided_grad_cam}.safetensors with Captum; see common.py.

Captum's rules act on ReLU and not on ReLU6, which here becomes a ReLU and min(x, 6). The deconvnet's rule does not ask for a
rectifier's input, so min(x, 6) stops nothing there.
"""

from captum.attr import Deconvolution, GuidedBackprop, GuidedGradCam
from common import PART_CODE, golden, of_part
from explicit import explicit, with_plain_relus


def guided(model, x, target):
    model = with_plain_relus(explicit(model))
    return GuidedBackprop(model).attribute(x.requires_grad_(), target=target)[0]


def deconvolution(model, x, target):
    model = with_plain_relus(explicit(model), passing=True)
    return Deconvolution(model).attribute(x.requires_grad_(), target=target)[0]


def guided_grad_cam(layer):
    def compute(model, x, target):
        model = with_plain_relus(explicit(model))
        # Captum enlarges by repeating pixels if not told to do as the paper
        method = GuidedGradCam(model, model.get_submodule(layer))
        return method.attribute(x.requires_grad_(), target=target, interpolate_mode="bilinear")[0]

    return compute


OTHERS = ("resnet18", "mobilenet_v2", "densenet121")
golden(
    "guided_backprop",
    [
        ("squeezenet1_1", "guided_backprop(img).values", guided),
        ("squeezenet1_1", 'guided_backprop(img, class="koala").values', lambda model, x, _: guided(model, x, 105)),
        *((name, "guided_backprop(img, model=m).values", guided) for name in OTHERS),
        ("vgg16_bn", f"guided_backprop({PART_CODE}, model=m).values", of_part(guided)),
        ("toy", "guided_backprop(img, model=m).values", guided),
    ],
)
golden(
    "deconvnet",
    [
        ("squeezenet1_1", "deconvnet(img).values", deconvolution),
        *((name, "deconvnet(img, model=m).values", deconvolution) for name in OTHERS),
        ("vgg16_bn", f"deconvnet({PART_CODE}, model=m).values", of_part(deconvolution)),
        ("toy", "deconvnet(img, model=m).values", deconvolution),
    ],
)
golden(
    "guided_grad_cam",
    [
        ("squeezenet1_1", 'guided_grad_cam(img, layer="fire9").values', guided_grad_cam("features.12")),
        ("resnet18", "guided_grad_cam(img, model=m).values", guided_grad_cam("layer4.1.relu2")),
        (
            "vgg16_bn",
            f'guided_grad_cam({PART_CODE}, model=m, layer="features.42").values',
            of_part(guided_grad_cam("features.42")),
        ),
        ("toy", 'guided_grad_cam(img, layer="relu1", model=m).values', guided_grad_cam("relu1")),
    ],
)
