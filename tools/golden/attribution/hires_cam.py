"""Makes tests/golden/attribution/hires_cam.safetensors with pytorch-grad-cam's HiResCAM; see common.py."""

from common import cases_of_layers, golden, pytorch_grad_cam
from pytorch_grad_cam import HiResCAM

golden("hires_cam", cases_of_layers("hires_cam", lambda layer: pytorch_grad_cam(HiResCAM, layer)))
