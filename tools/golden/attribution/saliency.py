"""Makes tests/golden/attribution/saliency.safetensors with Captum's Saliency; see common.py."""

from captum.attr import Saliency
from common import golden


def saliency(model, x, target):
    return Saliency(model).attribute(x.requires_grad_(), target=target, abs=False)[0]


golden(
    "saliency",
    [
        ("squeezenet1_1", "saliency(img).values", saliency),
        ("squeezenet1_1", 'saliency(img, class="koala").values', lambda model, x, _: saliency(model, x, 105)),
        ("resnet18", "saliency(img, model=m).values", saliency),
        ("toy", "saliency(img, model=m).values", saliency),
    ],
)
