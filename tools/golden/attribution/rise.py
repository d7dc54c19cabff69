"""Makes tests/golden/attribution/rise.safetensors as the authors' code computes it (eclique/RISE); see common.py.

Their masks are random, so Percept's are taken: the program must be built (`cargo build --release`), and `percept` be on the
path or PERCEPT name it. That these are the authors' masks is checked here: each is what skimage's `resize` makes of its grid.
"""

import numpy as np
import torch
from common import golden, percept_masks
from skimage.transform import resize

SAMPLES, VISIBLE = 40, 0.5


def masks(side, cells):
    values = percept_masks(f"rise_masks({side}, {side}, samples={SAMPLES}, cells={cells}, seed=3)")
    for mask in values[:8]:
        check(mask.numpy(), cells)
    return values


def check(mask, cells):
    """The mask is a grid of zeros and ones, enlarged and cut out as the paper's code does it, at some shift."""
    side = mask.shape[0]
    cell = int(np.ceil(side / cells))
    # enlarging is linear, and the same along both sides: what it makes of each cell
    enlarged = resize(np.eye(cells), ((cells + 1) * cell, cells), order=1, mode="reflect", anti_aliasing=False)
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


def rise(cells, answer):
    def compute(model, x, target):
        drawn = masks(x.shape[-1], cells)
        with torch.no_grad():
            answers = answer(model(x * drawn[:, None]))[:, target]
        return torch.einsum("n,nhw->hw", answers, drawn)[None] / SAMPLES / VISIBLE

    return compute


def probabilities(logits):
    return torch.softmax(logits, 1)


golden(
    "rise",
    [
        ("squeezenet1_1", f"rise(img, samples={SAMPLES}, seed=3).values", rise(7, probabilities)),
        ("resnet18", f"rise(img, samples={SAMPLES}, seed=3, model=m).values", rise(7, probabilities)),
        # whose outputs are values
        ("toy", f"rise(img, samples={SAMPLES}, cells=3, seed=3, model=m).values", rise(3, lambda values: values)),
    ],
)
