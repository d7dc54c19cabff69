"""Makes tests/golden/network_ops.safetensors: what PyTorch computes for every operation of a network.

    pip install torch safetensors numpy
    python tools/golden/network_ops.py

Each operation has CASES random shapes. Inputs and weights are drawn by counting (`draw`), exactly alike here and in
tests/networks/network_ops.rs, so that only these are stored, one row a case:

    {op}.params         the parameters, in the order in which the test reads them
    {op}.shape          the output's shape, filled up with zeros
    {op}.{what}         SAMPLES values in 32767ths of the greatest magnitude, for what = output, gradient (that of
                        Σ output · above for the input), weight and bias (the same for the parameters)
    {op}.{what}.absmax  the greatest magnitude of all values

PyTorch computes in double precision, so all rounding seen by the test is our own, and the 32767ths'.
"""

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
CASES = 220
SAMPLES = 12

# what is drawn for a case
X, WEIGHT, BIAS, MEAN, VAR, ABOVE, BRANCH = 0, 1, 2, 3, 4, 5, 12
SAMPLED = {"output": 6, "gradient": 7, "weight": 8, "bias": 9}


def mixed(case: int, tensor: int, count: int) -> np.ndarray:
    """SplitMix64 of a seed plus 0, 1, 2, ..."""
    z = np.uint64((case * 16 + tensor) << 32) + np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def draw(case: int, tensor: int, *shape: int) -> torch.Tensor:
    """Numbers in [-1, 1) that float32 holds exactly."""
    bits = mixed(case, tensor, int(np.prod(shape))) >> np.uint64(40)
    return torch.from_numpy(bits.astype(np.float64) / 2**23 - 1).reshape(shape)


def stepped(x: torch.Tensor, steps: int) -> torch.Tensor:
    """In quarters if wanted: ties and kinks are hit."""
    return torch.floor(x * 4) / 4 if steps else x


class Recorder:
    def __init__(self, name: str):
        self.name = name
        self.rows = {}

    def put(self, what: str, row) -> None:
        self.rows.setdefault(what, []).append(row)

    def sample(self, case: int, what: str, value: torch.Tensor) -> None:
        flat = value.detach().flatten().numpy()
        absmax = np.abs(flat).max()
        places = mixed(case, SAMPLED[what], SAMPLES) % np.uint64(flat.size)
        self.put(what, np.round(flat[places.astype(np.int64)] / (absmax or 1) * 32767).astype(np.int16))
        self.put(f"{what}.absmax", np.float32(absmax))

    def record(self, case: int, params: list, x: torch.Tensor, function, weight=None, bias=None) -> None:
        """The value of function(x, weight, bias) and all its gradients."""
        x.requires_grad_()
        parameters = {"weight": weight, "bias": bias}
        for parameter in parameters.values():
            if parameter is not None:
                parameter.requires_grad_()
        y = function(x)
        (y * draw(case, ABOVE, *y.shape)).sum().backward()
        self.put("params", np.array(params, dtype=np.uint8))
        self.put("shape", np.array((list(y.shape) + [0, 0])[:4], dtype=np.uint8))
        self.sample(case, "output", y)
        self.sample(case, "gradient", x.grad)
        for what, parameter in parameters.items():
            if parameter is not None:
                self.sample(case, what, parameter.grad)
            elif weight is not None:
                self.sample(case, what, torch.zeros(1))

    def arrays(self) -> dict:
        return {f"{self.name}.{what}": np.stack(rows) for what, rows in self.rows.items()}


def maps(rng: random.Random, least: int = 1) -> list:
    """N, C, H, W, of at least so many numbers."""
    while True:
        shape = [rng.randint(1, 3), rng.randint(1, 17), rng.randint(1, 13), rng.randint(1, 13)]
        if least <= np.prod(shape) <= 3000:
            return shape


