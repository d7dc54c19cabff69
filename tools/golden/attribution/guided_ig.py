"""Makes tests/golden/attribution/guided_ig.safetensors with PAIR's saliency package, and prints the numbers of the unit test
of src/vis/attribution/guided_ig.rs; see common.py.

    pip install saliency

The path follows the order of the gradients, so that on a network with many inputs rounding alone changes it. Of the toy the
gradients are whole numbers, and of SqueezeNet a score is explained that is smooth; the unit test is about a function of twelve
numbers.
"""

import sys

# beside this file there is another saliency.py
here = sys.path.pop(0)
from saliency.core.guided_ig import guided_ig_impl  # noqa: E402

sys.path.insert(0, here)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from common import ZERO, golden  # noqa: E402

# the package is older than this name of an argument
quantile = np.quantile
np.quantile = lambda values, part, interpolation: quantile(values, part, method=interpolation)


def gradient(x):
    return np.sin(3 * x) + x**2 + 0.1 * np.roll(x, 1)


start = np.zeros(12)
end = np.array([np.cos(2.0 * i) + 0.1 * i for i in range(12)])
for steps, fraction, distance in [(6, 0.25, 0.1), (10, 0.5, 0.02), (5, 0.1, 1.0)]:
    result = guided_ig_impl(end, start, gradient, steps=steps, fraction=fraction, max_dist=distance)
    print(f"({steps}, {fraction}, {distance:.2f}, [{', '.join(f'{value:.9f}' for value in result)}]),")


def guided_ig(steps, score_of):
    def compute(model, x, target):
        def gradient(at):
            at = torch.from_numpy(at).to(x.dtype).requires_grad_(True)
            score_of(model, at, target).backward()
            return at.grad.double().numpy()

        return torch.from_numpy(guided_ig_impl(x.numpy(), np.zeros(x.shape), gradient, steps=steps))[0]

    return compute


TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'
golden(
    "guided_ig",
    [
        (
            "squeezenet1_1",
            f'guided_ig(img, baseline={ZERO["squeezenet1_1"]}, steps=10, target={TARGET}).values',
            guided_ig(10, lambda model, x, _: model.features[0](x).square().mean()),
        ),
        (
            "toy",
            'guided_ig(img, baseline="black", steps=30, model=m).values',
            guided_ig(30, lambda model, x, target: model(x)[0, target]),
        ),
    ],
)
