"""Derive CLIP's vocabulary from the file of merges that the package open_clip_torch ships.

    pip download --no-deps open_clip_torch
    python -m training.vocabulary open_clip_torch-*.whl

writes vocab.json and merges.txt, the two files that transformers' ``CLIPTokenizer`` reads, to
sound_diffusion/model/configs/clip/. The tokens are numbered as CLIP numbers them: 256 bytes, the same 256 at
the end of a word, one token per merge, and the two special tokens.
"""

from __future__ import annotations

import argparse
import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from sound_diffusion.model.families import CONFIGS

MERGES_FILE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
N_BYTES = 256
N_TOKENS = 49_408
SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
WORD_END = "</w>"


def byte_characters() -> list[str]:
    """Return the printable character that stands for each byte, in the order of the vocabulary.

    Returns
    -------
    characters : list of str
        256 characters: first the bytes that are printable in Latin-1, which stand for themselves, then
        the others, which the characters from U+0100 on stand for.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, N_BYTES)]
    return [chr(code) for code in printable] + [chr(N_BYTES + i) for i in range(N_BYTES - len(printable))]


def read_merges(wheel: Path) -> list[str]:
    """Read the merges that CLIP uses, "left right" each, from the wheel of open_clip_torch.

    Parameters
    ----------
    wheel : Path
        A wheel of open_clip_torch.

    Returns
    -------
    merges : list of str
        The first 48,894 merges of the file, best first; the file's header is dropped.
    """
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(MERGES_FILE)).decode("utf-8").splitlines()
    return lines[1 : 1 + N_TOKENS - 2 * N_BYTES - len(SPECIAL_TOKENS)]


def number_tokens(merges: Sequence[str]) -> dict[str, int]:
    """Number all tokens as CLIP does.

    Parameters
    ----------
    merges : sequence of str
        What :func:`read_merges` returns.

    Returns
    -------
    vocabulary : dict of str to int
        49,408 tokens and their numbers.
    """
    characters = byte_characters()
    words = [merge.replace(" ", "") for merge in merges]
    tokens = [*characters, *(character + WORD_END for character in characters), *words, *SPECIAL_TOKENS]
    return {token: number for number, token in enumerate(tokens)}


def main(argv: Sequence[str] | None = None) -> None:
    """Write vocab.json and merges.txt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="open_clip_torch-*.whl")
    parser.add_argument("--outdir", type=Path, default=CONFIGS / "clip")
    options = parser.parse_args(argv)
    merges = read_merges(options.wheel)
    options.outdir.mkdir(parents=True, exist_ok=True)
    vocabulary = json.dumps(number_tokens(merges), ensure_ascii=False, separators=(",", ":"))
    (options.outdir / "vocab.json").write_text(vocabulary, encoding="utf-8", newline="\n")
    text = "\n".join(["#version: 0.2", *merges, ""])
    (options.outdir / "merges.txt").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
