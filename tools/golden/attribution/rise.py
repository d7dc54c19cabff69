"""Makes tests/golden/attribution/rise.safetensors as the authors' code computes it (eclique/RISE); see common.py.

Their masks are random, so Percept's are taken: the program must be built (`cargo build --release`), and `percept` be on the
path or PERCEPT name it. That these are the authors' masks is checked here: each is what skimage's `resize` makes of its grid.
"""

import numpy as np
import torch
from common import golden, percept_masks
from skimage.transform import resize

SAMPLES, CELLS, VISIBLE = 40, 7, 0.5


def masks(side):
    values = percept_masks(f"rise_masks({side}, {side}, samples={SAMPLES}, seed=3)")
    for mask in values[:8]:
        check(mask.numpy())
    return values


def check(mask):
    """The mask is a grid of zeros and ones, enlarged and cut out as the paper's code does it, at some shift."""
    side = mask.shape[0]
    cell = int(np.ceil(side / CELLS))
    # enlarging is linear, and the same along both sides: what it makes of each cell
    enlarged = resize(np.eye(CELLS), ((CELLS + 1) * cell, CELLS), order=1, mode="reflect", anti_aliasing=False)
    cuts = [enlarged[shift:shift + side] for shift in range(cell)]
    inverses = [np.linalg.pinv(cut) for cut in cuts]
    best = 1.0
    for down, to_rows in zip(cuts, inverses):
        rows = to_rows @ mask
        for right, to_columns in zip(cuts, inverses):
            grid = (rows @ to_columns.T).round()
            if set(np.unique(grid)) <= {0, 1}:
                best = min(best, np.abs(down @ grid @ right.T - mask).max())
    assert best < 1e-4, f"not a mask of the paper's code: off by {best}"


def rise(model, x, target):
    drawn = masks(x.shape[-1])
    with torch.no_grad():
        probabilities = torch.softmax(model(x * drawn[:, None]), 1)[:, target]
    return torch.einsum("n,nhw->hw", probabilities, drawn)[None] / SAMPLES / VISIBLE


golden(
    "rise",
    [
        ("squeezenet1_1", f"rise(img, samples={SAMPLES}, seed=3).values", rise),
        ("resnet18", f"rise(img, samples={SAMPLES}, seed=3, model=m).values", rise),
    ],
)
