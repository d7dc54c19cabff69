"""Makes tests/golden/attribution/kernel_shap.safetensors; see common.py and lime.py.

With Captum's KernelShap on Percept's samples, and by enumerating all subsets: the definition of Shapley values.
"""

import math

import torch
from captum.attr import KernelShap
from common import golden
from pieces import percept, slic


def kernel_shap(segments, samples):
    def compute(model, x, target):
        labels = slic(x, segments)
        count = int(labels.max()) + 1
        drawn = percept(f"kernel_shap_samples({count}, samples={samples}, seed=3)")
        ends = [torch.ones(1, count), torch.zeros(1, count)]

        def perturb(*_, **__):
            yield from (sample.long() for sample in [*ends, *drawn[:, None]])

        shap = KernelShap(model)
        shap.perturb_func = perturb
        with torch.no_grad():
            found = shap.attribute(
                x, target=target, feature_mask=labels[None, None].expand(x.shape), baselines=0, n_samples=samples + 2
            )
        return found[0, :1]

    return compute


def exact(segments):
    def compute(model, x, target):
        labels = slic(x, segments)
        count = int(labels.max()) + 1
        subsets = torch.tensor([[subset >> piece & 1 for piece in range(count)] for subset in range(2**count)])
        with torch.no_grad():
            scores = torch.cat([model(x * shown[labels])[:, target] for shown in subsets]).double()
        values = torch.zeros(count, dtype=torch.double)
        for subset in range(2**count):
            size = bin(subset).count("1")
            for piece in range(count):
                if not subset >> piece & 1:
                    weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                    values[piece] += weight * (scores[subset | 1 << piece] - scores[subset])
        return values[labels][None]

    return compute


CAFFE = "[123 / 255.0, 117 / 255.0, 104 / 255.0]"
IMAGENET = "[0.485, 0.456, 0.406]"
golden(
    "kernel_shap",
    [
        (
            "squeezenet1_1",
            f"kernel_shap(img, segments=30, samples=150, seed=3, baseline={CAFFE}).values",
            kernel_shap(30, 150),
        ),
        ("squeezenet1_1", f"kernel_shap(img, segments=8, samples=300, baseline={CAFFE}).values", exact(8)),
        (
            "resnet18",
            f"kernel_shap(img, segments=20, samples=100, seed=3, baseline={IMAGENET}, model=m).values",
            kernel_shap(20, 100),
        ),
        (
            "toy",
            'kernel_shap(img, segments=8, samples=150, seed=3, baseline="black", model=m).values',
            kernel_shap(8, 150),
        ),
        ("toy", 'kernel_shap(img, segments=4, samples=300, baseline="black", model=m).values', exact(4)),
    ],
)
