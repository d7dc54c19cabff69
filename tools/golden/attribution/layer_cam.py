"""Makes tests/golden/attribution/layer_cam.safetensors with pytorch-grad-cam's LayerCAM; see common.py."""

from common import cases_of_layers, golden, pytorch_grad_cam
from pytorch_grad_cam import LayerCAM

golden("layer_cam", cases_of_layers("layer_cam", lambda layer: pytorch_grad_cam(LayerCAM, layer)))
