"""Makes tests/golden/attribution/refine_cam.safetensors from pytorch-grad-cam's GradCAMPlusPlus; see common.py.

The maps of several layers, each scaled to 1 and enlarged to the largest, multiplied. Its own RefineCAM enlarges them to the
image and moves the least value of each to 0.
"""

import torch
from common import golden, pytorch_grad_cam
from pytorch_grad_cam import GradCAMPlusPlus


def refine_cam(*layers):
    def compute(model, x, target):
        maps = [pytorch_grad_cam(GradCAMPlusPlus, layer)(model, x, target) for layer in layers]
        size = max((map.shape[1:] for map in maps), key=lambda size: size[0] * size[1])
        large = [torch.nn.functional.interpolate(map[None], size, mode="bilinear")[0] for map in maps]
        return torch.stack([map / map.max() for map in large]).prod(0)

    return compute


golden(
    "refine_cam",
    [
        ("squeezenet1_1", 'refine_cam(img, layers=["fire5", "fire9"]).values', refine_cam("features.7", "features.12")),
        ("toy", 'refine_cam(img, layers=["conv1", "relu1"], model=m).values', refine_cam("conv1", "relu1")),
    ],
)
