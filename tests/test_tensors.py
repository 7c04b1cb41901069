import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from sound_diffusion.errors import ModelError  # noqa: E402
from sound_diffusion.model.families import family_of  # noqa: E402
from sound_diffusion.model.tensors import open_tensor_file, read_tensors  # noqa: E402

LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint"


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 5, generator=generator)
    return OrderedDict(
        {
            "plain": torch.randn(4, 3, generator=generator),
            "half": torch.randn(5, generator=generator).half(),
            "bfloat16": torch.randn(3, generator=generator).bfloat16(),
            "transposed": whole.T,
            "slice": whole[2:4, 1:3],
            "scalar": torch.tensor(2.5),
            "empty": torch.empty(0, 3),
            "integers": torch.arange(3),
            "parameter": torch.nn.Parameter(torch.ones(2)),
        }
    )


@pytest.fixture
def lightning(monkeypatch):
    """A stand-in for the callback class of PyTorch Lightning, under the name that pickles know."""
    module = types.ModuleType(LIGHTNING)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": LIGHTNING})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", LIGHTNING):
        monkeypatch.setitem(sys.modules, name, module if name == LIGHTNING else types.ModuleType(name))
    return module.ModelCheckpoint


def check(path, tensors):
    file = open_tensor_file(path)
    read = read_tensors(file, torch.float32)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.detach().float()), name
        assert read[name].is_contiguous()
    return file


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_read_exactly(tensors, tmp_path, protocol, zipped):
    path = tmp_path / "model.ckpt"
    torch.save(tensors, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    check(path, tensors)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_that_was_saved_without_its_data_is_refused(tmp_path, zipped):
    path = tmp_path / "model.ckpt"
    torch.save({"a": torch.ones(2, device="meta")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="a: saved without its data"):
        open_tensor_file(path)


def test_a_file_of_the_old_layout_is_read_once_and_let_go(tensors, tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    file = open_tensor_file(path)
    [plain] = read_tensors(file, torch.float32, ["plain"]).values()
    assert torch.equal(plain, tensors["plain"])
    path.unlink()
    assert file.loaded.keys() == tensors.keys() - {"plain"}
    assert read_tensors(file, torch.float32, file.loaded.keys() | set()).keys() == tensors.keys() - {"plain"}
    assert not file.loaded


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_torch_cannot_read_as_data_is_refused(tensors, tmp_path, protocol, zipped):
    path = tmp_path / "model.ckpt"
    torch.save(tensors, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=f"refused: a pickle of protocol {protocol}.*safetensors"):
        open_tensor_file(path)


def test_safetensors_are_read_exactly(tensors, tmp_path):
    path = tmp_path / "model.ckpt"  # the name says nothing
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"format": "pt"})
    assert check(path, tensors).notes == {"format": "pt"}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_lightning_checkpoint_is_read(tensors, tmp_path, lightning, zipped):
    """As the first Stable Diffusion was saved: callbacks as keys, numbers of NumPy, states of optimizers."""
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(2)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "global_step": 875_000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": tensors,
        "callbacks": {lightning: {"monitor": "val", "best_model_score": np.float32(0.25), "path": "x.ckpt"}},
        "optimizer_states": [optimizer.state_dict(), layer.state_dict()],
        "lr_schedulers": [{"base_lrs": [1e-4], "_last": defaultdict(dict)}, {1, 2}],
    }
    torch.save(content, tmp_path / "lightning.ckpt", _use_new_zipfile_serialization=zipped)
    assert check(tmp_path / "lightning.ckpt", tensors).notes["global_step"] == 875_000


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def zip_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))


def overlapping_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(10_000))
        archive.filelist.extend(archive.filelist * 1000)


def many_views(path):
    """A thousand tensors that are all the same megabyte."""
    megabyte = torch.zeros(2**18)
    torch.save({f"tensor.{i}": megabyte.view(2**9, 2**9) for i in range(1000)}, path)


def save(content, zipped=True):
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=zipped)


def write(content):
    return lambda path: path.write_bytes(content)


def truncated(zipped):
    def make(path):
        torch.save({"state_dict": {"a": torch.zeros(1000)}}, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[:-1500])

    return make


def safetensors(header, data=b""):
    text = header.encode()
    return write(struct.pack("<Q", len(text)) + text + data)


def negative_shape(path):
    """A pickle whose tensor has a shape that no tensor has."""
    content = io.BytesIO()
    torch.save({"a": torch.zeros(77)}, content)
    path.write_bytes(content.getvalue().replace(b"K\x00KM\x85", b"K\x00K\xff\x85"))