def conv2d(recorder: Recorder, rng: random.Random, case: int) -> None:
    while True:
        n, c, h, w = maps(rng)
        kernel, stride = [rng.randint(1, 5), rng.randint(1, 5)], [rng.randint(1, 3), rng.randint(1, 3)]
        dilation, padding = [rng.randint(1, 3), rng.randint(1, 3)], [rng.randint(0, 3) for _ in range(4)]
        groups = rng.choice([g for g in range(1, c + 1) if c % g == 0])
        o = groups * rng.randint(1, 6)
        kind = rng.randint(0, 9)
        if kind == 0:  # depthwise
            groups = o = c
        elif kind == 1:  # pointwise
            kernel, stride, dilation, padding, groups = [1, 1], [1, 1], [1, 1], [0] * 4, 1
        elif kind in (2, 3):  # the usual, with many channels
            n, c, o, groups = rng.randint(1, 2), rng.randint(12, 40), rng.randint(12, 40), 1
            h, w = rng.randint(5, 19), rng.randint(5, 19)
            kernel, stride, dilation, padding = [3, 3], [1, 1], [1, 1], [rng.randint(0, 2) for _ in range(4)]
        top, bottom, left, right = padding
        room = [h + top + bottom - dilation[0] * (kernel[0] - 1), w + left + right - dilation[1] * (kernel[1] - 1)]
        if min(room) >= 1:
            break
    with_bias = rng.randint(0, 1)
    x, weight = draw(case, X, n, c, h, w), draw(case, WEIGHT, o, c // groups, *kernel)
    bias = draw(case, BIAS, o) if with_bias else None
    recorder.record(
        case, [n, c, h, w, o, *kernel, *stride, *padding, *dilation, groups, with_bias], x,
        lambda x: F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups),
        weight, bias,
    )


