"""Makes tests/golden/attacks.png and attacks.json: what torchattacks finds with the embedded weights.

    pip install torch torchvision torchattacks safetensors numpy pillow     # torchattacks with --no-deps: it pins old packages
    python tools/golden/attacks.py [NAME …]

The images, beside each other in the PNG, have the network's own size and 8 bits. A case is a line of Percept's language, in
which `img` is the image; of what torchattacks finds it has, for each image, whether that fools the network as it is and once
it is rounded to 8 bits, and its L2 and L∞ distance. Of FGSM, which is not random, every STEP-th level of the result is kept.

With names of attacks, these alone are made anew. torchattacks' DeepFool looks at all classes, with one backward pass each. As
in the authors' own code, here it looks at the ten most probable ones.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchattacks
import torchvision
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
SIDE, STEP, TARGET = 227, 293, 105
torch.set_num_threads(1)


class Network(torch.nn.Module):
    """SqueezeNet as a function of pixels from 0 to 1; with `classes`, their scores alone."""

    def __init__(self, classes=None):
        super().__init__()
        self.inner = torchvision.models.squeezenet1_1()
        self.inner.load_state_dict(load_file(ROOT / "assets" / "squeezenet1_1.safetensors"))
        for module in self.inner.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        self.classes = classes
        self.eval()

    def forward(self, x):
        mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
        scores = self.inner(x[:, [2, 1, 0]] * 255 - mean)
        return scores if self.classes is None else scores[:, self.classes]


def photo(name):
    image = Image.open(ROOT / "assets" / "photos" / f"{name}.jpg").convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.BICUBIC)


def scene(image, name, size=0.8):
    thing = Image.open(ROOT / "assets" / "gallery" / f"{name}.webp").convert("RGBA")
    scale = size * SIDE / max(thing.size)
    thing = thing.resize((round(thing.width * scale), round(thing.height * scale)), Image.BICUBIC)
    image.paste(thing, ((SIDE - thing.width) // 2, (SIDE - thing.height) // 2), thing)
    return image


# no plain backgrounds: where many places are exactly equal, which of them is the maximum that a gradient goes to is up to the
# order of sums
images = [
    photo("coffee"),
    photo("china"),
    scene(photo("grass"), "mammal/elephant"),
    scene(photo("gravel"), "bird/owl"),
    scene(photo("hubble"), "vehicle/747"),
]
sheet = Image.new("RGB", (SIDE * len(images), SIDE))
for index, image in enumerate(images):
    sheet.paste(image, (SIDE * index, 0))
sheet.save(ROOT / "tests" / "golden" / "attacks.png", optimize=True)
network = Network()
x = torch.from_numpy(np.ascontiguousarray(np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2))).float() / 255
with torch.no_grad():
    own = network(x).argmax(1)
    ranked = network(x).sort(1, descending=True).indices


def eight_bits(x):
    return (x * 255).round() / 255


def fooled(x, target):
    with torch.no_grad():
        best = network(x).argmax(1)
    return (best == TARGET if target else best != own).tolist()


def one_by_one(attack, labels):
    """As a user of one image runs it; attacks of batches share a stopping rule."""
    return torch.cat([attack(index)(x[index : index + 1], labels[index : index + 1]).detach() for index in range(len(x))])


def targeted(attack):
    attack.set_mode_targeted_by_label(quiet=True)
    return attack


FILE = ROOT / "tests" / "golden" / "attacks.json"
before = {made["code"]: made for made in json.loads(FILE.read_text())["cases"]} if FILE.exists() else {}
cases = []


def case(name, code, attack, target=False):
    if sys.argv[1:] and name not in sys.argv[1:]:
        cases.extend(made for made in [before.get(code)] if made)
        return
    torch.manual_seed(0)
    found = attack().detach()
    change = (found - x).flatten(1)
    made = {
        "name": name,
        "code": code,
        "targeted": target,
        "success": fooled(found, target),
        "success_at_8_bits": fooled(eight_bits(found), target),
        "l2": [round(float(length), 5) for length in change.norm(dim=1)],
        "linf": [round(float(most), 6) for most in change.abs().amax(1)],
    }
    print(json.dumps(made), flush=True)
    if name == "FGSM":
        made["levels"] = (found * 255).round().to(torch.uint8).flatten(1)[:, ::STEP].tolist()
    cases.append(made)


koala = torch.full_like(own, TARGET)
for levels in (1, 8):
    case("FGSM", f"fgsm(img, epsilon={levels}/255.0)", lambda: torchattacks.FGSM(network, eps=levels / 255)(x, own))
case(
    "PGD",
    "pgd(img, epsilon=2/255.0, step_size=1/255.0, seed=1)",
    lambda: torchattacks.PGD(network, eps=2 / 255, alpha=1 / 255, steps=10)(x, own),
)
case(
    "PGD, targeted",
    'pgd(img, target="koala", epsilon=2/255.0, step_size=1/255.0, seed=1)',
    lambda: targeted(torchattacks.PGD(network, eps=2 / 255, alpha=1 / 255, steps=10))(x, koala),
    True,
)
case(
    "PGD, L2",
    'pgd(img, norm="l2", epsilon=0.5, step_size=0.1, seed=1)',
    lambda: torchattacks.PGDL2(network, eps=0.5, alpha=0.1, steps=10)(x, own),
)
case(
    "PGD, L2, targeted",
    'pgd(img, target="koala", norm="l2", epsilon=1, step_size=0.2, seed=1)',
    lambda: targeted(torchattacks.PGDL2(network, eps=1.0, alpha=0.2, steps=10))(x, koala),
    True,
)
case("APGD", "apgd(img, epsilon=1/255.0, seed=1)", lambda: torchattacks.APGD(network, eps=1 / 255, steps=10)(x, own))
case(
    "APGD, L2",
    'apgd(img, norm="l2", epsilon=0.4, seed=1)',
    lambda: torchattacks.APGD(network, norm="L2", eps=0.4, steps=10)(x, own),
)
case(
    "Square",
    "square_attack(img, epsilon=8/255.0, queries=100, seed=1)",
    lambda: torchattacks.Square(network, eps=8 / 255, n_queries=100)(x, own),
)
case(
    "DeepFool",
    "deepfool(img)",
    lambda: one_by_one(lambda index: torchattacks.DeepFool(Network(ranked[index, :10])), torch.zeros_like(own)),
)
case("Carlini–Wagner", "carlini_wagner(img, abort_early=true)", lambda: one_by_one(lambda _: torchattacks.CW(network), own))
FILE.write_text(json.dumps({"own": own.tolist(), "step": STEP, "cases": cases}) + "\n")
print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size} bytes")
