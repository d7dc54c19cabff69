"""Makes networks of the kinds that people bring, with other inputs than a colour square and other answers than a softmax:
tests/golden/cases/NAME.onnx, an input NAME_x.npy [N, C, H, W] and what PyTorch's network answers, NAME_ref.npy. And
squeezenet.pth, a state dict for a network of the zoo.

    pip install torch torchvision onnx numpy
    python tools/golden/cases.py

The other files of that folder were exported from PyTorch and Keras in the same way; their answers are PyTorch's and
onnxruntime's. What catdog.onnx answers to plain black, grey and white in tests/suite/model/cases.rhai is onnxruntime's:

    run(None, {"keras_tensor_17": np.full((1, 150, 150, 3), level, np.float32)})
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "cases"


class Body(nn.Module):
    """Two convolutions and the mean over what they answer."""

    def __init__(self, channels, outputs):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5, stride=2, padding=2), nn.Conv2d(6, 8, 3, padding=1)
        self.fc = nn.Linear(8, outputs)

    def forward(self, x):
        x = F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2)))
        return self.fc(x.mean([2, 3]))


class Rectangles(nn.Module):
    """Wider than high, with a layer that takes this size only."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Linear(4 * 12 * 20, 5)

    def forward(self, x):
        return self.fc(torch.flatten(F.relu(self.conv(x)), 1))


class Multilabel(Body):
    """Independent sigmoids."""

    def __init__(self):
        super().__init__(3, 4)

    def forward(self, x):
        return torch.sigmoid(super().forward(x) * 3)


class Regression(Body):
    """Two values, of one channel."""

    def __init__(self):
        super().__init__(1, 2)

    def forward(self, x):
        return super().forward(x) * 40 + 7


class Bytes(Body):
    """Whole numbers from 0 to 255, scaled inside."""

    def __init__(self):
        super().__init__(3, 3)

    def forward(self, x):
        return torch.softmax(super().forward(x.float() / 255), 1)


class Centred(Body):
    """Numbers from 0 to 1, normalised inside; four probabilities that the last layer does not show to be any."""

    def __init__(self):
        super().__init__(3, 4)
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))

    def forward(self, x):
        shares = F.relu(super().forward((x - self.mean) / 0.25) + 2)
        return shares * torch.tensor([0.3, 0.2, 0.1, 0.1])


NETS = {
    "rectangles": (Rectangles, [2, 3, 24, 40], torch.float32),
    "multilabel": (Multilabel, [2, 3, 32, 32], torch.float32),
    "regression": (Regression, [2, 1, 20, 30], torch.float32),
    "bytes": (Bytes, [2, 3, 24, 24], torch.uint8),
    "centred": (Centred, [2, 3, 24, 24], torch.float32),
}


def state_dict():
    """A SqueezeNet of seven classes whose half-precision weights are windows of short rows of random numbers, so that
    the file is small; what it answers to numbers from -2 to 2 in order."""
    torch.manual_seed(11)
    net = torchvision.models.squeezenet1_1(num_classes=7).eval()
    state = {}
    for name, tensor in net.state_dict().items():
        if tensor.dim() == 4:
            outputs, inputs, height, width = tensor.shape
            strides = (3, height * width, width, 1)
            count = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides))
            row = torch.randn(count) * (2 / (inputs * height * width)) ** 0.5
            state[name] = row.half().as_strided(tensor.shape, strides)
        else:
            state[name] = (0.3 * torch.rand(tensor.shape)).half()
    torch.save(state, OUT / "squeezenet.pth")
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    with torch.no_grad():
        y = net(torch.linspace(-2, 2, 3 * 64 * 64).reshape(1, 3, 64, 64))
    np.save(OUT / "squeezenet_ref.npy", y.numpy())
    print("squeezenet", y.tolist())


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for seed, (name, (make, shape, dtype)) in enumerate(NETS.items()):
        torch.manual_seed(seed)
        net = make().eval()
        x = torch.rand(shape)
        x = (x * 255).to(torch.uint8) if dtype == torch.uint8 else x
        axes = {"image": {0: "n"}, "answer": {0: "n"}}
        torch.onnx.export(net, (x,), OUT / f"{name}.onnx", opset_version=17, dynamo=False, input_names=["image"],
                          output_names=["answer"], dynamic_axes=axes)
        with torch.no_grad():
            y = net(x)
        np.save(OUT / f"{name}_x.npy", x.float().numpy())
        np.save(OUT / f"{name}_ref.npy", y.numpy())
        print(name, y.tolist())
    state_dict()


main()