def window(rng: random.Random) -> tuple:
    """A shape, and a pooling window that has a place in it."""
    while True:
        n, c, h, w = maps(rng)
        kernel, stride = [rng.randint(1, 4), rng.randint(1, 4)], [rng.randint(1, 4), rng.randint(1, 4)]
        padding = [rng.randint(0, k // 2) for k in kernel]
        if h + 2 * padding[0] >= kernel[0] and w + 2 * padding[1] >= kernel[1]:
            return [n, c, h, w], kernel, stride, padding, rng.randint(0, 1)


def max_pool2d(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, kernel, stride, padding, ceil = window(rng)
    steps = rng.randint(0, 1)
    recorder.record(
        case, [*shape, *kernel, *stride, *padding, ceil, steps], stepped(draw(case, X, *shape), steps),
        lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=bool(ceil)),
    )


def avg_pool2d(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, kernel, stride, padding, ceil = window(rng)
    include = rng.randint(0, 1)
    recorder.record(
        case, [*shape, *kernel, *stride, *padding, ceil, include], draw(case, X, *shape),
        lambda x: F.avg_pool2d(x, kernel, stride, padding, bool(ceil), bool(include)),
    )


def adaptive_avg_pool2d(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, size = maps(rng), [rng.randint(1, 9), rng.randint(1, 9)]
    recorder.record(case, [*shape, *size], draw(case, X, *shape), lambda x: F.adaptive_avg_pool2d(x, size))


def linear(recorder: Recorder, rng: random.Random, case: int) -> None:
    n, c, h, w = maps(rng)
    o, with_bias = rng.randint(1, 60), rng.randint(0, 1)
    weight = draw(case, WEIGHT, o, c * h * w)
    bias = draw(case, BIAS, o) if with_bias else None
    recorder.record(
        case, [n, c, h, w, o, with_bias], draw(case, X, n, c, h, w),
        lambda x: F.linear(x.flatten(1), weight, bias), weight, bias,
    )


def batch_norm(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, exponent = maps(rng), rng.choice([2, 3, 5])
    c = shape[1]
    mean, var = draw(case, MEAN, c), (draw(case, VAR, c) + 1) / 2
    # what float32 makes of it
    var = (var.float() + 0.25).double()
    weight, bias = draw(case, WEIGHT, c), draw(case, BIAS, c)
    recorder.record(
        case, [*shape, exponent], draw(case, X, *shape),
        lambda x: F.batch_norm(x, mean, var, weight, bias, eps=10.0**-exponent), weight, bias,
    )


def local_response_norm(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, size = maps(rng), rng.randint(1, 7)
    alpha, beta, k = rng.randint(1, 200), rng.randint(25, 150), rng.randint(5, 30)
    recorder.record(
        case, [*shape, size, alpha, beta, k], draw(case, X, *shape) * 4,
        lambda x: F.local_response_norm(x, size, alpha / 100, beta / 100, k / 10),
    )


def softmax(recorder: Recorder, rng: random.Random, case: int) -> None:
    n, c, h, w = maps(rng, 32)
    c = max(c, 2)
    recorder.record(case, [n, c, h, w], draw(case, X, n, c, h, w) * 8, lambda x: F.softmax(x, 1))


def activation(function, slope: bool = False):
    def make(recorder: Recorder, rng: random.Random, case: int) -> None:
        # so many numbers that some lie where the slope is not lost in rounding
        shape, steps = maps(rng, 32), rng.randint(0, 1)
        extra = [rng.randint(1, 90)] if slope else []
        recorder.record(
            case, [*shape, steps, *extra], stepped(draw(case, X, *shape) * 8, steps),
            lambda x: function(x, *(e / 100 for e in extra)),
        )

    return make


def branch(case: int, number: int, x: torch.Tensor, channels: int) -> torch.Tensor:
    """A 1x1 convolution, so that an operation of several inputs gets several."""
    return F.conv2d(x, draw(case, BRANCH + number, channels, x.shape[1], 1, 1))


def concat(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape = maps(rng)
    channels = [rng.randint(1, 9) if i < rng.randint(1, 3) else 0 for i in range(3)]
    recorder.record(
        case, [*shape, *channels], draw(case, X, *shape),
        lambda x: torch.cat([x] + [branch(case, i, x, c) for i, c in enumerate(channels) if c], 1),
    )


def add(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, count = maps(rng), rng.randint(1, 3)
    recorder.record(
        case, [*shape, count], draw(case, X, *shape),
        lambda x: x + sum(branch(case, i, x, shape[1]) for i in range(count)),
    )


def mul(recorder: Recorder, rng: random.Random, case: int) -> None:
    shape, kind = maps(rng), rng.randint(0, 2)

    def function(x):
        other = branch(case, 0, x if kind == 0 else F.adaptive_avg_pool2d(x, 1), shape[1])
        return other * x if kind == 2 else x * other

    recorder.record(case, [*shape, kind], draw(case, X, *shape), function)


OPS = {
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "linear": linear,
    "batch_norm": batch_norm,
    "local_response_norm": local_response_norm,
    "softmax": softmax,
    "relu": activation(F.relu),
    "relu6": activation(F.relu6),
    "leaky_relu": activation(F.leaky_relu, slope=True),
    "silu": activation(F.silu),
    "hardswish": activation(F.hardswish),
    "hardsigmoid": activation(F.hardsigmoid),
    "gelu": activation(F.gelu),
    "sigmoid": activation(torch.sigmoid),
    "tanh": activation(torch.tanh),
    "concat": concat,
    "add": add,
    "mul": mul,
}


def main() -> None:
    torch.set_num_threads(1)
    golden = {}
    for number, (name, make) in enumerate(OPS.items()):
        recorder, rng = Recorder(name), random.Random(number)
        for case in range(CASES):
            make(recorder, rng, case)
        golden |= recorder.arrays()
    target = ROOT / "tests" / "golden" / "network_ops.safetensors"
    save_file(golden, target, metadata={"torch": torch.__version__})
    print(f"{len(OPS)} operations, {CASES} cases each, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
