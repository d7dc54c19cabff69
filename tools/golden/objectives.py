"""Numbers of objectives and their gradients for an image, from PyTorch: tests/library/synthesis.rs compares with them.

    pip install torch torchvision safetensors numpy pillow
    python tools/golden/objectives.py

SqueezeNet 1.1 with the embedded weights, in double precision. The images are [2, 3, 72, 88], red, green and blue from 0 to 1,
made of parts of embedded photographs, blurred by scaling so that few units are near a kink.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
MEAN = torch.tensor([104.0, 117.0, 123.0], dtype=torch.float64).view(1, 3, 1, 1)
LAYER = 7  # fire5


def part(name, box):
    image = Image.open(ROOT / "assets" / "photos" / f"{name}.jpg").convert("RGB").crop(box).resize((88, 72))
    return torch.from_numpy(np.asarray(image, dtype=np.float32).copy()).permute(2, 0, 1)[None] / 255


net = torchvision.models.squeezenet1_1()
net.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"), strict=False)
net = net.double().eval()
images = torch.cat([part("chelsea", (100, 40, 320, 220)), part("china", (60, 60, 280, 240))])
other = part("coffee", (100, 60, 320, 240))


def features(rgb):
    x = 255 * rgb[:, [2, 1, 0]] - MEAN
    return net.features[: LAYER + 1](x)


def gram(f):
    f = f.flatten(2)
    return f @ f.transpose(1, 2) / f.shape[2]


def direction(rgb, power):
    f = features(rgb)
    vector = torch.tensor([1.0 if unit % 3 == 0 else -0.2 for unit in range(f.shape[1])], dtype=torch.float64)
    dots = torch.einsum("c,nchw->nhw", vector, f)
    cosines = dots / (f.square().sum(1) + 1e-12).sqrt() / vector.norm()
    return (dots * cosines.clamp(min=0.1) ** power).mean((1, 2))


def diversity(rgb):
    units = torch.nn.functional.normalize(gram(features(rgb)).flatten(1), dim=1)
    cosines = units @ units.T
    return -(cosines.sum(1) - 1) / (len(rgb) - 1)


def distance(rgb):
    wanted = features(other.double())
    return (features(rgb) - wanted).square().flatten(1).sum(1) / wanted.square().sum()


def texture(rgb):
    difference = gram(features(rgb)) - gram(features(other.double()))
    return difference.square().flatten(1).sum(1) / (4 * difference.shape[1] ** 2)


def guided(rgb):
    f, g = features(rgb).flatten(2), features(other.double()).flatten(2)[0]
    products = torch.einsum("ncm,ck->nmk", f, g)
    return products.max(2).values.sum(1)


def variation(rgb):
    here = rgb[:, :, :-1, :-1]
    right, below = rgb[:, :, :-1, 1:] - here, rgb[:, :, 1:, :-1] - here
    return (right.square() + below.square() + 1e-8).sqrt().flatten(1).mean(1)


def norm(rgb, power):
    return ((rgb - 0.5).abs() ** power).flatten(1).mean(1).add(1e-12) ** (1 / power)


OBJECTIVES = {
    "l2": lambda rgb: features(rgb).square().flatten(1).sum(1) / 2,
    "channel": lambda rgb: features(rgb)[:, 12].mean((1, 2)),
    "direction": lambda rgb: direction(rgb, 0),
    "direction_cosine": lambda rgb: direction(rgb, 2),
    "match": distance,
    "gram": texture,
    "guided": guided,
    "diversity": diversity,
    "tv": variation,
    "l2_norm": lambda rgb: norm(rgb, 2),
    "l6_norm": lambda rgb: norm(rgb, 6),
}

tensors = {"images": images.contiguous(), "other": other.contiguous()}
for name, objective in OBJECTIVES.items():
    rgb = images.double().requires_grad_()
    values = objective(rgb)
    (gradient,) = torch.autograd.grad(values.sum(), rgb)
    tensors[f"{name}.values"] = values.detach().float()
    # the norm of all, and every 7th number
    tensors[f"{name}.norm"] = gradient.norm().float().reshape(1)
    tensors[f"{name}.gradient"] = gradient.flatten()[::7].float().contiguous()
save_file(tensors, ROOT / "tests" / "golden" / "objectives.safetensors", {"names": json.dumps(list(OBJECTIVES))})
