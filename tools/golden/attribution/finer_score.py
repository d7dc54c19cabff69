"""Makes tests/golden/attribution/finer_score.safetensors with the target of pytorch-grad-cam's Finer-CAM; see common.py.

The toy has no case: its outputs are equal, so nothing tells one from the others.
"""

import torch
from common import golden, gradients
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget


def compute(model, x, target):
    with torch.no_grad():
        logits = model(x)[0]
    others = [int(other) for other in (logits - logits[target]).abs().argsort() if other != target][:3]
    finer = FinerWeightedTarget(target, others, 1.0)
    activations, gradient = gradients(model, x, lambda output: finer(output[0]), "features.12")
    return (gradient.mean((2, 3), keepdim=True) * activations).sum(1).relu()


code = "grad_cam(img, target=finer_score(classify(img).name)).values"
golden("finer_score", [("squeezenet1_1", code, compute)])
