"""Makes tests/golden/attribution/sobol.safetensors: total Sobol' indices as Jansen estimates them; see common.py.

The masks are Percept's (`sobol_masks`), which must be built and be on the path, or PERCEPT name it. They are enlarged with
PyTorch's "nearest-exact", which takes the cell that a pixel's centre lies in, as xplique does, and what is hidden is 0.
"""

import torch
from common import golden, percept_masks

SAMPLES = 6


def sobol(cells):
    def compute(model, x, target):
        masks = percept_masks(f"sobol_masks(cells={cells}, samples={SAMPLES}, seed=3)")
        large = torch.nn.functional.interpolate(masks[:, None], size=x.shape[2:], mode="nearest-exact")
        with torch.no_grad():
            scores = torch.cat([model(x * mask[None])[:, target] for mask in large]).double()
        designs = scores.reshape(SAMPLES, cells * cells + 1)
        first, others = designs[:, :1], designs[:, 1:]
        indices = ((first - others) ** 2).mean(0) / (2 * first.var())
        return indices.reshape(1, cells, cells)

    return compute


golden(
    "sobol",
    [
        ("squeezenet1_1", f"sobol(img, cells=5, samples={SAMPLES}, seed=3).values", sobol(5)),
        ("resnet18", f"sobol(img, cells=4, samples={SAMPLES}, seed=3, model=m).values", sobol(4)),
        ("toy", f"sobol(img, cells=3, samples={SAMPLES}, seed=3, model=m).values", sobol(3)),
    ],
)
