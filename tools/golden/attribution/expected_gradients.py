"""Makes tests/golden/attribution/expected_gradients.safetensors with Captum's GradientShap; see common.py.

The baselines and the places are Percept's, which must be built and be on the path, or PERCEPT name it. They are read from what
it finds for the sum of an input's squares, at zeros: from the baseline b, at the place p, that is -2 (1 - p) b².
"""

from unittest import mock

import numpy as np
import torch
from captum.attr import GradientShap
from common import bounds, golden, percept_masks

SAMPLES, SEED = 6, 3
BASELINE = '["black", "white"]'


def drawn():
    """Which baselines, and which places."""
    black, white = np.array([104.0, 117.0, 123.0]), 255 - np.array([104.0, 117.0, 123.0])
    target = '|a| { (a["input"] * a["input"]).sum() }'
    before, starts, places = np.zeros(3), [], []
    for samples in range(1, SAMPLES + 1):
        options = f"baseline={BASELINE}, samples={samples}, seed={SEED}, target={target}"
        values = percept_masks(f"expected_gradients(zeros([1, 3, 32, 32]), {options}).values")
        total = samples * values[:, 0, 0].double().numpy()
        parts = [1 + (total - before) / (2 * start**2) for start in (black, white)]
        # of the right baseline all channels have the same place
        start = int(np.ptp(parts[1]) < np.ptp(parts[0]))
        assert np.ptp(parts[start]) < 1e-4 and 0 <= parts[start].mean() < 1
        starts.append(start)
        places.append(parts[start].mean())
        before = total
    return starts, places


def expected_gradients(score_of):
    def compute(model, x, target):
        starts, places = drawn()
        ends = torch.cat([bound.expand(x.shape) for bound in bounds(model)])
        with (
            mock.patch("numpy.random.choice", lambda *_: np.array(starts)),
            mock.patch("numpy.random.uniform", lambda *_: np.array(places)),
        ):
            return GradientShap(lambda x: score_of(model, x, target)).attribute(x, ends, n_samples=SAMPLES)[0]

    return compute


OPTIONS = f"baseline={BASELINE}, samples={SAMPLES}, seed={SEED}"
TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'
golden(
    "expected_gradients",
    [
        # smooth, so that nothing hangs on rounding
        (
            "squeezenet1_1",
            f"expected_gradients(img, {OPTIONS}, target={TARGET}).values",
            expected_gradients(lambda model, x, _: model.features[0](x).square().mean((1, 2, 3))),
        ),
        (
            "toy",
            f"expected_gradients(img, {OPTIONS}, model=m).values",
            expected_gradients(lambda model, x, target: model(x)[:, target]),
        ),
    ],
)
