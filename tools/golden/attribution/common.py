"""What the goldens of attribution methods share: networks, images, and the file that tests/golden_attribution.rs reads.

    pip install torch torchvision captum safetensors numpy pillow

    python tools/golden/attribution/common.py      # the images
    python tools/golden/attribution/METHOD.py

A method has one script beside this one, which calls `golden(name, cases)` and so writes
tests/golden/attribution/NAME.safetensors. A case is a line of Percept's language, in which `img` is the image and `m` the
network, and a function that computes the same with PyTorch, given the module, the network's input and the image's class.

The image is one whose gradients do not hang on rounding: where a ReLU is within 1e-5 of its kink, two programs may take
different sides of it, and what one unit passes back differs.

SqueezeNet 1.1 has the embedded weights; the weights of other networks are made from the names of their parameters, as
tools/golden/zoo.py says. Of large results every STEP-th value is kept, with the norm of all of them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools" / "golden"))
# kept of a result: all of it up to so many values, else every STEP-th
ALL = 2000
STEP = 97
PHOTO = ROOT / "assets" / "photos" / "chelsea.jpg"


def without_inplace(model):
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model.eval()


def squeezenet1_1():
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"))
    image = np.asarray(Image.open(PHOTO).convert("RGB").resize((227, 227), Image.BILINEAR), dtype=np.float32)
    x = image[:, :, ::-1] - np.array([104, 117, 123], dtype=np.float32)
    return without_inplace(model), image, torch.from_numpy(x.transpose(2, 0, 1).copy())[None]


def resnet18():
    from zoo import fill

    model = torchvision.models.resnet18(weights=None)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(fill(key, tuple(value.shape))))
    # 256 pixels, of which the network sees the middle 224
    image = np.asarray(Image.open(PHOTO).convert("RGB").resize((256, 256), Image.BICUBIC), dtype=np.float32)
    x = (image[16:240, 16:240] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return without_inplace(model), image, torch.from_numpy(x.transpose(2, 0, 1).astype(np.float32).copy())[None]


NETWORKS = {"squeezenet1_1": squeezenet1_1, "resnet18": resnet18}


def images():
    """The images of the networks, which all methods look at."""
    pixels = {name: torch.from_numpy(make()[1].astype(np.uint8).transpose(2, 0, 1).copy()) for name, make in NETWORKS.items()}
    target = ROOT / "tests" / "golden" / "attribution_images.safetensors"
    save_file(pixels, target)
    target.chmod(0o644)


def golden(name, cases):
    """Writes the golden of a method; `cases` is a list of (network, code, function of (model, x, class))."""
    torch.manual_seed(0)
    tensors, described = {}, []
    for index, (network, code, compute) in enumerate(cases):
        model, image, x = NETWORKS[network]()
        with torch.no_grad():
            best = int(model(x).argmax())
        value = compute(model, x, best).detach().float().contiguous()
        step = 1 if value.numel() <= ALL else STEP
        tensors[f"case{index}"] = value.flatten()[::step].contiguous()
        norm = float(value.double().norm())
        described.append(
            {"network": network, "code": code, "class": best, "shape": list(value.shape), "step": step, "norm": norm}
        )
        print(f"{network} {code}: {list(value.shape)}, up to {value.abs().max():.4g}")
    target = ROOT / "tests" / "golden" / "attribution" / f"{name}.safetensors"
    save_file(tensors, target, metadata={"cases": json.dumps(described)})
    target.chmod(0o644)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    images()
