"""Makes tests/golden/attribution/idgi.safetensors from the formula of its paper; see common.py."""

import torch
from common import ZERO, golden


def idgi(score_of):
    def compute(model, x, target):
        steps, total, before = 15, torch.zeros_like(x), None
        for step in range(steps + 1):
            at = (x * step / steps).detach().requires_grad_(True)
            score = score_of(model, at, target)
            score.backward()
            if before is not None:
                square, value = before
                # where the score does not hang on anything, no number has a part of its change
                total += square / square.sum().clamp(min=1e-30) * (score.item() - value)
            before = (at.grad**2, score.item())
        return total[0]

    return compute


TARGET = '|a| { (a["conv1"] * a["conv1"]).mean() }'
CODE = f'idgi(img, baseline={ZERO["squeezenet1_1"]}, steps=15, target={TARGET}).values'
golden(
    "idgi",
    [
        # smooth, so that nothing hangs on rounding
        ("squeezenet1_1", CODE, idgi(lambda model, x, _: model.features[0](x).square().mean())),
        ("toy", 'idgi(img, baseline="black", steps=15, model=m).values', idgi(lambda model, x, target: model(x)[0, target])),
    ],
)
