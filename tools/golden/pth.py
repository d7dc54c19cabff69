"""Makes tests/golden/pth/: small files that torch.save wrote, and what torch.load reads from them.

    pip install torch numpy safetensors
    python tools/golden/pth.py

Each NAME.pth has the float tensors that PyTorch reads from it as NAME.safetensors, float32; the files of REFUSED
have none. Another .pth can be turned into such a pair with `python tools/golden/pth.py IN.pth OUT.safetensors`.
"""

import collections
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "pth"


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        collections.OrderedDict(
            conv=torch.nn.Conv2d(3, 4, 3), bn=torch.nn.BatchNorm2d(4), fc=torch.nn.Linear(4, 5, bias=False)
        )
    )


def floats(path: Path, trusted: bool = False) -> dict[str, torch.Tensor]:
    """What PyTorch reads, without integers and without the names around a state dict."""
    found = torch.load(path, map_location="cpu", weights_only=not trusted)
    for key in ("state_dict", "model", "model_state_dict"):
        found = found[key] if key in found and not isinstance(found[key], torch.Tensor) else found
    if all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor)}
    return {
        name: tensor.detach().to(torch.float32).contiguous().clone()
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }


def keep(name: str, value: object, **options: object) -> Path:
    path = FOLDER / f"{name}.pth"
    torch.save(value, path, **options)
    # PyTorch reads pickles of protocol 4 only where it trusts them
    save_file(floats(path, trusted=True), FOLDER / f"{name}.safetensors")
    return path


def views() -> dict[str, torch.Tensor]:
    """Tensors that share storages, start inside them, and run through them in other orders."""
    base = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5)
    row = torch.arange(6, dtype=torch.float32)
    return {
        "whole": base,
        "transposed": base.transpose(1, 3),
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "slice": base[1, :, 1:3],
        "steps": base[:, :, ::2, 1::2],
        "one": base[1, 2, 3, 4],
        "expanded": row[2:4, None].expand(2, 3),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(row[1:]),
    }


def rezipped(source: Path, name: str, method: int = zipfile.ZIP_STORED, **changed: bytes) -> Path:
    """A copy of a zip file with some entries changed; a changed name has `_` for `.`."""
    path = FOLDER / f"{name}.pth"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", method) as new:
        for entry in old.infolist():
            short = entry.filename.split("/", 1)[1]
            new.writestr(entry.filename, changed.get(short.replace(".", "_"), old.read(entry)))
    return path


def big_endian() -> None:
    """What a big-endian machine writes: the mark, and every storage turned round."""
    path = FOLDER / "big_endian.pth"
    with zipfile.ZipFile(FOLDER / "ordered.pth") as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data, short = old.read(entry), entry.filename.split("/", 1)[1]
            if short == "byteorder":
                data = b"big"
            if short.startswith("data/"):
                size = 8 if len(data) == 8 else 4  # the only storage of eight bytes is an int64
                data = b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))
            new.writestr(entry.filename, data)
    save_file(floats(path), FOLDER / "big_endian.safetensors")


class Malicious:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return os.system, ("touch percept-was-here",)


def refused() -> None:
    torch.save({"conv.weight": Malicious()}, FOLDER / "malicious.pth")
    torch.save({"conv.weight": Malicious()}, FOLDER / "malicious_old.pth", _use_new_zipfile_serialization=False)
    torch.save(network(), FOLDER / "whole_module.pth")
    torch.save([1, 2, 3], FOLDER / "list.pth")
    torch.save({"epoch": 3, "note": "nothing here"}, FOLDER / "no_tensors.pth")
    torch.jit.script(network()).save(FOLDER / "torchscript.pth")
    rezipped(FOLDER / "ordered.pth", "deflated", zipfile.ZIP_DEFLATED)

    # sixteen million zeros in sixteen thousand bytes
    bomb = bytes(16 << 20)
    with zipfile.ZipFile(FOLDER / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(FOLDER / "plain.pth") as plain:
            archive.writestr("plain/data.pkl", plain.read("plain/data.pkl"), zipfile.ZIP_STORED)
        archive.writestr("plain/data/0", bomb)

    # PyTorch before 0.1.10 wrote tar files
    with tarfile.open(FOLDER / "tar.pth", "w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"\x80\x02}."))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    state = network().state_dict()
    keep("ordered", state)
    keep("plain", {"w": torch.tensor([1.5, -2.0]), "b": torch.tensor(0.25)})
    keep("nested", {"epoch": 7, "state_dict": state, "optimizer": torch.optim.SGD(network().parameters(), 0.1).state_dict()})
    keep("model", {"model": dict(state), "best": 0.5})
    keep("beside", {"state_dict": state, "best_acc1": torch.tensor(55.0)})
    keep("loss_beside", {"loss": torch.tensor(0.25), "model_state_dict": dict(state)})
    keep("parallel", collections.OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()))
    keep("half", {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()})
    keep("bfloat16", {"w": torch.tensor([[1.0, -2.5], [3e38, 1e-40]], dtype=torch.bfloat16)})
    keep("double", {"w": torch.linspace(-1, 1, 7, dtype=torch.float64)})
    keep("views", views())
    keep("protocol4", state, pickle_protocol=4)
    keep("old", state, _use_new_zipfile_serialization=False)
    keep("old_views", views(), _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    keep("without_crc", {"w": torch.ones(3)})
    torch.serialization.set_crc32_options(True)
    big_endian()
    refused()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        save_file(floats(Path(sys.argv[1])), sys.argv[2])
    else:
        main()
