"""Makes tests/golden/attribution/extremal_perturbation.safetensors with TorchRay's code; see common.py.

    pip download torchray --no-deps --no-binary :none:      # and unpack it; TORCHRAY names the folder that holds `torchray`

The masks are compared after a part of the steps: where two ascents differ by rounding, the next steps take them further apart.
"""

import os
import sys
import types

import torch
from common import golden

# its plots are not wanted
for name in ("matplotlib", "matplotlib.pyplot"):
    sys.modules.setdefault(name, types.ModuleType(name))
sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]
sys.path.insert(0, os.environ.get("TORCHRAY", "."))
from torchray.attribution import extremal_perturbation as torchray  # noqa: E402


def extremal(areas, steps, **options):
    def compute(model, x, target):
        masks, _ = torchray.extremal_perturbation(model, x, target, areas=areas, max_iter=steps, **options)
        return masks.mean(0)

    return compute


golden(
    "extremal_perturbation",
    [
        (
            "squeezenet1_1",
            "extremal_perturbation(img, areas=[0.05, 0.2], steps=8).values",
            extremal([0.05, 0.2], 8),
        ),
        (
            "squeezenet1_1",
            'extremal_perturbation(img, game="delete", perturbation="fade", steps=8).values',
            extremal([0.1], 8, variant=torchray.DELETE_VARIANT, perturbation=torchray.FADE_PERTURBATION),
        ),
        (
            "resnet18",
            'extremal_perturbation(img, game="dual", steps=8, model=m).values',
            extremal([0.1], 8, variant=torchray.DUAL_VARIANT),
        ),
        # here a mask is a single number; these are on their way between 0 and 1
        ("toy", "extremal_perturbation(img, areas=[0.1], steps=2, model=m).values", extremal([0.1], 2)),
        (
            "toy",
            'extremal_perturbation(img, areas=[0.7], game="delete", steps=3, model=m).values',
            extremal([0.7], 3, variant=torchray.DELETE_VARIANT),
        ),
        (
            "toy",
            'extremal_perturbation(img, areas=[0.5], game="dual", perturbation="fade", steps=5, model=m).values',
            extremal([0.5], 5, variant=torchray.DUAL_VARIANT, perturbation=torchray.FADE_PERTURBATION),
        ),
    ],
)
