"""Makes tests/golden/grab_cut.safetensors with OpenCV's grabCut.

    pip install opencv-python-headless safetensors numpy pillow

Images as bytes [3, height, width]; seeds (0 background, 1 foreground, 2 perhaps background, 3 perhaps foreground) and the
masks after five rounds, as bytes [height, width].
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
# a photograph, its size, and ellipses (x, y, half width, half height, as shares): sure and perhaps foreground, and all that
# is no sure background
CASES = [
    ("coffee", (150, 100), (0.5, 0.45, 0.1, 0.14), (0.5, 0.5, 0.25, 0.33), (0.5, 0.55, 0.42, 0.48)),
    ("chelsea", (150, 100), (0.5, 0.45, 0.15, 0.2), (0.5, 0.5, 0.3, 0.4), (0.5, 0.55, 0.5, 0.5)),
    ("rocket", (128, 85), (0.49, 0.45, 0.02, 0.2), (0.49, 0.5, 0.05, 0.35), (0.49, 0.5, 0.12, 0.48)),
    ("astronaut", (100, 100), (0.45, 0.3, 0.1, 0.12), (0.45, 0.45, 0.25, 0.4), (0.45, 0.6, 0.44, 0.6)),
]

tensors = {}
for name, size, sure, perhaps, outer in CASES:
    image = Image.open(ROOT / "assets" / "photos" / f"{name}.jpg").convert("RGB").resize(size, Image.BICUBIC)
    pixels = np.asarray(image)
    rows, columns = np.mgrid[: size[1], : size[0]]

    def inside(ellipse):
        x, y, wide, high = ellipse
        return ((columns / size[0] - x) / wide) ** 2 + ((rows / size[1] - y) / high) ** 2 <= 1

    seeds = np.full(pixels.shape[:2], cv2.GC_BGD, dtype=np.uint8)
    seeds[inside(outer)] = cv2.GC_PR_BGD
    seeds[inside(perhaps)] = cv2.GC_PR_FGD
    seeds[inside(sure)] = cv2.GC_FGD
    found = seeds.copy()
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels[:, :, ::-1].copy(), found, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    mask = (found & 1).astype(np.uint8)
    print(name, f"{mask.mean():.3f} of the image")
    tensors[f"{name}.image"] = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    tensors[f"{name}.seeds"] = seeds
    tensors[f"{name}.mask"] = mask
target = ROOT / "tests" / "golden" / "grab_cut.safetensors"
save_file(tensors, target)
target.chmod(0o644)
print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
