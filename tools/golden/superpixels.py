"""Makes tests/golden/superpixels.safetensors with scikit-image.

    pip install scikit-image safetensors numpy pillow

Images as bytes [3, height, width], and the labels that `slic` and `felzenszwalb` give for them, as bytes.

All images of `felzenszwalb` are blurred: else many edges are equally strong, and in which order they are taken depends on
rounding (an adjusted Rand index of 0.975 for the last case without a blur).
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from skimage.segmentation import felzenszwalb, slic

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"chelsea": (150, 100), "coffee": (140, 93), "china": (120, 80), "rocket": (96, 64)}
CASES = [
    ("chelsea", "slic", {"n_segments": 50}),
    ("chelsea", "felzenszwalb", {"scale": 100, "sigma": 0.8, "min_size": 20}),
    ("coffee", "slic", {"n_segments": 80, "compactness": 20, "sigma": 1}),
    ("coffee", "felzenszwalb", {"scale": 300, "sigma": 0.5, "min_size": 60}),
    ("china", "slic", {"n_segments": 200, "compactness": 3, "sigma": 0.5}),
    ("china", "felzenszwalb", {"scale": 50, "sigma": 1.2, "min_size": 15}),
    ("rocket", "slic", {"n_segments": 7}),
    ("rocket", "felzenszwalb", {"scale": 20, "sigma": 0.4, "min_size": 30}),
]

tensors = {}
for name, size in SIZES.items():
    image = Image.open(ROOT / "assets" / "photos" / f"{name}.jpg").convert("RGB").resize(size, Image.BICUBIC)
    tensors[name] = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
for index, (name, method, settings) in enumerate(CASES):
    image = tensors[name].transpose(1, 2, 0) / 255
    labels = {"slic": slic, "felzenszwalb": felzenszwalb}[method](image, **settings)
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    assert labels.max() < 256
    print(name, method, settings, labels.max() + 1)
    tensors[f"case{index}"] = labels.astype(np.uint8)
target = ROOT / "tests" / "golden" / "superpixels.safetensors"
cases = [{"image": name, "method": method, "settings": settings} for name, method, settings in CASES]
save_file(tensors, target, metadata={"cases": json.dumps(cases)})
target.chmod(0o644)
print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
