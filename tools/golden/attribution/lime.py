"""Makes tests/golden/attribution/lime.safetensors with Captum's Lime and scikit-learn's Ridge; see common.py.

    pip install scikit-learn scikit-image

The samples are Percept's: the program must be built (`cargo build --release`), and `percept` be on the path or PERCEPT name
it. The superpixels are scikit-image's.
"""

import torch
from captum.attr import Lime
from captum._utils.models.linear_model import SkLearnRidge
from common import golden
from pieces import percept, slic


def lime(segments, samples, cover, ridge=1.0, kernel_width=0.25):
    def compute(model, x, target):
        labels = slic(x, segments)
        count = int(labels.max()) + 1
        drawn = percept(f"lime_samples({count}, samples={samples}, seed=3)")

        def perturb(*_, **__):
            yield from (sample[None].long() for sample in drawn)

        def similarity(original, perturbed, sample, **_):
            away = 1 - (sample.double().mean()).sqrt()
            return torch.exp(-(away**2) / (2 * kernel_width**2)).float()

        lime = Lime(
            model, interpretable_model=SkLearnRidge(alpha=ridge), similarity_func=similarity, perturb_func=perturb
        )
        with torch.no_grad():
            found = lime.attribute(
                x,
                target=target,
                feature_mask=labels[None, None].expand(x.shape),
                baselines=torch.tensor(cover(x)).view(1, -1, 1, 1).expand(x.shape),
                n_samples=samples,
                perturbations_per_eval=10,
            )
        return found[0, :1]

    return compute


if __name__ == "__main__":
    golden(
        "lime",
        [
            (
                "squeezenet1_1",
                "lime(img, segments=30, samples=120, seed=3, baseline=[123 / 255.0, 117 / 255.0, 104 / 255.0]).values",
                lime(30, 120, lambda x: [0.0, 0.0, 0.0]),
            ),
            (
                "resnet18",
                "lime(img, segments=20, samples=60, seed=3, baseline=[0.485, 0.456, 0.406], ridge=0.1, "
                "kernel_width=0.5, model=m).values",
                lime(20, 60, lambda x: [0.0, 0.0, 0.0], ridge=0.1, kernel_width=0.5),
            ),
            (
                "toy",
                'lime(img, segments=4, samples=60, seed=3, baseline="black", model=m).values',
                lime(4, 60, lambda x: [0.0]),
            ),
        ],
    )
