"""Makes tests/golden/onnx/: small networks built like the well-known ones, exported to ONNX by PyTorch's two exporters
and written by hand the way Keras exports, with what PyTorch computes for them.

    pip install torch onnx onnxscript numpy safetensors
    python tools/golden/onnx_nets.py

Inputs are made from integers, exactly alike here and in tests/networks/onnx.rs, so that they need not be stored.
golden.safetensors holds, for each file, `<name>.output` and `<name>.gradient`, the gradient of logit 1 of both images.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "onnx"
CLASSES = 7


def pixels(size: int) -> torch.Tensor:
    """[2, 3, size, size], in steps of 1/64 from -2 to 2."""
    n, c, y, x = np.meshgrid(np.arange(2), np.arange(3), np.arange(size), np.arange(size), indexing="ij")
    wave = (x * (c + 2) + y * (5 - c) + (x // 4) * (y // 4) * 7 + (x * y) % 13 * 5 + n * 83) % 256
    return torch.from_numpy(((wave - 128) / 64).astype(np.float32))


class Lrn(torch.autograd.Function):
    """PyTorch exports its LocalResponseNorm in pieces; this one is exported as the operator that Caffe's nets use."""

    @staticmethod
    def forward(ctx, x):
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = F.local_response_norm(leaf, 5, alpha=0.3, beta=0.75, k=2.0)
        ctx.save_for_backward(leaf)
        ctx.y = y
        return y.detach()

    @staticmethod
    def backward(ctx, gradient):
        return torch.autograd.grad(ctx.y, ctx.saved_tensors[0], gradient)[0]

    @staticmethod
    def symbolic(g, x):
        return g.op("LRN", x, size_i=5, alpha_f=0.3, beta_f=0.75, bias_f=2.0).setType(x.type())


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, stride=2, padding=2)
        self.conv2 = nn.Conv2d(8, 12, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(12, 8, 3, padding=1)
        self.fc6 = nn.Linear(8 * 3 * 3, 24)
        self.fc7 = nn.Linear(24, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(Lrn.apply(F.relu(self.conv1(x))), 3, 2)
        x = F.max_pool2d(Lrn.apply(F.relu(self.conv2(x))), 3, 2)
        x = F.adaptive_avg_pool2d(F.relu(self.conv3(x)), 3)
        x = F.dropout(F.relu(self.fc6(torch.flatten(x, 1))), 0.5, self.training)
        return self.fc7(x)


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width in [6, "M", 8, 8, "M", 10, "M"]:
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(10 * 16, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, CLASSES))

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))


class Fire(nn.Module):
    def __init__(self, channels, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 6),
            nn.MaxPool2d(3, 2, ceil_mode=True), Fire(12, 4, 8),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(16, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class Inception(nn.Module):
    """With torchvision's `transform_input`, which takes the colours apart."""

    def __init__(self):
        super().__init__()
        self.stem = self.unit(3, 8, 3, stride=2)
        self.one = self.unit(8, 4, 1)
        self.row = self.unit(8, 4, (1, 7), padding=(0, 3))
        self.column = self.unit(4, 5, (7, 1), padding=(3, 0))
        self.pooled = self.unit(8, 3, 1)
        self.fc = nn.Linear(4 + 5 + 3 + 8, CLASSES)

    @staticmethod
    def unit(*args, **kwargs):
        return nn.Sequential(
            nn.Conv2d(*args, bias=False, **kwargs), nn.BatchNorm2d(args[1], eps=0.001), nn.ReLU(inplace=True)
        )

    def forward(self, x):
        r = torch.unsqueeze(x[:, 0], 1) * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        g = torch.unsqueeze(x[:, 1], 1) * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        b = torch.unsqueeze(x[:, 2], 1) * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        x = self.stem(torch.cat((r, g, b), 1))
        pooled = self.pooled(F.avg_pool2d(x, 3, 1, 1))
        largest = F.max_pool2d(x, 3, 1, 1)
        x = torch.cat([self.one(x), self.column(self.row(x)), pooled, largest], 1)
        x = F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Residual(nn.Module):
    def __init__(self, channels, width, stride, expansion):
        super().__init__()
        out = width * expansion
        if expansion == 1:
            shapes = [(channels, width, 3, stride), (width, out, 3, 1)]
        else:
            shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        convs = [nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in shapes]
        self.convs = nn.ModuleList(convs)
        self.bns = nn.ModuleList([nn.BatchNorm2d(o) for _, o, _, _ in shapes])
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):
            y = bn(conv(y))
            if i + 1 < len(self.convs):
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = Residual(8, 8, 1, 1), Residual(8, 4, 2, 4)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, CLASSES)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


class Inverted(nn.Module):
    """The block of MobileNetV2, MobileNetV3 and EfficientNet: wide, depthwise, squeeze-and-excitation, narrow."""

    def __init__(self, channels, out, stride, activation, excite=None):
        super().__init__()
        wide = channels * 2
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), activation())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), activation()
        )
        self.excite = excite(wide) if excite else nn.Identity()
        self.project = nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.skips = stride == 1 and channels == out

    def forward(self, x):
        y = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + y if self.skips else y


