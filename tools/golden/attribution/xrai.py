"""Makes tests/golden/attribution/xrai.safetensors with the authors' code (PyPI `saliency`); see common.py and pieces.py.

    pip install saliency scikit-image

The authors' code resizes images to 224 × 224 before it segments them; here the segmentations are made at the image's own
size, with their scales and sizes multiplied by its area, and what they grow by with its side. The integrated gradients are
Captum's. On the toy, where a region is a pixel, each pixel has its own density.

SqueezeNet's gradients on the line hang on rounding: PyTorch's integrals in single and in double precision differ by up to 9 %
of the greatest at single pixels for some numbers of steps, by 1.5 % for 6, which is taken; means over regions by far less.
"""

import sys

import numpy as np
import torch

# the script beside this one has the name of the authors' package
here = sys.path.pop(0)
import saliency.core as saliency  # noqa: E402
from captum.attr import IntegratedGradients  # noqa: E402
from saliency.core.xrai import XRAI  # noqa: E402

sys.path.insert(0, here)
from common import golden  # noqa: E402
from pieces import pixels  # noqa: E402
from skimage.morphology import dilation, disk  # noqa: E402
from skimage.segmentation import felzenszwalb  # noqa: E402


def segments(image):
    ratio = image.shape[0] * image.shape[1] / 224**2
    grown = disk(round(5 * ratio**0.5))
    scaled = (image - image.min()) / (image.max() - image.min()) * 2 - 1
    found = []
    for scale in [50, 100, 150, 250, 500, 1200]:
        labels = felzenszwalb(scaled, scale=scale * ratio, sigma=0.8, min_size=max(1, round(150 * ratio)))
        found += [dilation(labels == label, footprint=grown) for label in range(labels.max() + 1)]
    return found


def xrai(steps):
    def compute(model, x, target):
        image = pixels(x).astype(np.float32)
        channels = 3
        if x.shape[1] == 1:
            to_input, channels = lambda grey: 15 * grey, 1
        elif x.abs().max() > 10:
            to_input = lambda rgb: (rgb * 255).flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)
        else:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            to_input = lambda rgb: (rgb - mean.view(3, 1, 1)) / std.view(3, 1, 1)

        # gradients are integrated over the picture, from its darkest and from its brightest value
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None, :channels]
        gradients = IntegratedGradients(lambda rgb: model(to_input(rgb)))
        integrated = [
            gradients.attribute(rgb, baselines=float(light), target=target, n_steps=steps, method="gausslegendre")
            for light in [image.min(), image.max()]
        ]
        attribution = sum(integrated)[0].permute(1, 2, 0).double().numpy() / 2
        parameters = saliency.XRAIParameters()
        parameters.experimental_params["min_pixel_diff"] = max(
            1, round(50 * image.shape[0] * image.shape[1] / 224**2)
        )
        found = XRAI().GetMask(
            image[..., :channels],
            None,
            segments=segments(image.astype(np.float64)),
            base_attribution=attribution,
            extra_parameters=parameters,
        )
        return torch.from_numpy(found)[None]

    return compute


golden(
    "xrai",
    [
        ("squeezenet1_1", "xrai(img, steps=6).values", xrai(6)),
        ("resnet18", "xrai(img, steps=20, model=m).values", xrai(20)),
        ("toy", "xrai(img, steps=20, model=m).values", xrai(20)),
    ],
)
