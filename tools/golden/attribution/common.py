"""What the goldens of attribution methods share: networks, images, and the file that tests/golden_attribution.rs reads.

    pip install torch torchvision captum safetensors numpy pillow

    python tools/golden/attribution/common.py      # the images
    python tools/golden/attribution/METHOD.py

A method has one script beside this one, which calls `golden(name, cases)` and so writes
tests/golden/attribution/NAME.safetensors. A case is a line of Percept's language, in which `img` is the image and `m` the
network, and a function that computes the same with PyTorch, given the module, the network's input and the image's class.

The image is one whose gradients do not hang on rounding: where a ReLU is within 1e-5 of its kink, two programs may take
different sides of it, and what one unit passes back differs.

SqueezeNet 1.1 has the embedded weights, the toys have their own; the weights of other networks are made from the names of
their parameters, as tools/golden/zoo.py says. Of large results every STEP-th value is kept, with the norm of all of them.
"""

import copy
import functools
import json
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
import torchvision
from captum.testing.helpers.basic_models import BasicModel_ConvNet_One_Conv
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools" / "golden"))
# kept of a result: all of it up to so many values, else every STEP-th
ALL = 2000
STEP = 97
PHOTO = ROOT / "assets" / "photos" / "chelsea.jpg"


# Of VGG, whose many units are often within rounding of a kink, a part of the image where they are not
PART, PART_CODE = (slice(None), slice(None), slice(130, 170), slice(60, 100)), "m.prepare(img)[[0..1, 0..3, 130..170, 60..100]]"


def of_part(compute):
    """The same for a part of the image, and the class that it is taken for."""

    def of(model, x, _):
        x = x[PART].contiguous()
        with torch.no_grad():
            best = int(model(x).argmax())
        return compute(model, x, best)

    return of


def without_inplace(model):
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model.eval()


def squeezenet1_1():
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"))
    image = np.asarray(Image.open(PHOTO).convert("RGB").resize((227, 227), Image.BILINEAR), dtype=np.float32)
    x = image[:, :, ::-1] - np.array([104, 117, 123], dtype=np.float32)
    return without_inplace(model), image, torch.from_numpy(x.transpose(2, 0, 1).copy())[None]


def made_up(name):
    """A network of torchvision with weights made from the names of its parameters."""
    from zoo import fill

    start = {"init_weights": False} if name.startswith("vgg") else {}
    model = getattr(torchvision.models, name)(weights=None, **start)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(fill(key, tuple(value.shape))))
    # 256 pixels, of which the network sees the middle 224
    image = np.asarray(Image.open(PHOTO).convert("RGB").resize((256, 256), Image.BICUBIC), dtype=np.float32)
    x = (image[16:240, 16:240] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return without_inplace(model), image, torch.from_numpy(x.transpose(2, 0, 1).astype(np.float32).copy())[None]


def toy():
    """Captum's convolutional toy, which reads the numbers from 0 to 15: a grey picture whose white is 15.

    All four outputs are 54. They are values, since as logits they would make the same probabilities of any picture.
    """
    x = torch.arange(16.0).view(1, 1, 4, 4)
    return without_inplace(BasicModel_ConvNet_One_Conv()), grey(x, 15), x


def two_numbers():
    """relu(relu(a) - 1 - relu(b)) at (3, 1), the toy of the paper on integrated gradients: two pixels whose white is 3."""
    model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2, 1), torch.nn.ReLU())
    model[2].weight.data, model[2].bias.data = torch.tensor([[1.0, -1.0]]), torch.tensor([-1.0])
    x = torch.tensor([3.0, 1.0]).view(1, 1, 1, 2)
    return model.eval(), grey(x, 3), x


def grey(x, white):
    """The picture that a toy's input is made of: bytes, in which its numbers are exact."""
    return (x[0].permute(1, 2, 0) * 255 / white).expand(-1, -1, 3).numpy()


NETWORKS = {"squeezenet1_1": squeezenet1_1, "toy": toy, "two_numbers": two_numbers}
for _name in ["resnet18", "vgg16_bn", "mobilenet_v2", "densenet121"]:
    NETWORKS[_name] = functools.cache(functools.partial(made_up, _name))
# the colour that becomes zeros in the input space of each network
ZERO = {"squeezenet1_1": "[123/255.0, 117/255.0, 104/255.0]", "toy": '"black"', "two_numbers": '"black"'}
OTHER = "[0.485, 0.456, 0.406]"
# what tests of layers look at: a layer of Percept and the module of PyTorch whose output it is
LAYERS = {
    "squeezenet1_1": ("fire9", "features.12"),
    "resnet18": ("layer4", "layer4"),
    "vgg16_bn": ("features.42", "features.42"),
    "mobilenet_v2": ("features.18", "features.18"),
    "densenet121": ("features.denseblock4", "features.denseblock4"),
    "toy": ("relu1", "relu1"),
}


