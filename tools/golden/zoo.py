"""Makes tests/golden/zoo.json: what PyTorch computes with every network of src/model/zoo.

    pip install torch torchvision numpy efficientnet-lite-pytorch
    python tools/golden/zoo.py                     # writes the file
    python tools/golden/zoo.py --list resnet18     # parameters and nodes as text, to find what differs

Weights and inputs are made from the names of the parameters, exactly alike here and in tests/networks/zoo.rs, so that
they need not be stored: value i of a parameter comes from splitmix64, seeded with the FNV-1a hash of the parameter's
name. With u in [0, 1) that is

    weight of several dimensions    (2u - 1) * sqrt(6 / fan_in), whose variance is 2 / fan_in (He et al., 2015)
    weight of one dimension         0.6 + 0.4 u, the scale of a batch-norm
    bias, running_mean              (2u - 1) / 10
    running_var                     0.5 + u
    the input, as "input 0", ...    2 (2u - 1)

in double precision, rounded to float32 at the end. What is computed from them is computed in double precision. Of the
inputs, the first is taken at which the gradient does not hang on rounding.

The gradient is that of the greatest logit. Of each tensor are kept its shape, its norm, its greatest absolute value and
some of its values, evenly spaced. The script also keeps a hash of the names and shapes of all parameters, a hash of the
names of torchvision's graph in order of execution, and the smallest square image the network takes, which it finds by
trying.
"""

import argparse
import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

TARGET = Path(__file__).resolve().parents[2] / "tests" / "golden" / "zoo.json"
VALUES = {"tap": 16, "logits": 16, "gradient": 64}

VGG_TAPS = {"": ["features.0", "features.4", "avgpool"], "_bn": ["features.1", "features.6", "avgpool"]}
RESNET_TAPS = ["maxpool", "layer2.0.add", "layer3.0.relu_1", "layer4.1.bn2"]

# height and width of the input, and taps
NETWORKS = {
    "alexnet": ((71, 95), ["features.2", "features.8", "avgpool", "classifier.2"]),
    **{f"vgg{d}{bn}": ((48, 64), VGG_TAPS[bn]) for d in (11, 13, 16, 19) for bn in ("", "_bn")},
    "squeezenet1_0": ((64, 81), ["features.2", "features.5.cat", "features.11"]),
    "squeezenet1_1": ((64, 81), ["features.2", "features.6.cat", "classifier.1"]),
    "googlenet": ((65, 80), ["maxpool1", "inception3a.branch4.1.relu", "inception4b.cat", "maxpool4"]),
    "inception_v3": ((99, 107), ["maxpool2", "Mixed_5b.cat", "Mixed_6b.branch7x7_2.relu", "Mixed_7b.cat_1"]),
    **{f"resnet{d}": ((64, 81), RESNET_TAPS) for d in (18, 34, 50, 101, 152)},
    "mobilenet_v2": ((64, 81), ["features.1.conv.1", "features.5.add", "features.18.2"]),
    "densenet121": ((64, 81), ["features.pool0", "features.denseblock2.denselayer3.cat", "features.transition3.pool"]),
    "efficientnet_lite0": ((64, 82), ["_blocks.0._bn1", "_blocks.2", "_blocks.5._depthwise_conv", "_conv_head"]),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", metavar="NETWORK")
    listed = parser.parse_args().list
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if listed:
        model = network(listed)
        print("\n".join(parameter_lines(model) + node_lines(listed, model)))
        return
    golden = {name: measure(name, size, taps) for name, (size, taps) in NETWORKS.items()}
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in golden.items())
    versions = json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__})
    TARGET.write_text(f'{{"versions": {versions},\n"networks": {{\n{rows}\n}}}}\n')
    print(f"{len(golden)} networks, {TARGET.stat().st_size} bytes")


def measure(name: str, size: tuple[int, int], taps: list[str]) -> dict:
    model = network(name)
    for key, value in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(fill(key, tuple(value.shape))))
    least = minimum(name, model)
    model.double()
    seed, x = next((seed, x) for seed, x in inputs(size) if has_clear_gradient(model, x))
    values, logits = run(model, taps, x), model(x)
    best, slope = gradient(model, x)
    result = {
        "size": size,
        "input": seed,
        "minimum": least,
        "parameters": summary(parameter_lines(model)),
        "count": sum(parameter.numel() for parameter in model.parameters()),
        "nodes": summary(node_lines(name, model)),
        "taps": {tap: sample(value, VALUES["tap"]) for tap, value in values.items()},
        "logits": sample(logits, VALUES["logits"]),
        "class": best,
        "gradient": sample(slope, VALUES["gradient"]),
    }
    scales = " ".join(f"{tap['absmax']:.3g}" for tap in result["taps"].values())
    print(f"{name}: {seed}; taps up to {scales}; logits up to {result['logits']['absmax']:.3g}; "
          f"gradient up to {result['gradient']['absmax']:.3g}; at least {least} pixels", flush=True)
    return result


def inputs(size: tuple[int, int]) -> Iterator[tuple[str, torch.Tensor]]:
    """Inputs with the name they are made from."""
    for seed in map("input {}".format, itertools.count()):
        pixels = (4 * uniform(seed, 3 * size[0] * size[1]) - 2).astype(np.float32)
        yield seed, torch.from_numpy(pixels).reshape(1, 3, *size).double()


