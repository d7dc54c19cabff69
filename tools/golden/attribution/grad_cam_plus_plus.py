"""Makes tests/golden/attribution/grad_cam_plus_plus.safetensors with pytorch-grad-cam's GradCAMPlusPlus; see common.py."""

from common import cases_of_layers, golden, pytorch_grad_cam
from pytorch_grad_cam import GradCAMPlusPlus

golden("grad_cam_plus_plus", cases_of_layers("grad_cam_plus_plus", lambda layer: pytorch_grad_cam(GradCAMPlusPlus, layer)))
