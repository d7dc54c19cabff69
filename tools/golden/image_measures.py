"""Makes tests/golden/image_measures.safetensors with scikit-image and NumPy.

    pip install scikit-image safetensors numpy pillow

Images as bytes [3, height, width], and in the header the measures of pairs and of single images, in double precision.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"chelsea": (90, 60), "coffee": (75, 50), "hubble": (64, 64)}


def damaged(image, kind, rng):
    """The image with one kind of fault, as bytes [height, width, 3]."""
    if kind == "noise":
        return np.clip(image + rng.normal(0, 20, image.shape), 0, 255).round().astype(np.uint8)
    if kind == "blur":
        height, width, _ = image.shape
        small = Image.fromarray(image).resize((width // 3, height // 3), Image.BICUBIC)
        return np.asarray(small.resize((width, height), Image.BICUBIC))
    if kind == "brighter":
        return np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8)
    return 255 - image


def total_variation(image):
    differences = np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum()
    return differences / image.size


def saturated(image):
    return ((image <= 1) | (image >= 254)).any(axis=2).mean()


def spectrum_share(image):
    """Energy above a quarter of the sampling rate, with the whole complex transform."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    height, width = luma.shape
    hann = [np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in (height, width)]
    window = np.outer(*hann)
    energy = np.abs(np.fft.fft2((luma - (luma * window).sum() / window.sum()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    return energy[radius > 0.25].sum() / energy.sum()


rng = np.random.default_rng(7)
tensors, pairs, singles = {}, [], []
for name, size in SIZES.items():
    picture = Image.open(ROOT / "assets" / "photos" / f"{name}.jpg").convert("RGB").resize(size, Image.BICUBIC)
    images = {name: np.asarray(picture)}
    for kind in ["noise", "blur", "brighter", "negative"]:
        images[f"{name}_{kind}"] = damaged(images[name], kind, rng)
    for key, image in images.items():
        tensors[key] = np.ascontiguousarray(image.transpose(2, 0, 1))
        pixels = image / 255
        singles.append(
            {
                "image": key,
                "total_variation": total_variation(pixels),
                "saturated": saturated(image),
                "spectrum_share": spectrum_share(pixels),
            }
        )
        if key == name:
            continue
        original = images[name] / 255
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
        pairs.append(
            {
                "image": name,
                "other": key,
                "psnr": peak_signal_noise_ratio(original, pixels, data_range=1),
                "ssim": structural_similarity(original, pixels, channel_axis=2, **options),
            }
        )
for line in pairs + singles:
    print(line)
target = ROOT / "tests" / "golden" / "image_measures.safetensors"
save_file(tensors, target, metadata={"pairs": json.dumps(pairs), "singles": json.dumps(singles)})
target.chmod(0o644)
print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
