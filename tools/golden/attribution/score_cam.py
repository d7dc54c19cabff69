"""Makes tests/golden/attribution/score_cam.safetensors after pytorch-grad-cam's ScoreCAM; see common.py.

Its masks are enlarged by torch's bilinear interpolation, as here, and its weights are the softmax of the scores.
"""

import torch
from common import golden


def compute(layer):
    def score_cam(model, x, target):
        kept = {}
        handle = model.get_submodule(layer).register_forward_hook(lambda _, __, output: kept.update(maps=output))
        with torch.no_grad():
            model(x)
            handle.remove()
            maps = kept["maps"]
            masks = torch.nn.functional.interpolate(maps, x.shape[2:], mode="bilinear", align_corners=False)[0]
            low = masks.flatten(1).min(1).values[:, None, None]
            high = masks.flatten(1).max(1).values[:, None, None]
            masks = (masks - low) / (high - low + 1e-8)
            scores = torch.cat([model(x * mask[:, None])[:, target] for mask in masks.split(32)])
            return (torch.softmax(scores, 0)[:, None, None] * maps[0]).sum(0, keepdim=True).relu()

    return score_cam


golden(
    "score_cam",
    [
        ("squeezenet1_1", 'score_cam(img, layer="fire5").values', compute("features.7")),
        ("toy", 'score_cam(img, layer="relu1", model=m).values', compute("relu1")),
    ],
)
