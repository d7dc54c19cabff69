"""Makes tests/golden/hooks.json: values and gradients inside networks, as PyTorch's autograd and its hooks have them.

    pip install torch torchvision safetensors numpy efficientnet-lite-pytorch
    python tools/golden/hooks.py

SqueezeNet 1.1 has the embedded weights; the other networks' weights are made from the names of their parameters, as
tools/golden/zoo.py says, and so are the inputs. Everything is computed in double precision.

Gradients are those of the greatest logit at the output of each layer, through everything that reads it. Where a ReLU is
ruled by guided backpropagation, a hook at its input keeps only what is positive. "guided" has that at every ReLU, "mixed"
at those in MIXED alone. Of each tensor are kept its shape, its norm, its greatest absolute value and some values. Of the
inputs, the first is taken at which no gradient hangs on rounding.
"""

import json
import warnings
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torchvision.models.feature_extraction import NodePathTracer
from zoo import fill, inputs, network, sample, uniform

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "golden" / "hooks.json"
VALUES = 12

# the input's size, how it is scaled, the layers, and the ReLUs that are guided in "mixed"
NETWORKS = {
    "squeezenet1_1": (
        (97, 81),
        50.0,
        ["features.0", "features.1", "features.2", "features.3.expand1x1_activation", "features.3.expand3x3", "features.3",
         "features.6.squeeze_activation", "features.7", "features.8", "features.12", "classifier.0", "classifier.1",
         "classifier.2", "flatten"],
        ["features.4.squeeze_activation", "features.7.expand3x3_activation"],
    ),
    "resnet18": (
        (64, 81),
        1.0,
        ["conv1", "bn1", "relu", "maxpool", "layer1.0.conv2", "layer1.0.add", "layer1.0.relu_1", "layer2.0.conv1",
         "layer2.0.downsample.1", "layer2.0.bn2", "layer3.0.relu_1", "layer4.1.bn2", "layer4.1.relu_1", "avgpool",
         "flatten", "fc"],
        ["layer1.1.relu", "layer3.0.relu_1"],
    ),
    "googlenet": (
        (65, 80),
        1.0,
        ["conv1.conv", "maxpool1", "inception3a.branch1.relu", "inception3a.branch2.1.conv", "inception3a.cat",
         "inception3b.cat", "maxpool3", "inception4b.branch4.1.relu", "inception4c.cat", "inception5b.cat", "avgpool",
         "dropout", "fc"],
        ["inception3b.branch3.1.relu", "inception4e.branch1.relu"],
    ),
    "densenet121": (
        (36, 40),
        1.0,
        ["features.conv0", "features.norm0", "features.relu0", "features.pool0",
         "features.denseblock1.denselayer2.conv2", "features.denseblock1.denselayer3.cat",
         "features.denseblock1.denselayer3.norm1", "features.denseblock1.denselayer3.relu2", "features.denseblock1.cat",
         "features.transition1.pool", "features.denseblock3.denselayer9.cat", "features.denseblock4.cat",
         "features.norm5", "relu", "classifier"],
        ["features.denseblock2.denselayer5.relu1", "relu"],
    ),
}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    golden = {name: measure(name, *row) for name, row in NETWORKS.items()}
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in golden.items())
    versions = json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__})
    TARGET.write_text(f'{{"versions": {versions},\n"networks": {{\n{rows}\n}}}}\n')
    print(f"{len(golden)} networks, {TARGET.stat().st_size} bytes")


def measure(name: str, size: tuple[int, int], scale: float, layers: list[str], mixed: list[str]) -> dict:
    model = network(name)
    if name == "squeezenet1_1":
        model.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"))
    else:
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(fill(key, tuple(value.shape))))
    for module in model.modules():
        # what is computed in its place would change the value that is kept
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    rules = {"derivative": [], "guided": None, "mixed": mixed}
    seed, x = next(
        (seed, scale * x) for seed, x in inputs(size)
        if all(is_clear(model, guided, scale * x, layers) for guided in rules.values())
    )
    runs = {rule: Traced(model.double(), guided).run(x, layers) for rule, guided in rules.items()}
    values, _, best = runs["derivative"]
    result = {
        "size": size,
        "input": seed,
        "scale": scale,
        "class": best,
        "mixed": mixed,
        "values": {layer: sample(values[layer], VALUES) for layer in layers},
        "gradients": {
            rule: {layer: sample(value, VALUES) for layer, value in gradients.items()}
            for rule, (_, gradients, _) in runs.items()
        },
    }
    print(f"{name}: {seed}, class {best}", flush=True)
    return result


class Traced(torch.fx.Interpreter):
    """Runs a network operation by operation, under torchvision's names."""

    def __init__(self, model: torch.nn.Module, guided: list[str] | None) -> None:
        tracer = NodePathTracer()
        graph = tracer.trace(model)
        super().__init__(torch.fx.GraphModule(tracer.root, graph))
        self.names = {node.name: qualname for node, qualname in tracer.node_to_qualname.items()}
        self.guided, self.values = guided, {}

    def run_node(self, node: torch.fx.Node):
        name = self.names.get(node.name, node.name)
        is_relu = node.target is torch.nn.functional.relu or (
            node.op == "call_module" and isinstance(self.module.get_submodule(node.target), torch.nn.ReLU)
        )
        if is_relu and (self.guided is None or name in self.guided):
            # a value of its own, whose gradient has come through this ReLU alone
            x = self.env[node.args[0]].clone()
            x.register_hook(lambda gradient: gradient.clamp(min=0))
            value = torch.nn.functional.relu(x)
        elif node.target is torch.nn.functional.relu:
            # not in its place, as DenseNet asks for: that would change the value that is kept
            value = torch.nn.functional.relu(self.env[node.args[0]])
        else:
            value = super().run_node(node)
        self.values[name] = value
        return value

    def run(self, x: torch.Tensor, layers: list[str]):
        """Values of the layers, gradients at them and at the input, and the class."""
        x = x.clone().requires_grad_()
        logits = super().run(x)[0]
        # a fire module has the name of its module
        values = {layer: self.values[layer] if layer in self.values else self.values[layer + ".cat"] for layer in layers}
        best = logits.argmax().item()
        gradients = torch.autograd.grad(logits[best], [x, *values.values()])
        return values, dict(zip(["input", *layers], gradients)), best


def is_clear(model: torch.nn.Module, guided: list[str] | None, x: torch.Tensor, layers: list[str]) -> bool:
    """Whether a change of the input as large as the rounding of single precision leaves the gradients alone: if not, some
    ReLU or maximum is too close to its kink. Where neighbouring windows share a maximum, the next pooling has exact ties,
    as GoogLeNet's have; these stay ties, of which every program takes the first."""
    noise = torch.from_numpy(2 * uniform("noise", x.numel()) - 1).reshape(x.shape)
    traced = Traced(model.double(), guided)
    (_, gradients, best), (_, nearby, nearby_best) = traced.run(x, layers), traced.run(x * (1 + 5e-6 * noise), layers)
    close = ((gradients[layer] - nearby[layer]).abs().max() < 2e-5 * gradients[layer].abs().max() for layer in gradients)
    return best == nearby_best and all(close)


if __name__ == "__main__":
    main()
