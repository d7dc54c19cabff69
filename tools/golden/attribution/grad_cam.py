"""Makes tests/golden/attribution/grad_cam.safetensors with Captum's LayerGradCam; see common.py."""

from captum.attr import LayerGradCam
from common import golden


def grad_cam(layer):
    def compute(model, x, target):
        module = model.get_submodule(layer)
        return LayerGradCam(model, module).attribute(x, target=target, relu_attributions=True)[0]

    return compute


golden(
    "grad_cam",
    [
        ("squeezenet1_1", "grad_cam(img).values", grad_cam("features.12")),
        ("squeezenet1_1", 'grad_cam(img, layer="fire5").values', grad_cam("features.7")),
        ("resnet18", "grad_cam(img, model=m).values", grad_cam("layer4")),
        ("resnet18", 'm.layer("layer2").grad_cam(img).values', grad_cam("layer2")),
        ("toy", "grad_cam(img, model=m).values", grad_cam("relu1")),
    ],
)
