"""Makes tests/golden/attribution/hsic.safetensors: the criterion from its definition, matrix by matrix; see common.py.

The masks are Percept's (`hsic_masks`), which must be built and be on the path, or PERCEPT name it. The kernels are the
paper's: of a cell 1 + ½ where two masks agree, else 1 − ½; of the score a Gaussian as wide as the median score.
"""

import torch
from common import golden, percept_masks

SAMPLES = 90


def hsic(cells):
    def compute(model, x, target):
        masks = percept_masks(f"hsic_masks(cells={cells}, samples={SAMPLES}, seed=3)")
        # the cell in which a pixel's middle lies; of the middle row of 227 "nearest-exact" takes the cell before, by rounding
        rows, columns = ((2 * torch.arange(side) + 1) * cells // (2 * side) for side in x.shape[2:])
        large = masks[:, rows][:, :, columns][:, None]
        with torch.no_grad():
            y = torch.cat([model(x * mask[None])[:, target] for mask in large]).double()
        # of an even number the mean of both in the middle
        width = y.quantile(0.5)
        outputs = torch.exp(-((y[:, None] - y[None]) ** 2) / (2 * width**2))
        centre = torch.eye(SAMPLES).double() - 1 / SAMPLES
        bits = masks.reshape(SAMPLES, -1).double()
        values = []
        for cell in range(cells * cells):
            bit = bits[:, cell]
            inputs = 1 + 0.5 - (bit[:, None] - bit[None]) ** 2
            values.append(torch.trace(inputs @ centre @ outputs @ centre) / (SAMPLES - 1) ** 2)
        return torch.stack(values).reshape(1, cells, cells)

    return compute


golden(
    "hsic",
    [
        ("squeezenet1_1", f"hsic(img, cells=8, samples={SAMPLES}, seed=3).values", hsic(8)),
        ("resnet18", f"hsic(img, cells=5, samples={SAMPLES}, seed=3, model=m).values", hsic(5)),
        ("toy", f"hsic(img, cells=3, samples={SAMPLES}, seed=3, model=m).values", hsic(3)),
    ],
)
