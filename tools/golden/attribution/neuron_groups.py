"""Makes tests/golden/attribution/neuron_groups.safetensors with scikit-learn's NMF; see common.py.

    pip install scikit-learn

What is compared is how much of the activations a factorization misses.
"""

import torch
from common import golden
from sklearn.decomposition import NMF


def missed(layer, groups):
    def compute(model, x, _):
        kept = {}
        handle = model.get_submodule(layer).register_forward_hook(lambda _, __, output: kept.update(value=output.detach()))
        model(x)
        handle.remove()
        activations = kept["value"][0].flatten(1).T.double().numpy()
        factors = NMF(groups, init="nndsvda", tol=1e-10, max_iter=20000)
        maps = factors.fit_transform(activations)
        rest = activations - maps @ factors.components_
        print(f"{layer}, {groups}: {(rest**2).sum() ** 0.5 / (activations**2).sum() ** 0.5:.6f} after {factors.n_iter_} steps")
        return torch.tensor([(rest**2).sum() ** 0.5 / (activations**2).sum() ** 0.5])

    return compute


golden(
    "neuron_groups",
    [
        ("squeezenet1_1", 'tensor([neuron_groups(img, "fire8").error])', missed("features.11", 6)),
        ("squeezenet1_1", 'tensor([neuron_groups(img, "fire5", groups=5).error])', missed("features.7", 5)),
        ("resnet18", 'tensor([neuron_groups(img, "layer4", model=m).error])', missed("layer4", 6)),
        ("toy", 'tensor([neuron_groups(img, "relu1", groups=1, model=m).error])', missed("relu1", 1)),
    ],
)
