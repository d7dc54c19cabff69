"""Makes tests/golden/attribution/blur_ig.safetensors from the definition: trapezoids along the path of scipy's blurred
images, mirrored at their edges and cut off at three standard deviations; see common.py.

    pip install scipy
"""

import math

import numpy as np
import torch
from common import golden
from scipy import ndimage

STEPS = 3
TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'


def blurred(x, sigma):
    if sigma == 0:
        return x
    radius = math.ceil(3 * sigma)
    for axis in (2, 3):
        x = ndimage.gaussian_filter1d(x, sigma, axis=axis, mode="mirror", radius=radius)
    return x


def blur_ig(sigma, score_of):
    def compute(model, x, target):
        total, before = np.zeros(x.shape), None
        for step in range(STEPS + 1):
            point = blurred(x.numpy().astype(np.float64), sigma * step / STEPS)
            at = torch.from_numpy(point).to(x.dtype).requires_grad_(True)
            score_of(model, at, target).backward()
            gradient = at.grad.numpy().astype(np.float64)
            if before is not None:
                total += 0.5 * (before[0] + gradient) * (before[1] - point)
            before = (gradient, point)
        return torch.from_numpy(total)[0]

    return compute


golden(
    "blur_ig",
    [
        # smooth, so that nothing hangs on rounding
        (
            "squeezenet1_1",
            f"blur_ig(img, steps={STEPS}, sigma=9.0, target={TARGET}).values",
            blur_ig(9.0, lambda model, x, _: model.features[0](x).square().mean()),
        ),
        # more than that the blur of 4 pixels cannot be
        (
            "toy",
            f"blur_ig(img, steps={STEPS}, sigma=1.0, model=m).values",
            blur_ig(1.0, lambda model, x, target: model(x)[0, target]),
        ),
    ],
)
