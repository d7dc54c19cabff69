"""Makes tests/golden/attribution/blur_ig.safetensors from the definition: trapezoids along the path of scipy's blurred
images, mirrored at their edges and cut off at three standard deviations; see common.py.

    pip install scipy
"""

import math

import numpy as np
import torch
from common import golden
from scipy import ndimage

STEPS, SIGMA = 3, 9.0
TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'
CODE = f"blur_ig(img, steps={STEPS}, sigma={SIGMA}, target={TARGET}).values"


def blurred(x, sigma):
    if sigma == 0:
        return x
    radius = math.ceil(3 * sigma)
    for axis in (2, 3):
        x = ndimage.gaussian_filter1d(x, sigma, axis=axis, mode="mirror", radius=radius)
    return x


def compute(model, x, target):
    total, before = np.zeros(x.shape), None
    for step in range(STEPS + 1):
        point = blurred(x.numpy().astype(np.float64), SIGMA * step / STEPS)
        at = torch.from_numpy(point).to(x.dtype).requires_grad_(True)
        # smooth, so that nothing hangs on rounding
        model.features[0](at).square().mean().backward()
        gradient = at.grad.numpy().astype(np.float64)
        if before is not None:
            total += 0.5 * (before[0] + gradient) * (before[1] - point)
        before = (gradient, point)
    return torch.from_numpy(total)[0]


golden("blur_ig", [("squeezenet1_1", CODE, compute)])
