"""Makes tests/golden/tensor_functions.json: what PyTorch's functions and their gradients give for random tensors, beside
the same call as the language writes it; and tests/golden/tensor_text.json: what NumPy prints.

    pip install torch numpy
    python tools/golden/tensor_functions.py
"""

import json
import random
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden"
ROUNDS = 6


def shape(draw: random.Random, least: int = 1, most: int = 3) -> list:
    return [draw.randrange(1, 5) for _ in range(draw.randrange(least, most + 1))]


def dims(draw: random.Random, rank: int):
    """One dimension or several, as an argument."""
    if draw.random() < 0.5:
        return draw.randrange(-rank, rank)
    return draw.sample(range(rank), draw.randrange(1, rank + 1))


def text(value) -> str:
    """A value as the language writes it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def reduction(name, run, **options):
    def case(draw):
        size = shape(draw)
        given = {key: choose(draw) for key, choose in options.items()}
        arguments = "".join(f", {key}={text(value)}" for key, value in given.items())
        if draw.random() < 0.2:
            return f"{name}(x{arguments})", size, lambda x: run(x, list(range(x.dim())), False, **given)
        along, keep = dims(draw, len(size)), draw.random() < 0.5
        arguments += f", dim={along}, keepdim={text(keep)}"
        return f"{name}(x{arguments})", size, lambda x: run(x, along, keep, **given)

    return case


def elementwise(name, run, positive=False):
    def case(draw):
        inner = "abs(x) + 0.1" if positive else "x"
        of = (lambda x: run(x.abs() + 0.1)) if positive else run
        return f"{name}({inner})", shape(draw), of

    return case


def broadcast(write, run):
    """Of x and another tensor whose shape is broadcast with its; gradients by either."""

    def case(draw):
        size = shape(draw)
        other = [draw.choice([1, n]) for n in size][draw.randrange(len(size)):]
        values = torch.tensor([draw.randrange(-8, 9) / 4 or 0.5 for _ in range(int(np.prod(other)))])
        other = values.reshape(other)
        constant = f"tensor({other.tolist()})"
        if draw.random() < 0.5:
            return write("x", constant), size, lambda x: run(x, other)
        return write(constant, "x"), size, lambda x: run(other, x)

    return case


def along(name, run, *, positional=False):
    """A function of one dimension."""

    def case(draw):
        size = shape(draw)
        dim = draw.randrange(-len(size), len(size))
        argument = f"{dim}" if positional else f"dim={dim}"
        return f"{name}(x, {argument})", size, lambda x: run(x, dim)

    return case


def softmax(draw):
    size = shape(draw)
    dim = draw.randrange(-len(size), len(size))
    return f"softmax(x * 9, dim={dim})", size, lambda x: torch.softmax(x * 9, dim)


def sort(draw):
    size = shape(draw)
    dim, down = draw.randrange(-len(size), len(size)), draw.random() < 0.5
    return f"sort(x, dim={dim}, descending={text(down)}).values", size, lambda x: x.sort(dim=dim, descending=down).values


def argsort(draw):
    size = shape(draw)
    dim, down = draw.randrange(-len(size), len(size)), draw.random() < 0.5
    return f"argsort(x, dim={dim}, descending={text(down)})", size, lambda x: x.argsort(dim=dim, descending=down)


def topk(draw):
    size = shape(draw)
    dim = draw.randrange(len(size))
    k, largest = draw.randrange(1, size[dim] + 1), draw.random() < 0.5
    run = lambda x: x.topk(k, dim=dim, largest=largest).values
    return f"topk(x, {k}, dim={dim}, largest={text(largest)}).values", size, run


def gather(draw):
    size = shape(draw)
    dim = draw.randrange(len(size))
    index = [draw.randrange(1, 6) if at == dim else draw.randrange(1, n + 1) for at, n in enumerate(size)]
    values = [draw.randrange(size[dim]) for _ in range(int(np.prod(index)))]
    index = torch.tensor(values).reshape(index)
    return f"gather(x, {dim}, tensor({index.tolist()}))", size, lambda x: x.gather(dim, index)


def pick(draw):
    size = shape(draw, 2, 3)
    places = [draw.randrange(-size[1], size[1]) for _ in range(draw.randrange(1, 6))]
    first = draw.randrange(size[0])
    if draw.random() < 0.5:
        return f"x[[(), {places}]]", size, lambda x: x[:, places]
    return f"x[[{first}, tensor({places})]]", size, lambda x: x[first][places]


def mask(draw):
    return "x[x > 0]", shape(draw), lambda x: x[x > 0]


def assign(draw):
    size = shape(draw, 2, 2)
    row, column = draw.randrange(size[0]), draw.randrange(size[1])

    def run(x):
        y = x * 2
        y = y.clone()
        y[row] = x[0] * 3
        y[:, column] += 1.5
        return y

    return f"{{ let y = x * 2; y[{row}] = x[0] * 3; y[[(), {column}]] += 1.5; y }}", size, run


def matmul(draw):
    n, k, m = (draw.randrange(1, 5) for _ in range(3))
    batch = shape(draw, 0, 2)
    left, right = draw.choice([([k], [k]), ([n, k], [k]), ([k], [k, m]), (batch + [n, k], [k, m]), ([n, k], batch + [k, m])])
    other = torch.tensor([draw.randrange(-8, 9) / 4 for _ in range(int(np.prod(right)))]).reshape(right)
    if draw.random() < 0.5:
        return f"matmul(x, tensor({other.tolist()}))", left, lambda x: x.matmul(other)
    other = torch.tensor([draw.randrange(-8, 9) / 4 for _ in range(int(np.prod(left)))]).reshape(left)
    return f"matmul(tensor({other.tolist()}), x)", right, lambda x: other.matmul(x)


def svd(part):
    """Signs are arbitrary, so U and Vh are squared."""

    def case(draw):
        size = shape(draw, 0, 1) + [draw.randrange(1, 5), draw.randrange(1, 5)]
        square = lambda y: y if part == "S" else y * y
        suffix = "" if part == "S" else " ** 2"
        return f"svd(x).{part}{suffix}", size, lambda x: square(getattr(torch.linalg.svd(x, full_matrices=False), part))

    return case


def eigh(part):
    def case(draw):
        n = draw.randrange(1, 5)
        size = shape(draw, 0, 1) + [n, n]
        square = lambda y: y if part == "eigenvalues" else y * y
        suffix = "" if part == "eigenvalues" else " ** 2"
        run = lambda x: square(getattr(torch.linalg.eigh(x + x.transpose(-1, -2)), part))
        return f"eigh(x + x.transpose(-1, -2)).{part}{suffix}", size, run

    return case


def where(draw):
    size = shape(draw)
    return "where(x > 0.25, x * x, 1 - x)", size, lambda x: torch.where(x > 0.25, x * x, 1 - x)


def power(draw):
    size, exponent = shape(draw), draw.choice([-2, -1, 0, 1, 2, 3, 4])
    return f"x ** {exponent}" if exponent >= 0 else f"x ** ({exponent})", size, lambda x: x**exponent


def by_exponent(draw):
    base = draw.choice([0.0, 0.5, 3.0])
    return f"{base} ** abs(x)", shape(draw), lambda x: base ** x.abs()


def clamp(draw):
    return "clamp(x, -0.5, 0.75)", shape(draw), lambda x: x.clamp(-0.5, 0.75)


def reshaped(draw):
    size = shape(draw, 2, 3)
    return "x.transpose(0, -1).reshape([-1]) * x.flatten()", size, lambda x: x.transpose(0, -1).reshape(-1) * x.flatten()


def flag(draw):
    return draw.random() < 0.5


OPERATIONS = [
    reduction("sum", lambda x, d, k: x.sum(d, keepdim=k)),
    reduction("mean", lambda x, d, k: x.mean(d, keepdim=k)),
    reduction("max", lambda x, d, k: x.amax(d, keepdim=k)),
    reduction("min", lambda x, d, k: x.amin(d, keepdim=k)),
    reduction("norm", lambda x, d, k: torch.linalg.vector_norm(x, dim=d, keepdim=k)),
    reduction("norm", lambda x, d, k, p: torch.linalg.vector_norm(x, p, d, k), p=lambda draw: draw.choice([1, 3, 2.5])),
    reduction("std", lambda x, d, k, correction: x.std(dim=d, keepdim=k, correction=correction), correction=lambda _: 0),
    reduction("var", lambda x, d, k, correction: x.var(dim=d, keepdim=k, correction=correction), correction=lambda _: 0),
    elementwise("abs", torch.abs),
    elementwise("sign", torch.sign),
    elementwise("exp", torch.exp),
    elementwise("ln", torch.log, positive=True),
    elementwise("sqrt", torch.sqrt, positive=True),
    elementwise("sin", torch.sin),
    elementwise("cos", torch.cos),
    elementwise("tanh", torch.tanh),
    elementwise("sigmoid", torch.sigmoid),
    elementwise("relu", torch.relu),
    elementwise("floor", torch.floor),
    elementwise("ceil", torch.ceil),
    elementwise("round", torch.round),
    broadcast(lambda a, b: f"{a} + {b}", torch.add),
    broadcast(lambda a, b: f"{a} - {b}", torch.sub),
    broadcast(lambda a, b: f"{a} * {b}", torch.mul),
    broadcast(lambda a, b: f"{a} / {b}", torch.div),
    broadcast(lambda a, b: f"maximum({a}, {b})", torch.maximum),
    broadcast(lambda a, b: f"minimum({a}, {b})", torch.minimum),
    broadcast(lambda a, b: f"where({a} > {b}, {a}, {b} * 2)", lambda a, b: torch.where(a > b, a, b * 2)),
    broadcast(lambda a, b: f"({a} >= {b}) + x", lambda a, b: (a >= b) + (a if a.requires_grad else b)),
    power,
    by_exponent,
    where,
    clamp,
    softmax,
    along("log_softmax", torch.log_softmax),
    along("cumsum", torch.cumsum, positional=True),
    along("argmax", torch.argmax),
    sort,
    argsort,
    topk,
    gather,
    pick,
    mask,
    assign,
    matmul,
    reshaped,
    svd("U"),
    svd("S"),
    svd("Vh"),
    eigh("eigenvalues"),
    eigh("eigenvectors"),
]


def written(value: float):
    """JSON has no infinity and no NaN."""
    return float(f"{value:.8g}") if np.isfinite(value) else str(value)


def listed(values: torch.Tensor) -> list:
    return [written(value) for value in values.detach().double().flatten().tolist()]


def case(operation, seed: str) -> dict:
    draw = random.Random(seed)
    call, size, run = operation(draw)
    count = int(np.prod(size))
    # quarters and other numbers: ties happen
    values = [draw.randrange(-8, 9) / 4 if seed.endswith(("0", "1")) else draw.uniform(-2, 2) for _ in range(count)]
    if "svd" in call or "eigh" in call:
        values = [draw.uniform(-2, 2) for _ in range(count)]
    values = np.array(values, dtype=np.float32)
    x = torch.tensor(values.astype(np.float64).reshape(size), requires_grad=True)
    torch.set_default_dtype(torch.float64)
    y = run(x)
    found = {"call": call, "shape": size, "x": [float(v) for v in values], "result_shape": list(y.shape), "result": listed(y)}
    if y.requires_grad:
        weights = [draw.randrange(-4, 5) / 4 for _ in range(y.numel())]
        (y * torch.tensor(weights, dtype=torch.float64).reshape(y.shape)).sum().backward()
        found |= {"weights": weights, "gradient": listed(x.grad)}
    return found


def write_text() -> None:
    """NumPy's text of tensors, behind the numbers they are made from."""
    draw = random.Random("text")
    arrays = [[1, 2, 3], [[1.5, 2.25], [-3, 4]], [2e-7], [1e-5, 1], [1e8, 1], [0.1, 100], [0, 0], [0.1, 200.5], [1e-10, -3e10]]
    arrays += [[float("nan"), 1.5], [float("inf"), -1.25, float("-inf")], [float("nan")], [1e-5, float("-inf")], [123456.78, 0.001]]
    arrays += [[0.09003057, 0.24472847, 0.66524096], [-1, 10, -100], [16777216, 0.5], [1 / 3, 2 / 3], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]
    sizes = [(40,), (2, 30), (3, 2, 4), (1, 1, 1, 3)]
    large = [(1001,), (30, 40), (4, 20, 20), (7, 150), (2, 2, 2, 130)]
    for scale, size in [(scale, size) for scale in [1, 1000, 1e-3] for size in sizes] + [(20, size) for size in large]:
        values = [float(f"{draw.gauss(0, scale):.4g}") for _ in range(int(np.prod(size)))]
        arrays.append(np.array(values).reshape(size).tolist())
    entries = []
    for array in arrays:
        array = np.array(array, dtype=np.float32)
        entries.append({"shape": list(array.shape), "values": [written(v) for v in array.flatten()], "text": str(array)})
    (FOLDER / "tensor_text.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


def main() -> None:
    cases = [case(operation, f"{number} {draw}") for number, operation in enumerate(OPERATIONS) for draw in range(ROUNDS)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / "tensor_functions.json").write_text(f"[\n{lines}\n]\n")
    write_text()
    print(f"{len(cases)} cases with torch {torch.__version__}, numpy {np.__version__}")


if __name__ == "__main__":
    main()
