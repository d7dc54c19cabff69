"""Prints the numbers that src/vis/optimizer/lbfgs/tests.rs compares with: SciPy's L-BFGS-B on small functions.

    pip install numpy scipy

Of each function the minimum and its place, and the value after each of the first iterations. The quadratic function is checked
against a solution by active sets: where it lies at a bound its slope points outwards, elsewhere it is 0.
"""

import numpy as np
from scipy.optimize import minimize

START = [-1.2, 1.0]


def rosenbrock(x):
    a, b = x
    value = 100 * (b - a * a) ** 2 + (1 - a) ** 2
    return value, np.array([-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)])


def quadratic(size=20):
    """½ xᵀAx − bᵀx, A = tridiagonal and a little of everything, with minima far outside of [−1, 1] in places."""
    i = np.arange(size)
    a = 0.05 * np.cos(np.add.outer(i, i)) + np.diag(2.0 + 0.5 * i) + np.diag(-np.ones(size - 1), 1) + np.diag(-np.ones(size - 1), -1)
    b = 6 * np.sin(1.3 * i)
    assert np.linalg.eigvalsh(a).min() > 0.1
    return (lambda x: (0.5 * x @ a @ x - b @ x, a @ x - b)), a, b


def chained(size=25):
    """The test function of L-BFGS-B's own driver: Rosenbrock's, chained."""

    def f(x):
        inner = x[1:] - x[:-1] ** 2
        value = 4 * (0.25 * (x[0] - 1) ** 2 + np.sum(inner**2))
        gradient = np.zeros(size)
        gradient[0] = 2 * (x[0] - 1)
        gradient[1:] += 8 * inner
        gradient[:-1] -= 16 * x[:-1] * inner
        return value, gradient

    return f


def run(name, f, start, bounds):
    values = []
    found = minimize(
        f,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=lambda intermediate_result: values.append(float(intermediate_result.fun)),
        options={"maxcor": 10, "ftol": 0, "gtol": 1e-9, "maxiter": 1000, "maxfun": 10000},
    )
    print(f"{name}: {found.nit} iterations, {found.nfev} looks, {found.message}")
    print("  value", repr(float(found.fun)))
    print("  place", ", ".join(f"{value:.12g}" for value in found.x))
    print("  values", ", ".join(f"{value:.10g}" for value in values[:8]))
    return found.x


run("rosenbrock", rosenbrock, START, None)
run("rosenbrock, bounded", rosenbrock, START, [(-1.5, 0.5), (-0.5, 2.0)])
f, a, b = quadratic()
x = run("quadratic", f, np.zeros(20), [(-1, 1)] * 20)
slopes = a @ x - b
assert np.all(slopes[x <= -1] > 0) and np.all(slopes[x >= 1] < 0) and np.abs(slopes[np.abs(x) < 1]).max() < 1e-6
print("  at bounds", [int(i) for i in np.flatnonzero(np.abs(x) >= 1)])
run("quadratic, one side", f, np.full(20, 0.5), [(None, 0.25)] * 20)
bounds = [(1, 100) if i % 2 == 0 else (-100, 100) for i in range(25)]
run("chained", chained(), np.full(25, 3.0), bounds)
