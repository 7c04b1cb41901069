"""Matrices from elsewhere: what is taken for an embedding, and what is refused."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from sound_diffusion.errors import EmbeddingError
from sound_diffusion.sound.embeddings import (
    check_embedding,
    load_embedding,
)

ROWS, WIDTH = 77, 32


def matrix_of(seed=0, width=WIDTH):
    return np.random.default_rng(seed).normal(3, 2, (ROWS, width)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8, ">f8"])
def test_matrices_of_any_real_kind_are_taken(dtype):
    values = np.arange(ROWS * WIDTH).reshape(ROWS, WIDTH) % 100
    checked = check_embedding(values.astype(dtype), WIDTH)
    assert checked.dtype == np.float32
    assert checked.flags.c_contiguous
    np.testing.assert_array_equal(checked, values)
    np.testing.assert_array_equal(check_embedding(values[None].astype(dtype), WIDTH), values)
    np.testing.assert_array_equal(check_embedding(np.asfortranarray(values.astype(dtype)), WIDTH), values)


BAD_MATRICES = {
    "shape (76, 32)": np.zeros((76, WIDTH)),
    "shape (77, 33)": np.zeros((ROWS, 33)),
    "shape (2, 77, 32)": np.zeros((2, ROWS, WIDTH)),
    "shape (2464,)": np.zeros(ROWS * WIDTH),
    "shape ()": np.float64(3),
    "shape (0, 32)": np.zeros((0, WIDTH)),
    "dtype complex128": np.zeros((ROWS, WIDTH), dtype=complex),
    "dtype bool": np.zeros((ROWS, WIDTH), dtype=bool),
    "dtype <U1": np.full((ROWS, WIDTH), "1"),
    "NaN": np.full((ROWS, WIDTH), np.nan),
    "infinite": np.full((ROWS, WIDTH), np.inf),
    "NaN or infinite": np.full((ROWS, WIDTH), 1e300),
}


@pytest.mark.parametrize("problem", BAD_MATRICES)
def test_matrix_that_cannot_be_painted(problem, tmp_path):
    with pytest.raises(EmbeddingError) as caught:
        check_embedding(BAD_MATRICES[problem], WIDTH, "mine")
    assert problem in str(caught.value)
    path = tmp_path / "bad.npy"
    np.save(path, BAD_MATRICES[problem])
    with pytest.raises(EmbeddingError) as caught:
        load_embedding(path, WIDTH)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load(tmp_path):
    path = tmp_path / "own.npy"
    np.save(path, matrix_of())
    np.testing.assert_array_equal(load_embedding(path, WIDTH), matrix_of())
    np.testing.assert_array_equal(load_embedding(path), matrix_of())
    loaded = load_embedding(path)
    path.write_bytes(b"")  # what was loaded does not hang on the file
    np.testing.assert_array_equal(loaded, matrix_of())


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npy_bytes(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header_bytes(header):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive_bytes(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, npy_bytes(matrix_of()))
    return file.getvalue()


def test_load_refuses_what_is_no_matrix(tmp_path):
    trace = tmp_path / "trace"
    contents = {
        "objects": npy_bytes(np.array([[Bomb(trace)]], dtype=object), allow_pickle=True),
        "pickle": pickle.dumps(Bomb(trace)),
        "text": b"1 2 3\n",
        "empty": b"",
        "cut": npy_bytes(matrix_of())[:-100],
        "header": header_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (77, 32"),
        "huge": header_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (77, 10000000000), }"),
        "overflow": header_bytes(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (77, {2**70}), }}"),
        "negative": header_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-77, 32), }"),
        "code": header_bytes("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (1,), }"),
        "archive": archive_bytes("a.npy"),
        "damaged archive": archive_bytes("a.npy")[:300],
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.npy"
        path.write_bytes(content)
        with pytest.raises(EmbeddingError) as caught:
            load_embedding(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2
    assert not trace.exists()


def test_load_missing_or_folder(tmp_path):
    with pytest.raises(EmbeddingError, match="no such file"):
        load_embedding(tmp_path / "no.npy")
    with pytest.raises(EmbeddingError, match="a folder"):
        load_embedding(tmp_path)