def has_clear_gradient(model: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether no ReLU and no maximum is so close to its kink that rounding could decide which side it is on: there the
    gradient jumps, and two right programs differ."""
    _, slope = gradient(model, x)
    noise = torch.from_numpy(2 * uniform("noise", x.numel()) - 1).reshape(x.shape)
    _, nearby = gradient(model, x * (1 + 1e-6 * noise))
    model.float()
    _, rounded = gradient(model, x.float())
    model.double()
    return all((slope - other).abs().max() < 1e-5 * slope.abs().max() for other in (nearby, rounded))


def gradient(model: torch.nn.Module, x: torch.Tensor) -> tuple[int, torch.Tensor]:
    """The class of the greatest logit, and that logit's gradient."""
    x = x.clone().requires_grad_()
    logits = model(x)[0]
    best = logits.argmax().item()
    return best, torch.autograd.grad(logits[best], x)[0]


def network(name: str) -> torch.nn.Module:
    if name == "efficientnet_lite0":
        return EfficientNet.from_name("efficientnet-lite0").eval()
    # inception networks are published with auxiliary classifiers, which only serve training
    options = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    start = {"init_weights": False} if name.startswith(("vgg", "googlenet", "inception")) else {}
    model = getattr(torchvision.models, name)(**options, **start).eval()
    for module in model.modules():
        if isinstance(module, torchvision.ops.Conv2dNormActivation):
            # the tracer does not look into modules of torchvision.ops
            module.__class__ = torch.nn.Sequential
    return model


def run(model: torch.nn.Module, taps: list[str], x: torch.Tensor) -> dict:
    """The values of the taps."""
    values = {}
    for tap in taps:
        if isinstance(model, EfficientNet):
            hook = model.get_submodule(tap).register_forward_hook(
                lambda _module, _input, value, tap=tap: values.__setitem__(tap, value.clone())
            )
            model(x)
            hook.remove()
        else:
            # one by one, since what follows a tap may be computed in its place
            values[tap] = create_feature_extractor(model, [tap])(x)[tap]
    return values


def minimum(name: str, model: torch.nn.Module) -> int:
    """The side of the smallest square image; torchvision states it too, for most networks."""
    side = next(side for side in range(1, 200) if fits(model, side))
    if name != "efficientnet_lite0":
        stated = torchvision.models.get_model_weights(name).DEFAULT.meta["min_size"]
        assert stated == (side, side), f"{name}: torchvision says {stated}, but {side} is enough"
    return side


def fits(model: torch.nn.Module, side: int) -> bool:
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, side, side))
    except RuntimeError:
        return False
    return True


def parameter_lines(model: torch.nn.Module) -> list[str]:
    """`features.0.weight 64x3x11x11`, in the order of the names."""
    shapes = {key: value.shape for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    return [f"{key} {'x'.join(map(str, shapes[key]))}" for key in sorted(shapes)]


def node_lines(name: str, model: torch.nn.Module) -> list[str]:
    """torchvision's names of its operations in order of execution, the input left out."""
    if name == "efficientnet_lite0":
        return []
    nodes = get_graph_node_names(model)[1][1:]
    if name.startswith("squeezenet"):
        # a fire module has the name of its module
        nodes = [node.removesuffix(".cat") for node in nodes]
    # the first layer of a dense block joins nothing
    return [node for node in nodes if not node.endswith("denselayer1.cat")]


def summary(lines: list[str]) -> dict:
    text = "\n".join(lines)
    return {"lines": len(lines), "hash": f"{fnv(text):016x}"}


def sample(tensor: torch.Tensor, count: int) -> dict:
    flat = tensor.detach().double().flatten()
    step = max(1, len(flat) // count)
    return {
        "shape": list(tensor.shape[1:]),
        "norm": short(flat.norm()),
        "absmax": short(flat.abs().max()),
        "values": [short(value) for value in flat[::step][:count]],
    }


def short(value: torch.Tensor) -> float:
    """Nine digits hold every float32."""
    return float(f"{value.item():.9g}")


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    u = uniform(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        u += 0.5
    elif name.endswith(("bias", "running_mean")):
        u = (2.0 * u - 1.0) / 10.0
    elif len(shape) == 1:
        u = 0.6 + 0.4 * u
    else:
        u = (2.0 * u - 1.0) * np.sqrt(6.0 / np.prod(shape[1:]))
    return u.astype(np.float32).reshape(shape)


def uniform(name: str, count: int) -> np.ndarray:
    """Numbers in [0, 1): the upper 24 bits of splitmix64."""
    result = np.empty(count)
    seed = np.uint64(fnv(name))
    for start in range(0, count, 1 << 22):
        index = np.arange(start + 1, min(count, start + (1 << 22)) + 1, dtype=np.uint64)
        z = seed + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        result[start:start + len(z)] = (z >> np.uint64(40)).astype(np.float64) * 2.0**-24
    return result


def fnv(text: str) -> int:
    """64-bit FNV-1a."""
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


if __name__ == "__main__":
    main()