class Excitation(nn.Module):
    def __init__(self, channels, activation, gate):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, x):
        return self.gate(self.fc2(self.activation(self.fc1(F.adaptive_avg_pool2d(x, 1))))) * x


class LinearExcitation(nn.Module):
    """SENet's own, with linear layers between two changes of shape."""

    def __init__(self, channels):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x):
        n, c, _, _ = x.shape
        y = torch.sigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1).view(n, c)))))
        return x * y.view(n, c, 1, 1)


class MobileNet(nn.Module):
    """MobileNetV2, MobileNetV3 or EfficientNet, by its activation and excitation."""

    def __init__(self, activation, excite=None):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), activation())
        self.blocks = nn.Sequential(
            Inverted(8, 8, 1, activation, excite), Inverted(8, 12, 2, activation, excite), Inverted(12, 12, 1, activation)
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, CLASSES))

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean([2, 3]))


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8 + 4 * i) for i in range(4)])
        self.convs = nn.ModuleList([nn.Conv2d(8 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3)])
        self.transition = nn.Conv2d(20, 10, 1, bias=False)
        self.last = nn.BatchNorm2d(10)
        self.classifier = nn.Linear(10, CLASSES)

    def forward(self, x):
        features = [self.conv0(x)]
        for norm, conv in zip(self.norms, self.convs):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = self.transition(F.relu(self.norms[3](torch.cat(features, 1))))
        x = F.relu(self.last(F.avg_pool2d(x, 2, 2)))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class ShuffleNet(nn.Module):
    """The block of ShuffleNetV2: half of the channels pass, then all are shuffled; with GELU for its erf."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.1))
        self.branch = nn.Sequential(
            nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.GELU(),
            nn.Conv2d(4, 4, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(4), nn.Tanh(),
        )
        self.mix = nn.Conv2d(8, 8, 3, 1, 1, groups=2)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        one, other = self.stem(x).chunk(2, dim=1)
        x = torch.cat((one, self.branch(other)), dim=1)
        n, c, h, w = x.size()
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return self.fc(F.gelu(self.mix(x)).mean([2, 3]))


class Keras(nn.Module):
    """The twin of `keras`: `SAME` padding of even sizes, a hard sigmoid of slope 0.2, a flattening channels last."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6, eps=0.001)
        self.gate = nn.Conv2d(6, 6, 1)
        self.dense1, self.dense2 = nn.Linear(6 * 64, 12), nn.Linear(12, CLASSES)

    def forward(self, x):
        x = F.relu6(self.norm(self.conv(F.pad(x, (0, 1, 0, 1)))))
        mean = x.mean((2, 3), keepdim=True)
        x = x * torch.clamp(self.gate(mean) * 0.2 + 0.5, 0, 1)
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
        return self.dense2(F.leaky_relu(self.dense1(x.permute(0, 2, 3, 1).flatten(1)), 0.3))