SYSTEM = Call(os.system, "touch executed")
HOSTILE = {
    "os.system": (save({"state_dict": {"a": SYSTEM}}), "refused as unsafe: it contains posix.system"),
    "os.system, old format": (save({"a": SYSTEM}, zipped=False), "it contains posix.system"),
    "os.system, bare pickle": (write(pickle.dumps(SYSTEM, 2)), "it contains posix.system"),
    "os.system, bare pickle of today": (write(pickle.dumps(SYSTEM)), "refused: a pickle of protocol"),
    "eval": (save([Call(eval, "open('executed', 'w')")]), "it contains eval"),
    "getattr": (save([Call(getattr, "x", "y")]), "it contains getattr"),
    "torch.load": (save([Call(torch.load, "x")]), "it contains torch.serialization.load"),
    "zip bomb": (zip_bomb, "compressed inside"),
    "overlapping zip": (overlapping_zip, "its parts overlap"),
    "stretched tensor": (save({"a": torch.zeros(1).expand(10**12)}), "damaged: shape"),
    "many views": (many_views, "it declares 1048576000 bytes of tensors"),
    "wrong shape": (negative_shape, "damaged"),
    "truncated": (truncated(True), "cut short or damaged"),
    "truncated, old format": (truncated(False), "cut short"),
    "web page": (write(b"\n<!DOCTYPE html><html><title>Sign in</title>"), "a web page"),
    "Git LFS pointer": (
        write(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4265380512\n"),
        "a Git LFS pointer.*run `git lfs pull`",
    ),
    "empty": (write(b""), "an empty file"),
    "text": (write(b"hello, world, this is not a model"), "not a file of tensors"),
    "folder": (Path.mkdir, "a folder"),
    "missing": (lambda path: None, "no such file"),
    "another zip": (lambda path: zipfile.ZipFile(path, "w").close(), "an archive, but not of weights"),
    "endless pickle": (write(b"\x80\x02}"), "cannot follow its pickle"),
    "unknown instruction": (write(b"\x80\x02Q."), "cannot follow its pickle"),
    "old instruction": (write(b"\x80\x02(i__main__\nx\n."), "pickle instructions other than"),
    "deep name": (
        write(b"\x80\x04)" + b"\x85" * 100_000 + b"\x8c\x01x\x93."),
        "refused: a pickle of protocol 4",
    ),
    "deep shape": (
        write(b"\x80\x02ctorch\nSize\n)" + b"\x85" * 100_000 + b"\x85R."),
        "cannot follow its pickle",
    ),
    "state within itself": (
        write(b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s."),
        "a pickle, but not of weights",
    ),
    "safetensors without data": (
        safetensors('{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
        "cut short",
    ),
    "safetensors of wrong shape": (
        safetensors('{"a":{"dtype":"F32","shape":[99],"data_offsets":[0,4]}}', bytes(4)),
        r"damaged: shape \(99,\) in 4 bytes",
    ),
    "safetensors, unknown dtype": (
        safetensors('{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "elements of type X9",
    ),
    "safetensors of many dimensions": (
        safetensors('{"a":{"dtype":"F32","shape":[' + "1," * 99 + '1],"data_offsets":[0,4]}}', bytes(4)),
        "of 9 dimensions",
    ),
    "safetensors of huge shape": (
        safetensors('{"a":{"dtype":"F32","shape":[1' + "0" * 400 + '],"data_offsets":[0,4]}}', bytes(4)),
        "not made of counts",
    ),
    "safetensors, long header": (write(struct.pack("<Q", 2**62) + b"{}"), "cut short"),
    "safetensors, deep header": (safetensors("[" * 100_000), "not a file of tensors"),
    "safetensors, deep entry": (safetensors('{"a":' + "[" * 100_000), "unreadable header"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, expected = HOSTILE[kind]
    path = tmp_path / "model.ckpt"
    make(path)
    with pytest.raises(ModelError, match=expected) as caught:
        family_of(open_tensor_file(path))
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)
    assert not (tmp_path / "executed").exists()


def payloads(callback):
    """The name of a Lightning callback is harmless as a name; what is done with it here is not."""
    created = callback()
    created.state = SYSTEM
    return {
        "called": (Call(callback, "touch executed"), f"a call of {LIGHTNING}.ModelCheckpoint"),
        "created": (callback(), "it contains"),
        "with a state": (created, "it contains"),
        "as an argument": (Call(os.system, callback), "it contains posix.system"),
    }


@pytest.mark.parametrize("kind", ["called", "created", "with a state", "as an argument"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_lightning_name_with_a_payload_is_refused(kind, zipped, tmp_path, lightning, monkeypatch):
    monkeypatch.chdir(tmp_path)
    payload, expected = payloads(lightning)[kind]
    content = {"state_dict": {}, "callbacks": {lightning: payload}}
    torch.save(content, tmp_path / "model.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=expected):
        family_of(open_tensor_file(tmp_path / "model.ckpt"))
    assert not (tmp_path / "executed").exists()


def test_a_name_cannot_write_to_the_terminal(tmp_path):
    name = b"\x80\x04\x8c\x02os\x8c\x08\x1b[2Jx\ny\rz\x93."
    (tmp_path / "model.ckpt").write_bytes(name)
    with pytest.raises(ModelError) as caught:
        family_of(open_tensor_file(tmp_path / "model.ckpt"))
    assert str(caught.value).isprintable()


def test_damage_anywhere_is_refused_or_harmless(tensors, tmp_path, rng):
    """Files with random bytes changed: read, or refused by an error of ours, and nothing else."""
    path = tmp_path / "model.ckpt"
    files = []
    for zipped in (True, False):
        torch.save({"state_dict": tensors}, path, _use_new_zipfile_serialization=zipped)
        files.append(path.read_bytes())
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    files.append(path.read_bytes())
    for whole in files * 200:
        damaged = bytearray(whole)
        for position in rng.integers(0, len(damaged), size=8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(ModelError):
            file = open_tensor_file(path)
            read_tensors(file, torch.float32)


def test_nothing_heavy_is_imported_to_refuse_a_file(tmp_path):
    import subprocess

    (tmp_path / "page.ckpt").write_bytes(b"<html>")
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from sound_diffusion.model.families import family_of\n"
        "from sound_diffusion.model.tensors import open_tensor_file\n"
        f"try: family_of(open_tensor_file(Path({str(tmp_path / 'page.ckpt')!r})))\n"
        "except ValueError: print([name for name in ('torch', 'numpy', 'diffusers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