def bounds(model):
    """Black and white in the input space of a network."""
    if isinstance(model, BasicModel_ConvNet_One_Conv):
        return [torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 15.0)]
    if isinstance(model, torchvision.models.SqueezeNet):
        return [-torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1), 255 - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return [(0 - mean) / std, (1 - mean) / std]


def images():
    """The images of the networks, which all methods look at."""
    # all made-up networks look at the same one
    names = ("squeezenet1_1", "resnet18", "toy", "two_numbers")
    pixels = {name: torch.from_numpy(NETWORKS[name]()[1].astype(np.uint8).transpose(2, 0, 1).copy()) for name in names}
    target = ROOT / "tests" / "golden" / "attribution_images.safetensors"
    save_file(pixels, target)
    target.chmod(0o644)


def percept_masks(code):
    """What a line of Percept's language gives, a tensor: masks that are random, and so are taken from the program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.npy"
        subprocess.run([os.environ.get("PERCEPT", "percept"), "eval", f'{code}.save("{path}")'], check=True)
        return torch.from_numpy(np.load(path))


def gradients(model, x, target, layer):
    """The activations of a module and the gradient of a score there; `target` is a class or a function of the output."""
    kept = {}

    def hook(_, __, output):
        kept["activations"] = output
        output.retain_grad()

    handle = model.get_submodule(layer).register_forward_hook(hook)
    output = model(x.requires_grad_(True))
    handle.remove()
    score = target(output) if callable(target) else output[0, target]
    score.backward()
    return kept["activations"].detach(), kept["activations"].grad.detach()


def pytorch_grad_cam(method, layer):
    """The map of a class of pytorch-grad-cam before it is scaled, with what is negative cut off."""

    def compute(model, x, target):
        activations, gradient = gradients(model, x.clone(), target, layer)
        cam = method.__new__(method)
        # only its formula is wanted, without its hooks
        cam.activations_and_grads = types.SimpleNamespace(release=lambda: None)
        image = cam.get_cam_image(x, None, None, activations.numpy(), gradient.numpy(), False)
        return torch.from_numpy(np.maximum(image, 0))

    return compute


def cases_of_layers(function, method, networks=tuple(LAYERS)):
    """One case for each network."""
    cases = []
    for network in networks:
        ours, theirs = LAYERS[network]
        model = "" if network == "squeezenet1_1" else ", model=m"
        cases.append((network, f'{function}(img, layer="{ours}"{model}).values', method(theirs)))
    return cases


# rounding in single precision, as a part of each number of the input
ROUNDING = 1e-6


def conditioning(model, x, best, compute):
    """The result in double precision, and how far rounding moves it, as a part of its largest value: that of the input, or
    that of the reference itself in single precision.

    Gradients jump where a ReLU passes its kink, and large networks always have units that near to one.
    """
    single = compute(copy.deepcopy(model), x.clone(), best).detach()
    model, x = model.double(), x.double()
    exact = compute(model, x.clone(), best).detach()
    generator = torch.Generator().manual_seed(1)
    moved = float((single - exact).abs().max() / exact.abs().max())
    for _ in range(2):
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        other = compute(model, x * (1 + ROUNDING * noise), best).detach()
        moved = max(moved, float((other - exact).abs().max() / exact.abs().max()))
    return exact, moved


def golden(name, cases, conditioned=()):
    """Writes the golden of a method; `cases` is a list of (network, code, function of (model, x, class)).

    For the networks that are `conditioned`, it is computed in double precision, with how far rounding moves it.
    """
    torch.manual_seed(0)
    tensors, described = {}, []
    for index, (network, code, compute) in enumerate(cases):
        model, _, x = copy.deepcopy(NETWORKS[network]())
        with torch.no_grad():
            best = int(model(x).argmax())
        value, rounding = conditioning(model, x, best, compute) if network in conditioned else (compute(model, x, best), 0.0)
        value = value.detach().float().contiguous()
        step = 1 if value.numel() <= ALL else STEP
        tensors[f"case{index}"] = value.flatten()[::step].contiguous()
        norm = float(value.double().norm())
        described.append(
            {
                "network": network,
                "code": code,
                "class": best,
                "shape": list(value.shape),
                "step": step,
                "norm": norm,
                "rounding": rounding,
            }
        )
        print(f"{network} {code}: {list(value.shape)}, up to {value.abs().max():.4g}, rounding {rounding:.1e}")
    target = ROOT / "tests" / "golden" / "attribution" / f"{name}.safetensors"
    save_file(tensors, target, metadata={"cases": json.dumps(described)})
    target.chmod(0o644)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    images()
