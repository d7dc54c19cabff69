"""Prints the numbers of the unit test of src/vis/attribution/guided_ig.rs, with PAIR's saliency package.

    pip install saliency

The path follows the order of the gradients, so on a network rounding alone changes it; the test is a function of twelve
numbers with a smooth gradient.
"""

import sys

# beside this file there is another saliency.py
here = sys.path.pop(0)
from saliency.core.guided_ig import guided_ig_impl  # noqa: E402

sys.path.insert(0, here)
import numpy as np  # noqa: E402

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