def keras(net: Keras) -> onnx.ModelProto:
    """The graph that tf2onnx makes of such a network: channels last outside, transposed inside, ending in softmax."""
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    constants, nodes = [], []

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=f"keras/{output}", **attributes))

    floats = lambda *values: np.array(values, np.float32)
    integers = lambda *values: np.array(values, np.int64)
    node("Transpose", ["image"], "first", perm=[0, 3, 1, 2])
    kernel = constant("conv/kernel", state["conv.weight"])
    node("Conv", ["first", kernel, constant("conv/bias", state["conv.bias"])], "conv", auto_pad="SAME_UPPER",
         kernel_shape=[3, 3], strides=[2, 2])
    parts = [constant(f"norm/{key}", state[f"norm.{key}"]) for key in ["weight", "bias", "running_mean", "running_var"]]
    node("BatchNormalization", ["conv", *parts], "norm", epsilon=0.001)
    node("Clip", ["norm", constant("zero", np.float32(0)), constant("six", np.float32(6))], "relu6")
    # channels last in between, as where tf2onnx cannot push a transpose further
    node("Transpose", ["relu6"], "last", perm=[0, 2, 3, 1])
    node("ReduceMean", ["last"], "mean", axes=[1, 2], keepdims=0)
    node("Reshape", ["mean", constant("shape", integers(-1, 1, 1, 6))], "unit")
    node("Transpose", ["unit"], "unit_first", perm=[0, 3, 1, 2])
    node("Conv", ["unit_first", constant("gate/kernel", state["gate.weight"])], "gate", kernel_shape=[1, 1])
    node("Add", ["gate", constant("gate/bias", state["gate.bias"].reshape(1, 6, 1, 1))], "gate_bias")
    node("Mul", ["gate_bias", constant("fifth", floats(0.2))], "fifth_of")
    node("Add", ["fifth_of", constant("half", floats(0.5))], "half_of")
    node("Clip", ["half_of", "zero", constant("one", np.float32(1))], "hard_sigmoid")
    node("Transpose", ["hard_sigmoid"], "gate_last", perm=[0, 2, 3, 1])
    node("Mul", ["last", "gate_last"], "gated")
    node("Transpose", ["gated"], "gated_first", perm=[0, 3, 1, 2])
    node("MaxPool", ["gated_first"], "pool", auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2])
    node("Transpose", ["pool"], "pool_last", perm=[0, 2, 3, 1])
    node("Reshape", ["pool_last", constant("flat", integers(-1, 6 * 64))], "flatten")
    node("MatMul", ["flatten", constant("dense1/kernel", state["dense1.weight"].T)], "dense1")
    node("Add", ["dense1", constant("dense1/bias", state["dense1.bias"])], "dense1_bias")
    node("LeakyRelu", ["dense1_bias"], "leaky", alpha=0.3)
    node("Gemm", ["leaky", constant("dense2/kernel", state["dense2.weight"].T),
                  constant("dense2/bias", state["dense2.bias"])], "dense2")
    node("Softmax", ["dense2"], "probabilities", axis=-1)
    graph = helper.make_graph(
        nodes, "keras", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])], constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def settled(net: nn.Module) -> nn.Module:
    """With measured means and variances that are not 0 and 1, and steep enough that no gradient is all rounding."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.2, 0.6)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return net.eval()


def script(net, path, size, opset, keep=False, dynamic=False):
    """By the TorchScript exporter; `keep` keeps batch norms and dropouts as they are."""
    axes = {0: "n", 2: "height", 3: "width"} if dynamic else {0: "n"}
    training = torch.onnx.TrainingMode.PRESERVE if keep else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(
        net, (pixels(size),), path, opset_version=opset, dynamo=False, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": axes, "logits": {0: "n"}}, training=training, do_constant_folding=not keep,
    )


def dynamo(net, path, size, opset=18):
    """By torch.export."""
    torch.onnx.export(
        net, (pixels(size),), path, opset_version=opset, dynamo=True, input_names=["image"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},), external_data=False, verbose=False,
    )


def strip(path: Path):
    """Leaves out what says where on a machine a node comes from."""
    model = onnx.load(path)
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    model.functions.sort(key=lambda f: f.name)
    onnx.save(model, path)


relu6, silu, hardswish = nn.ReLU6, nn.SiLU, nn.Hardswish
NETS = {
    "alexnet": (AlexNet, 55, lambda *a: script(*a, opset=11)),
    "vgg_bn": (Vgg, 32, lambda *a: script(*a, opset=13, keep=True)),
    "squeezenet": (SqueezeNet, 45, lambda *a: script(*a, opset=11, dynamic=True)),
    "inception": (Inception, 33, lambda *a: script(*a, opset=17)),
    "resnet": (ResNet, 32, lambda *a: script(*a, opset=13)),
    "mobilenet_v2": (lambda: MobileNet(relu6), 32, lambda *a: script(*a, opset=11)),
    "mobilenet_v3": (
        lambda: MobileNet(hardswish, lambda c: Excitation(c, nn.ReLU, nn.Hardsigmoid)), 32,
        lambda *a: script(*a, opset=13),
    ),
    "densenet": (DenseNet, 32, lambda *a: script(*a, opset=17, keep=True)),
    "efficientnet": (
        lambda: MobileNet(silu, lambda c: Excitation(c, silu, nn.Sigmoid)), 32, lambda *a: script(*a, opset=17)
    ),
    "senet": (lambda: MobileNet(nn.ReLU, LinearExcitation), 32, lambda *a: script(*a, opset=13)),
    "shufflenet": (ShuffleNet, 32, lambda *a: script(*a, opset=17)),
    "resnet_dynamo": (ResNet, 32, lambda *a: dynamo(*a)),
    "inception_dynamo": (Inception, 33, lambda *a: dynamo(*a)),
    "efficientnet_dynamo": (lambda: MobileNet(silu, lambda c: Excitation(c, silu, nn.Sigmoid)), 32, lambda *a: dynamo(*a)),
    "mobilenet_v3_dynamo": (
        lambda: MobileNet(hardswish, lambda c: Excitation(c, nn.ReLU, nn.Hardsigmoid)), 32, lambda *a: dynamo(*a)
    ),
    "shufflenet_dynamo": (ShuffleNet, 32, lambda *a: dynamo(*a)),
    "keras": (Keras, 32, lambda net, path, _: onnx.save(keras(net), path)),
}


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    golden = {}
    for seed, (name, (make, size, export)) in enumerate(NETS.items()):
        torch.manual_seed(seed)
        with torch.no_grad():
            net = settled(make())
        path = OUT / f"{name}.onnx"
        export(net, path, size)
        strip(path)
        onnx.checker.check_model(onnx.load(path))
        x = pixels(size).requires_grad_()
        y = net.eval()(x)
        y[:, 1].sum().backward()
        golden[f"{name}.output"] = y.detach().numpy()
        golden[f"{name}.gradient"] = x.grad.numpy()
        ops = sorted({node.op_type for node in onnx.load(path).graph.node})
        print(f"{name}: {path.stat().st_size} bytes, logits to {float(y.detach().abs().max()):.3f}, {' '.join(ops)}")
    save_file(golden, OUT / "golden.safetensors")


main()
