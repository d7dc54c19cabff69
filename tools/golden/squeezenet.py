"""Makes tests/golden/squeezenet1_1.safetensors: what PyTorch's torchvision computes with the embedded weights.

    pip install torch torchvision safetensors numpy
    python tools/golden/squeezenet.py

Inputs are made from integers, exactly alike here and in tests/networks/squeezenet.rs, so that they need not be
stored. Of large tensors every STEP-th value is kept, with the norm of all of them.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"square": (227, 227), "torch": (224, 224), "wide": (227, 259), "odd": (130, 97)}
CLASS = 281
STEP = 997
TAPS = [
    "features.0", "features.2", "features.3.squeeze", "features.3", "features.5", "features.7", "features.8",
    "features.12", "classifier.1", "classifier.2", "classifier.3",
]


def pixels(height: int, width: int) -> torch.Tensor:
    """[1, 3, H, W] in the network's input space, in whole numbers from -120 to 135."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(height), np.arange(width), indexing="ij")
    wave = (x * (c + 2) + y * (5 - c) + (x // 16) * (y // 16) * 7 + (x * y) % 13 * 5) % 256
    return torch.from_numpy((wave - 120).astype(np.float32))[None]


def network() -> torch.nn.Module:
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"))
    return model.eval()


def rule_hook(rule: str):
    """What a ReLU's backward hook returns in place of its gradient."""

    def hook(_module, grad_input, grad_output):
        if rule == "guided":
            return (grad_input[0].clamp(min=0),)
        return (grad_output[0].clamp(min=0),)

    return hook


def without_inplace(model: torch.nn.Module) -> torch.nn.Module:
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return model


def sample(tensor: torch.Tensor) -> np.ndarray:
    flat = tensor.detach().double().flatten()
    return np.concatenate([[flat.norm().item()], flat[::STEP].numpy()]).astype(np.float32)


def main() -> None:
    golden = {}
    for name, (height, width) in SIZES.items():
        model = without_inplace(network())
        taps = {}
        for tap in TAPS:
            model.get_submodule(tap).register_forward_hook(
                lambda _m, _i, out, tap=tap: taps.__setitem__(tap, out.detach().clone())
            )
        x = pixels(height, width).requires_grad_()
        logits = model(x)
        logits[0, CLASS].backward()
        golden[f"{name}.logits"] = logits[0].detach().numpy().copy()
        golden[f"{name}.gradient.plain"] = sample(x.grad)
        for tap, value in taps.items():
            golden[f"{name}.tap.{tap}"] = sample(value)
        for rule in ["guided", "deconvnet"]:
            model = without_inplace(network())
            for module in model.modules():
                if isinstance(module, torch.nn.ReLU):
                    module.register_full_backward_hook(rule_hook(rule))
            x = pixels(height, width).requires_grad_()
            model(x)[0, CLASS].backward()
            golden[f"{name}.gradient.{rule}"] = sample(x.grad)
    target = ROOT / "tests" / "golden" / "squeezenet1_1.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(golden, target, metadata={"torch": torch.__version__, "torchvision": torchvision.__version__})
    print(f"{len(golden)} tensors, {target.stat().st_size} bytes, class {CLASS}")
    for name in SIZES:
        print(name, golden[f"{name}.logits"].argmax(), golden[f"{name}.gradient.plain"][:3])


if __name__ == "__main__":
    main()
