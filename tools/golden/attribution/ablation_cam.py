"""Makes tests/golden/attribution/ablation_cam.safetensors from the definition; see common.py."""

import torch
from common import golden


def compute(layer):
    def ablation_cam(model, x, target):
        kept = {}
        module = model.get_submodule(layer)
        handle = module.register_forward_hook(lambda _, __, output: kept.update(maps=output))
        with torch.no_grad():
            whole = model(x)[0, target]
            handle.remove()
            maps, weights = kept["maps"], []
            for channel in range(maps.shape[1]):

                def ablate(_, __, output, channel=channel):
                    output = output.clone()
                    output[:, channel] = 0
                    return output

                handle = module.register_forward_hook(ablate)
                weights.append((whole - model(x)[0, target]) / whole)
                handle.remove()
            return (torch.stack(weights)[:, None, None] * maps[0]).sum(0, keepdim=True).relu()

    return ablation_cam


golden(
    "ablation_cam",
    [
        ("squeezenet1_1", 'ablation_cam(img, layer="fire5").values', compute("features.7")),
        ("toy", 'ablation_cam(img, layer="relu1", model=m).values', compute("relu1")),
    ],
)
