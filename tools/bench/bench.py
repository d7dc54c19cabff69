"""Percept and PyTorch, with Captum's attribution methods, in turn on the same weights and inputs.

Run by tools/bench/run, which makes the Python environment. Both sides are processes of their own that hold their models
loaded; a round asks each for one run of a workload, so that what else the machine does hits both. The table gives medians
and the ratio of PyTorch's to Percept's; above 1 Percept is faster.

    bench.py PERCEPT_BENCH REPOSITORY [--rounds N] [--only WORKLOAD …] [--peak]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORKLOADS = {
    "dream": "DeepDream, SqueezeNet, 512², fire7, 4×10",
    "visualize": "feature visualization, SqueezeNet fire6, 128², 64 steps",
    "style": "style transfer, SqueezeNet, 256², 100 Adam steps",
    "gradient": "10 gradient steps, VGG16 to relu4_3, 224²",
    "gallery": "features of 231 images, SqueezeNet, 227²",
    "vgg16": "forward VGG16, 224²",
    "resnet18": "forward ResNet-18, 224²",
    "alexnet": "forward AlexNet, 224²",
    "googlenet": "forward GoogLeNet, 224²",
    "occlusion": "occlusion, 625 windows, SqueezeNet, 227²",
    "integrated_gradients": "integrated gradients, 50 steps, SqueezeNet, 227²",
    "smooth_grad": "SmoothGrad, 50 samples, SqueezeNet, 227²",
    "grad_cam": "Grad-CAM, SqueezeNet, 227²",
    "lrp": "relevance propagation (epsilon), SqueezeNet, 227²",
    "rise": "RISE, 4,000 masks, SqueezeNet, 227²",
}
# each side draws random numbers of its own
RANDOM = {"dream", "visualize", "style", "smooth_grad", "rise"}


def prepare(folder, repository):
    """Weights and inputs that both sides read."""
    import numpy
    import torch
    import torchvision
    from PIL import Image
    from safetensors.torch import save_file

    torch.manual_seed(1)
    for name in ["vgg16", "resnet18", "alexnet", "googlenet"]:
        options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
        state = getattr(torchvision.models, name)(weights=None, **options).state_dict()
        state = {k: v.contiguous() for k, v in state.items() if v.is_floating_point()}
        save_file(state, folder / f"{name}.safetensors")
    images = []
    for path in sorted((repository / "assets/gallery").rglob("*.webp")):
        image = Image.open(path).convert("RGBA")
        side = max(image.size)
        square = Image.new("RGBA", (side, side), "white")
        square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
        pixels = numpy.asarray(square.convert("RGB").resize((227, 227)), dtype=numpy.float32)
        images.append(pixels[:, :, ::-1] - numpy.array([104, 117, 123], dtype=numpy.float32))
    photo = Image.open(repository / "assets/photos/chelsea.jpg").convert("RGB")
    photo.resize((227, 227)).save(folder / "photo.png")
    gallery = torch.from_numpy(numpy.stack(images)).permute(0, 3, 1, 2).contiguous()
    save_file({"gallery": gallery, "one": torch.randn(1, 3, 224, 224)}, folder / "inputs.safetensors")


def torch_side(folder, repository):
    """PyTorch's side: the same protocol as examples/bench.rs."""
    import functools
    import re
    import time

    import numpy
    import torch
    import torchvision
    from captum import attr
    from PIL import Image
    from safetensors import safe_open
    from safetensors.torch import load_file

    models = {}

    @functools.cache
    def given(name):
        with safe_open(folder / "inputs.safetensors", "pt") as file:
            return file.get_tensor(name)

    def model(name):
        if name not in models:
            if name == "squeezenet1_1":
                net, path = torchvision.models.squeezenet1_1(weights=None), repository / "assets/squeezenet1_1.safetensors"
            else:
                options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
                net, path = getattr(torchvision.models, name)(weights=None, **options), folder / f"{name}.safetensors"
            net.load_state_dict(load_file(path), strict=False)
            models[name] = net.eval().requires_grad_(False)
        return models[name]

    mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)

    def photo(name, size):
        image = Image.open(repository / f"assets/photos/{name}.jpg").convert("RGB").resize((size, size))
        pixels = numpy.asarray(image, dtype=numpy.float32)[:, :, ::-1].copy()
        return torch.from_numpy(pixels).permute(2, 0, 1)[None] - mean

    def resize(x, height, width):
        return torch.nn.functional.interpolate(x, (height, width), mode="bilinear")

    def dream():
        net, base = model("squeezenet1_1").features[:11], photo("china", 512)  # up to fire7
        low, high = -mean, 255 - mean
        generator = torch.Generator().manual_seed(1)
        detail = torch.zeros_like(base)
        for octave in reversed(range(4)):
            size = round(512 / 1.4**octave)
            octave_base = resize(base, size, size)
            canvas = octave_base + resize(detail, size, size)
            for _ in range(10):
                shift = torch.randint(-32, 33, (2,), generator=generator).tolist()
                x = canvas.roll(shift, (2, 3)).requires_grad_()
                (0.5 * net(x).square().sum()).backward()
                x = x.detach() + 1.5 * x.grad / x.grad.abs().mean()
                canvas = torch.maximum(torch.minimum(x, high), low).roll([-s for s in shift], (2, 3))
            detail = canvas - octave_base
        return base + detail

    def visualize():
        """Lucid's way: waves in decorrelated colours, a sigmoid, and random transforms before each look."""
        net = model("squeezenet1_1").features[:10]  # up to fire6
        size, generator = 128, torch.Generator().manual_seed(1)
        fy, fx = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
        scale = size / torch.maximum((fy**2 + fx**2).sqrt(), torch.tensor(1 / size))
        waves = (0.01 * torch.randn(1, 3, size, size // 2 + 1, 2, generator=generator)).requires_grad_()
        colors = torch.tensor([[0.5628, 0.1948, 0.0433], [0.5845, 0.0, -0.1082], [0.5845, -0.1948, 0.0649]])
        adam = torch.optim.Adam([waves], lr=0.02)
        uniform = lambda low, high: low + (high - low) * torch.rand(1, generator=generator).item()
        for _ in range(64):
            planes = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=(size, size)) / 4
            image = torch.sigmoid(torch.einsum("ij,njhw->nihw", colors, planes))
            x = torch.nn.functional.pad(image, (12, 12, 12, 12), value=0.5)
            x = x.roll(torch.randint(-8, 9, (2,), generator=generator).tolist(), (2, 3))
            x = torch.nn.functional.interpolate(x, scale_factor=uniform(0.9, 1.1), mode="bilinear")
            angle = torch.tensor(uniform(-10, 10) / 180 * torch.pi)
            turn = torch.stack([torch.stack([angle.cos(), -angle.sin(), angle * 0]),
                                torch.stack([angle.sin(), angle.cos(), angle * 0])])[None]
            x = torch.nn.functional.grid_sample(
                x, torch.nn.functional.affine_grid(turn, x.shape, align_corners=False), align_corners=False)
            x = x.roll(torch.randint(-4, 5, (2,), generator=generator).tolist(), (2, 3))
            adam.zero_grad()
            (-net(255 * x[:, [2, 1, 0]] - mean)[0, 3].mean()).backward()
            adam.step()
        return image.detach()

    def style():
        """The Gram matrices of four layers, the features of one, total variation; Adam on pixels."""
        net, layers = model("squeezenet1_1").features[:8], [1, 3, 4, 6, 7]  # relu_conv1, fire2 to fire5
        content, sample = photo("china", 256), photo("coffee", 256)

        def activations(x):
            found = []
            for index, module in enumerate(net):
                x = module(x)
                if index in layers:
                    found.append(x)
            return found

        def gram(f):
            f = f.flatten(2)[0]
            return f @ f.T / f.shape[1]

        with torch.no_grad():
            wanted, features = [gram(f) for f in activations(sample)], activations(content)[4]
        x = content.clone().requires_grad_()
        adam = torch.optim.Adam([x], lr=5.0)
        for _ in range(100):
            found = activations(x)
            loss = sum((gram(f) - g).square().sum() / g.square().sum() for f, g in zip(found, wanted))
            loss = loss + 0.1 * (found[4] - features).square().sum() / features.square().sum()
            loss = loss + 1e-4 * ((x[..., 1:] - x[..., :-1]).square().mean() + (x[..., 1:, :] - x[..., :-1, :]).square().mean())
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                x.copy_(torch.maximum(torch.minimum(x, 255 - mean), -mean))
        return x.detach()

    def gradient():
        net, canvas = model("vgg16").features[:23], given("one")
        for _ in range(10):
            x = canvas.clone().requires_grad_()
            (0.5 * net(x).square().sum()).backward()
            canvas = x.detach() + 0.01 * x.grad / x.grad.abs().mean()
        return canvas

    def gallery():
        net = model("squeezenet1_1").features
        with torch.no_grad():
            return torch.cat([net(part).mean((2, 3)) for part in given("gallery").split(33)])

    def forward(name):
        with torch.no_grad():
            return model(name)(given("one"))

    @functools.cache
    def explained():
        """The network without operations in place, which Captum cannot look into, an image, and its mean colour."""
        net = model("squeezenet1_1")
        for module in net.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
        pixels = numpy.asarray(Image.open(folder / "photo.png"), dtype=numpy.float32)
        x = torch.from_numpy(pixels[:, :, ::-1].copy()).permute(2, 0, 1)[None] - mean
        return net, x, x.mean((2, 3), keepdim=True).expand_as(x)

    def occlusion():
        net, x, fill = explained()
        windows = {"sliding_window_shapes": (3, 35, 35), "strides": (3, 8, 8), "perturbations_per_eval": 25}
        return attr.Occlusion(net).attribute(x, target=285, baselines=fill, **windows).mean(1)

    def integrated_gradients():
        net, x, _ = explained()
        return attr.IntegratedGradients(net).attribute(x, -mean.expand_as(x), target=285, n_steps=50, internal_batch_size=10)

    def smooth_grad():
        net, x, _ = explained()
        noise = {"nt_samples": 50, "nt_samples_batch_size": 10, "stdevs": 0.15 * (x.max() - x.min()).item()}
        return attr.NoiseTunnel(attr.Saliency(net)).attribute(x, target=285, abs=False, **noise)

    def grad_cam():
        net, x, _ = explained()
        return attr.LayerGradCam(net, net.features[12]).attribute(x, target=285)

    def lrp():
        net, x, _ = explained()
        return attr.LRP(net).attribute(x, target=285)

    def rise():
        """The authors' masks: 7 × 7 cells, half of them open, enlarged by a cell more than fits and shifted."""
        net, x, _ = explained()
        generator = torch.Generator().manual_seed(1)
        cell = -(-227 // 7)
        total = torch.zeros(227, 227)
        with torch.no_grad():
            for _ in range(0, 4000, 40):
                grids = (torch.rand(40, 1, 7, 7, generator=generator) < 0.5).float()
                large = torch.nn.functional.interpolate(grids, size=(8 * cell, 8 * cell), mode="bilinear")
                shifts = torch.randint(0, cell, (40, 2), generator=generator).tolist()
                masks = torch.stack([m[:, y : y + 227, x : x + 227] for m, (y, x) in zip(large, shifts)])
                scores = net(x * masks).softmax(1)[:, 285]
                total += torch.einsum("n,nhw->hw", scores, masks[:, 0])
        return total / 4000 / 0.5

    special = {
        "dream": dream,
        "visualize": visualize,
        "style": style,
        "gradient": gradient,
        "gallery": gallery,
        "occlusion": occlusion,
        "integrated_gradients": integrated_gradients,
        "smooth_grad": smooth_grad,
        "grad_cam": grad_cam,
        "lrp": lrp,
        "rise": rise,
    }
    for line in sys.stdin:
        line = line.strip()
        if line == "peak":
            # not getrusage: its figure begins with that of the process that started this one
            status = Path("/proc/self/status").read_text()
            print(json.dumps({"peak": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024}), flush=True)
            continue
        run = special.get(line) or (lambda: forward(line))
        if line in WORKLOADS and line not in special:
            model(line)
        started = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "number": result.abs().mean().item()}), flush=True)


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the process that was asked for {line} has died")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("percept")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--peak", action="store_true", help="the largest memory of each workload instead, in MiB")
    parser.add_argument("--torch-side", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options.torch_side, options.repository)

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder, options.repository)
        sides = lambda: (
            Side([options.percept, str(folder)]),
            Side([sys.executable, __file__, "-", str(options.repository), "--torch-side", str(folder)]),
        )
        if options.peak:
            print(f"{'peak memory, MiB':50} {'Percept':>9} {'PyTorch':>9}")
            for name in options.only:
                peaks = []
                for side in sides():
                    side.ask(name)
                    peaks.append(side.ask("peak")["peak"])
                    side.close()
                print(f"{WORKLOADS[name]:50} {peaks[0]:9} {peaks[1]:9}")
            return
        ours, theirs = sides()
        print(f"{'median of ' + str(options.rounds) + ', ms':50} {'Percept':>9} {'PyTorch':>9} {'ratio':>6}")
        for name in options.only:
            times = []
            for round in range(options.rounds + 1):
                pair = [side.ask(name) for side in (ours, theirs)]
                if name not in RANDOM:
                    a, b = (answer["number"] for answer in pair)
                    assert abs(a - b) <= 1e-3 * abs(b), f"{name}: {a} is not {b}"
                if round:  # the first warms up
                    times.append([answer["seconds"] * 1e3 for answer in pair])
            a, b = (statistics.median(column) for column in zip(*times))
            print(f"{WORKLOADS[name]:50} {a:9.1f} {b:9.1f} {b / a:6.2f}", flush=True)
        ours.close()
        theirs.close()


if __name__ == "__main__":
    main()
