"""Makes tests/golden/attribution/measures.safetensors: measures of attributions by the code or the formulas of their papers.

Deletion and insertion as the authors of RISE compute them (eclique/RISE: evaluation.py), ROAD with pytorch-grad-cam's imputer
without noise, infidelity with Captum, max-sensitivity by its formula over Captum's Saliency; see common.py. Percept must be
built and be on the path, or PERCEPT name it: the noise is its own.

The toy's outputs are values, of which no softmax is taken. Its gradient is 0 or 1, and the same all around the image. So
max-sensitivity is that of gradient times input there, and so is ROAD, at a percentile where no pixels are equal: of equal
ones pytorch-grad-cam takes all or none.
"""

import numpy as np
import torch
from captum.attr import Saliency
from captum.metrics import infidelity as captum_infidelity
from common import golden, percept_masks
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.ndimage import gaussian_filter

STEPS = {"squeezenet1_1": 2000, "toy": 4}
SEED = 3
SAMPLES = 6


def gradient(model, x, target):
    return Saliency(model).attribute(x.clone().requires_grad_(), target=target, abs=False)[0]


def saliency(model, x, target):
    """The map that measures look at: the greatest magnitude over the channels."""
    return gradient(model, x, target).abs().amax(0).double().numpy()


def probability(model, x, target):
    read = (lambda values: values) if is_toy(x) else (lambda logits: torch.softmax(logits, 1))
    with torch.no_grad():
        return torch.cat([read(model(one[None]))[0, target][None] for one in x])


def is_toy(x):
    return x.shape[1] == 1


def curve(model, start, finish, order, target):
    images = [start.flatten(2).clone()[0]]
    size = STEPS["toy" if is_toy(start) else "squeezenet1_1"]
    for step in range((order.size + size - 1) // size):
        place = torch.from_numpy(order[size * step:size * (step + 1)].copy())
        images.append(images[-1].clone())
        images[-1][:, place] = finish.flatten(2)[0, :, place]
    return probability(model, torch.stack(images).reshape(-1, *start.shape[1:]), target)[None]


def order_of(model, x, target):
    return np.argsort(-saliency(model, x, target).flatten(), kind="stable")


def deletion(model, x, target):
    return curve(model, x, torch.zeros_like(x), order_of(model, x, target), target)


def insertion(model, x, target):
    dirac = np.zeros((11, 11))
    dirac[5, 5] = 1
    channels = x.shape[1]
    kernel = torch.zeros(channels, channels, 11, 11)
    for channel in range(channels):
        kernel[channel, channel] = torch.from_numpy(gaussian_filter(dirac, 5)).float()
    blurred = torch.nn.functional.conv2d(x, kernel, padding=5)
    return curve(model, blurred, x, order_of(model, x, target), target)


def area(compute):
    def value(model, x, target):
        points = compute(model, x, target).double()[0]
        return ((points.sum() - points[0] / 2 - points[-1] / 2) / (len(points) - 1))[None]

    return value


def road(method, percentiles):
    def compute(model, x, target):
        relevance = method(model, x, target).abs().amax(0).numpy()
        imputer = NoisyLinearImputer(noise=0)
        rows = []
        for signed in (relevance, -relevance):
            limits = [np.percentile(signed.astype(np.float64), percentile) for percentile in percentiles]
            kept = [torch.from_numpy(np.float32(signed < limit)) for limit in limits]
            rows.append(probability(model, torch.stack([imputer(x[0], mask) for mask in kept]), target))
        return torch.stack(rows)

    return compute


def average_drop(model, x, target):
    relevance = saliency(model, x, target)
    relevance = (relevance - relevance.min()) / (relevance.max() - relevance.min())
    seen = x * torch.from_numpy(relevance).float()
    before, after = probability(model, torch.cat([x, seen]), target).double()
    return (100 * (before - after).clamp(min=0) / before)[None]


def infidelity(normalize):
    def compute(model, x, target):
        deviation = 0.05 * (x.max() - x.min())
        drawn = [percept_masks(f"randn({list(x.shape)}, seed={SEED + i})") for i in range(SAMPLES)]
        noise = deviation * torch.cat(drawn)
        value = gradient(model, x, target)[None] * x
        return captum_infidelity(
            model,
            lambda inputs: (noise, inputs - noise),
            x,
            value,
            target=target,
            n_perturb_samples=SAMPLES,
            normalize=normalize,
        )

    return compute


def gradient_times_input(model, x, target):
    return gradient(model, x, target) * x[0]


def max_sensitivity(method):
    def compute(model, x, target):
        radius = 0.01 * (x.max() - x.min())
        clean = method(model, x, target)
        changes = []
        for i in range(3):
            noise = radius * (2 * percept_masks(f"rand({list(x.shape)}, seed={SEED + i})") - 1)
            changes.append((method(model, x + noise, target) - clean).norm() / clean.norm())
        return torch.stack(changes).max()[None]

    return compute


def sparseness(model, x, target):
    values = np.sort(saliency(model, x, target).flatten())
    places = np.arange(1, values.size + 1)
    return torch.tensor([((2 * places - values.size - 1) * values).sum() / (values.size * values.sum())])


def complexity(model, x, target):
    values = saliency(model, x, target).flatten()
    values = values / values.sum()
    return torch.tensor([-(values[values > 0] * np.log(values[values > 0])).sum()])


CASES = [
    ("deletion(saliency(img{m}), step={step}).curves", deletion),
    ("tensor([deletion(saliency(img{m}), step={step}).value])", area(deletion)),
    ("insertion(saliency(img{m}), step={step}).curves", insertion),
    ("tensor([insertion(saliency(img{m}), step={step}).value])", area(insertion)),
    ("road({method}(img{m}), percentiles={percentiles}, noise=0, seed=1).curves", "road"),
    ("tensor([average_drop(saliency(img{m})).value])", average_drop),
    (f"tensor([infidelity(input_x_gradient(img{{m}}), samples={SAMPLES}, seed={SEED}).value])", infidelity(True)),
    (f"tensor([infidelity(input_x_gradient(img{{m}}), samples={SAMPLES}, scaled=false, seed={SEED}).value])", infidelity(False)),
    (f"tensor([max_sensitivity({{method}}, img{{m}}, samples=3, seed={SEED}).value])", "max_sensitivity"),
    ("tensor([sparseness(saliency(img{m})).value])", sparseness),
    ("tensor([complexity(saliency(img{m})).value])", complexity),
]


def cases(network, m, name, method, percentiles):
    options = {"m": m, "step": STEPS[network], "method": name, "percentiles": percentiles}
    own = {"road": road(method, percentiles), "max_sensitivity": max_sensitivity(method)}
    return [(network, code.format(**options), own.get(compute, compute)) for code, compute in CASES]


golden(
    "measures",
    cases("squeezenet1_1", "", "saliency", gradient, [30, 60, 90])
    + cases("toy", ", model=m", "input_x_gradient", gradient_times_input, [50]),
)
