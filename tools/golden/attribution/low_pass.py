"""Makes tests/golden/attribution/low_pass.safetensors with NumPy's FFT, as xplique's ForGrad filters; see common.py."""

import numpy as np
import torch
from common import golden


def low_pass(radius):
    def compute(model, x, target):
        x = x.requires_grad_(True)
        model(x)[0, target].backward()
        gradient = x.grad[0].numpy().astype(np.float64)
        spectrum = np.fft.fftshift(np.fft.fft2(gradient), axes=(1, 2))
        height, width = gradient.shape[1:]
        y, x = np.ogrid[:height, :width]
        spectrum[:, np.hypot(y - height // 2, x - width // 2) > radius] = 0
        return torch.from_numpy(np.real(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(1, 2)))))

    return compute


golden(
    "low_pass",
    [
        ("squeezenet1_1", "saliency(img).low_pass(radius=15).values", low_pass(15)),
        ("toy", "saliency(img, model=m).low_pass(radius=1).values", low_pass(1)),
    ],
)
