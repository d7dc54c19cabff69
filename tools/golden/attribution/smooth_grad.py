"""Makes tests/golden/attribution/smooth_grad.safetensors with the statistics of Captum's NoiseTunnel; see common.py.

    PERCEPT=path/to/percept python tools/golden/attribution/smooth_grad.py

The noise is Percept's own, which `randn` gives.
"""

import os
import subprocess
import tempfile

import numpy as np
import torch
from common import golden

SEED = 9


def noise(shape, samples):
    with tempfile.TemporaryDirectory() as folder:
        code = "; ".join(
            f'randn({list(shape)}, seed={SEED + i}).save("{folder}/{i}.npy")' for i in range(samples)
        )
        subprocess.run([os.environ["PERCEPT"], "eval", code], check=True)
        return [torch.from_numpy(np.load(f"{folder}/{i}.npy")) for i in range(samples)]


def compute(statistic, samples, level):
    def smooth_grad(model, x, target):
        deviation = level * (x.max() - x.min())
        gradients = []
        for sample in noise(x.shape[1:], samples):
            at = (x + deviation * sample.to(x.dtype)).requires_grad_(True)
            model(at)[0, target].backward()
            gradients.append(at.grad[0])
        return statistic(torch.stack(gradients).double())

    return smooth_grad


STATISTICS = {
    "mean": lambda g: g.mean(0),
    "square": lambda g: (g**2).mean(0),
    "variance": lambda g: (g**2).mean(0) - g.mean(0) ** 2,
}
golden(
    "smooth_grad",
    [
        (
            network,
            f'smooth_grad(img, samples={samples}, noise={level}, seed={SEED}, statistic="{name}"{model}).values',
            compute(statistic, samples, level),
        )
        # of the toy little noise changes no gradient
        for network, model, samples, level in (("squeezenet1_1", "", 2, 0.1), ("toy", ", model=m", 8, 0.5))
        for name, statistic in STATISTICS.items()
    ],
    conditioned=["squeezenet1_1"],
)
