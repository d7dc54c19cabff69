"""Makes tests/golden/tensor_ops.safetensors: what PyTorch's operations on planes give for random shapes.

    pip install torch torchvision safetensors numpy
    python tools/golden/tensor_ops.py

Inputs, the weights of the loss Σ y·w and the places that are kept are hashed from integers, exactly alike here and in
tests/library/tensor_ops.rs, so that they need not be stored. Of each result and gradient the file holds the greatest
magnitude, the sum against hashed weights (which every value is part of), and at most SAMPLES values, in 16 bits as
shares of the greatest.
"""

import math
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from safetensors.numpy import save_file

TARGET = Path(__file__).resolve().parents[2] / "tests" / "golden" / "tensor_ops.safetensors"
CASES = 220
SAMPLES = 22


def hashed(count: int, seed: int) -> np.ndarray:
    """32-bit hashes of 0, 1, …, count - 1."""
    mask = np.uint64(0xFFFFFFFF)
    h = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed * 2246822519 + 374761393)) & mask
    for shift, factor in [(15, 2246822519), (13, 3266489917)]:
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & mask
    return h ^ (h >> np.uint64(16))


def numbers(shape: tuple, seed: int) -> torch.Tensor:
    """Multiples of 2^-15 from -1 up to 1."""
    values = (hashed(math.prod(shape), seed) >> np.uint64(16)).astype(np.float32) / 32768 - 1
    return torch.from_numpy(values.reshape(shape))


def places(count: int, seed: int) -> np.ndarray:
    return np.arange(count) if count <= SAMPLES else (hashed(SAMPLES, seed) % np.uint64(count)).astype(np.int64)


def side(draw: random.Random, least: int = 1) -> int:
    """Mostly a few pixels, sometimes many."""
    return least + (draw.randrange(10) if draw.random() < 0.6 else draw.randrange(60))


def resize(mode: str, antialias: bool):
    def case(draw):
        planes, h, w, th = draw.randrange(1, 4), side(draw), side(draw), side(draw)
        # an antialiased result one pixel wide repeats its first row in PyTorch 2.15: the values are no resize
        tw = side(draw, least=2 if antialias else 1)
        corners = None if mode == "nearest" else False
        run = lambda x: F.interpolate(x[None], (th, tw), mode=mode, align_corners=corners, antialias=antialias)[0]
        return [planes, h, w, th, tw], (planes, h, w), run

    return case


def roll(draw):
    planes, h, w = draw.randrange(1, 4), side(draw), side(draw)
    down, right = draw.randrange(-90, 91), draw.randrange(-90, 91)
    return [planes, h, w, down, right], (planes, h, w), lambda x: torch.roll(x, (down, right), (-2, -1))


def pad_constant(draw):
    planes, h, w = draw.randrange(1, 4), side(draw), side(draw)
    t, b, l, r = (draw.randrange(12) for _ in range(4))
    value = draw.randrange(-8, 9)
    run = lambda x: F.pad(x, (l, r, t, b), value=value / 8)
    return [planes, h, w, t, b, l, r, value], (planes, h, w), run


def pad_reflect(draw):
    planes, h, w = draw.randrange(1, 4), side(draw), side(draw)
    t, b, l, r = (draw.randrange(size) for size in (h, h, w, w))
    return [planes, h, w, t, b, l, r], (planes, h, w), lambda x: F.pad(x, (l, r, t, b), mode="reflect")


def gaussian_blur(draw):
    """σ in hundredths; kernel size 0 is 2 ⌈3 σ⌉ + 1."""
    sigma = draw.randrange(10, 400)
    size = draw.choice([0, 2 * draw.randrange(8) + 1])
    kernel = size or 2 * math.ceil(3 * sigma / 100) + 1
    planes, h, w = draw.randrange(1, 4), side(draw, kernel // 2 + 1), side(draw, kernel // 2 + 1)
    run = lambda x: torchvision.transforms.functional.gaussian_blur(x, [kernel, kernel], [sigma / 100, sigma / 100])
    return [planes, h, w, sigma, size], (planes, h, w), run


def rfft2(draw):
    planes, h, w, ortho = draw.randrange(1, 4), side(draw), side(draw), draw.randrange(2)
    run = lambda x: torch.view_as_real(torch.fft.rfft2(x, norm=["backward", "ortho"][ortho]))
    return [planes, h, w, ortho], (planes, h, w), run


def irfft2(draw):
    planes, h, w, ortho = draw.randrange(1, 4), side(draw), side(draw), draw.randrange(2)
    run = lambda x: torch.fft.irfft2(torch.view_as_complex(x), s=(h, w), norm=["backward", "ortho"][ortho])
    return [planes, h, w, ortho], (planes, h, w // 2 + 1, 2), run


OPERATIONS = {
    "bilinear": resize("bilinear", False),
    "bilinear_antialias": resize("bilinear", True),
    "bicubic": resize("bicubic", False),
    "bicubic_antialias": resize("bicubic", True),
    "nearest": resize("nearest", False),
    "roll": roll,
    "pad_constant": pad_constant,
    "pad_reflect": pad_reflect,
    "gaussian_blur": gaussian_blur,
    "rfft2": rfft2,
    "irfft2": irfft2,
}


def summary(values: torch.Tensor, seed: int) -> tuple:
    """The greatest magnitude, the sum against hashed weights, and the samples as shares of the greatest."""
    flat = values.detach().double().flatten()
    scale = flat.abs().max().item()
    total = (flat * numbers((len(flat),), seed).double()).sum().item()
    share = flat.numpy()[places(len(flat), seed + 1)] / (scale or 1)
    return [scale, total], np.round(share * 32767).astype(np.int16)


def main() -> None:
    golden = {}
    for number, (name, operation) in enumerate(OPERATIONS.items()):
        draw = random.Random(name)
        cases, sums, samples = [], [], []
        for case in range(CASES):
            parameters, shape, run = operation(draw)
            seed = 10 * (number * 1000 + case)
            x = numbers(shape, seed).requires_grad_()
            y = run(x).contiguous()
            (y * numbers(tuple(y.shape), seed + 1)).sum().backward()
            for values, of in [(y, seed + 2), (x.grad, seed + 4)]:
                pair, share = summary(values, of)
                sums.append(pair)
                samples.append(share)
            cases.append(parameters)
        golden[f"{name}.cases"] = np.array(cases, dtype=np.int16)
        golden[f"{name}.sums"] = np.array(sums, dtype=np.float32)
        golden[f"{name}.samples"] = np.concatenate(samples)
    save_file(golden, TARGET, metadata={"torch": torch.__version__, "torchvision": torchvision.__version__})
    print(f"{len(OPERATIONS)} operations, {CASES} cases each, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
