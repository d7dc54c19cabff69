"""Makes tests/golden/attribution/eigen_cam.safetensors with pytorch-grad-cam's projection; see common.py."""

import numpy as np
import torch
from common import cases_of_layers, golden, gradients
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction


def compute(layer):
    def eigen_cam(model, x, target):
        activations, _ = gradients(model, x, target, layer)
        map = get_2d_projection_with_sign_correction(activations.numpy())
        return torch.from_numpy(np.maximum(map, 0))

    return eigen_cam


golden("eigen_cam", cases_of_layers("eigen_cam", compute, ["squeezenet1_1", "resnet18", "toy"]))
