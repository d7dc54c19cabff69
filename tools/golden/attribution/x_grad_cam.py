"""Makes tests/golden/attribution/x_grad_cam.safetensors with pytorch-grad-cam's XGradCAM; see common.py."""

from common import cases_of_layers, golden, pytorch_grad_cam
from pytorch_grad_cam import XGradCAM

golden("x_grad_cam", cases_of_layers("x_grad_cam", lambda layer: pytorch_grad_cam(XGradCAM, layer)))
