"""What the goldens of methods on superpixels share: scikit-image's superpixels of a network's input, Percept's samples."""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from skimage import segmentation


def pixels(x):
    """The picture that a network's input was made of, [height, width, 3] from 0 to 1."""
    x = x[0].double()
    if len(x) == 1:
        # the toy's
        rgb = (x / 15).expand(3, -1, -1)
    elif x.abs().max() > 10:
        rgb = (x + torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)).flip(0) / 255
    else:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        rgb = x * std.view(3, 1, 1) + mean.view(3, 1, 1)
    # bytes, as the picture is
    return (rgb * 255).round().numpy().transpose(1, 2, 0) / 255


def slic(x, segments):
    """Labels from 0, [height, width]."""
    labels = segmentation.slic(pixels(x), segments)
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape))


def percept(code):
    """A tensor that a line of Percept's language makes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value.npy"
        subprocess.run([os.environ.get("PERCEPT", "percept"), "eval", f'{code}.save("{path}")'], check=True)
        return torch.from_numpy(np.load(path))
