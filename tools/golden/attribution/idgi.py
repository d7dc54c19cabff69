"""Makes tests/golden/attribution/idgi.safetensors from the formula of its paper; see common.py."""

import torch
from common import ZERO, golden


def compute(model, x, target):
    steps, total, before = 15, torch.zeros_like(x), None
    for step in range(steps + 1):
        at = (x * step / steps).detach().requires_grad_(True)
        # smooth, so that nothing hangs on rounding
        score = model.features[0](at).square().mean()
        score.backward()
        if before is not None:
            square, value = before
            total += square / square.sum() * (score.item() - value)
        before = (at.grad**2, score.item())
    return total[0]


TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'
CODE = f'idgi(img, baseline={ZERO["squeezenet1_1"]}, steps=15, target={TARGET}).values'
golden("idgi", [("squeezenet1_1", CODE, compute)])
