"""Prints the numbers that the tests of src/vis/optimizer/{momentum,adam,nadam}.rs compare with: where ten steps lead.

    pip install torch

The steps are PyTorch's; its NAdam with a momentum decay of 1 and ε = 1e-7 follows Keras' formulas, which are written out
besides and must agree. Everything in double precision; ascent is descent along the negative gradient.
"""

import torch

START = [0.5, -1.0, 2.0, 0.0]


def gradient(step):
    return [1 / step, -2.0 if step % 2 == 0 else 1.0, 0.0, 0.01 * step * step]


def run(make):
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make([x])
    for step in range(1, 11):
        x.grad = -torch.tensor(gradient(step), dtype=torch.float64)
        optimizer.step()
    return x.tolist()


def keras_nadam(rate):
    """keras/src/optimizers/nadam.py, line by line."""
    x = torch.tensor(START, dtype=torch.float64)
    m, v, product = torch.zeros(4).double(), torch.zeros(4).double(), 1.0
    for step in range(1, 11):
        g = -torch.tensor(gradient(step), dtype=torch.float64)
        u, u_next = (0.9 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product *= u
        m += (g - m) * (1 - 0.9)
        v += (g * g - v) * (1 - 0.999)
        m_hat = u_next * m / (1 - product * u_next) + (1 - u) * g / (1 - product)
        v_hat = v / (1 - 0.999**step)
        x -= m_hat * rate / (v_hat.sqrt() + 1e-7)
    return x.tolist()


nadam = run(lambda p: torch.optim.NAdam(p, lr=1.0, momentum_decay=1.0, eps=1e-7))
# PyTorch keeps the product of the momenta in single precision
assert max(abs(a - b) for a, b in zip(nadam, keras_nadam(1.0))) < 1e-7
for name, numbers in [
    ("momentum 0.9", run(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9))),
    ("momentum 0", run(lambda p: torch.optim.SGD(p, lr=0.05))),
    ("adam", run(lambda p: torch.optim.Adam(p, lr=0.05))),
    ("nadam", keras_nadam(1.0)),
]:
    print(f"{name}: {', '.join(f'{number:.9f}' for number in numbers)}")
