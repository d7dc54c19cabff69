"""Makes tests/golden/attribution/occlusion.safetensors with Captum's Occlusion; see common.py.

Captum leaves the last pixels uncovered where a stride does not divide the image, so the windows here do.
"""

from captum.attr import Occlusion
from common import golden


def occlusion(window, stride):
    def compute(model, x, target):
        channels = x.shape[1]
        occluded = Occlusion(model).attribute(
            x, target=target, sliding_window_shapes=(channels, *window), strides=(channels, *stride), baselines=0, show_progress=False
        )
        # Captum gives each channel the same value
        return occluded[0, :1]

    return compute


# the mean colour of the weights, which is 0 in the network's input
CAFFE = "[123 / 255.0, 117 / 255.0, 104 / 255.0]"
IMAGENET = "[0.485, 0.456, 0.406]"
golden(
    "occlusion",
    [
        (
            "squeezenet1_1",
            f"occlusion(img, window=[77, 27], stride=[50, 25], baseline={CAFFE}).values",
            occlusion((77, 27), (50, 25)),
        ),
        (
            "resnet18",
            f"occlusion(img, window=64, stride=32, baseline={IMAGENET}, model=m).values",
            occlusion((64, 64), (32, 32)),
        ),
        ("toy", 'occlusion(img, window=2, stride=1, baseline="black", model=m).values', occlusion((2, 2), (1, 1))),
    ],
)
