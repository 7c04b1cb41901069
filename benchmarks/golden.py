"""Show that no picture has changed: paint with two versions of the program and compare the pixels.

    python -m benchmarks.golden record FILE [--checkout FOLDER]
    python -m benchmarks.golden compare FILE [--checkout FOLDER]

Thirty commands over features, scalings, families of Stable Diffusion in miniature, films, resumed films,
recipes, words and batches. Each runs as a process of its own, with the scripts of --checkout. FILE keeps a
hash of the pixels of every picture and frame, not of the text inside them, which may say more than before.
The hashes hold for one machine and its libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("sd1", "sd2_base", "sd2_768v", "sdxl_base")
PICTURE, FILM = "audio2img.py", "audio2video.py"
SMALL = " --H 64 --W 64 --ddim_steps 3"
FRAMES_KEPT = 2  # of a film that is resumed

# By name: a script and its words. Upper-case words stand for files that are made for the occasion.
COMMANDS: dict[str, str] = {
    "fft": f"{PICTURE} --prompt BELL --ddim_steps 3",
    "waveform": f"{PICTURE} --prompt BELL --feature waveform{SMALL} --offset 0.1 --duration 0.4",
    "melspectrogram": f"{PICTURE} --prompt DRUMS --feature melspectrogram{SMALL}",
    "mfcc": f"{PICTURE} --prompt DRUMS --feature mfcc{SMALL}",
    "cqt": f"{PICTURE} --prompt BELL --feature cqt{SMALL}",
    "no scaling": f"{PICTURE} --prompt BELL --scaling none{SMALL}",
    "log": f"{PICTURE} --prompt BELL --scaling log{SMALL} --seed 7 --scale 4.5",
    "range": f"{PICTURE} --model SD1 --prompt BELL --scaling range{SMALL}",
    "clip": f"{PICTURE} --model SD1 --prompt BELL --scaling clip{SMALL}",
    "plms": f"{PICTURE} --prompt BELL --plms{SMALL}",
    "euler": f"{PICTURE} --prompt BELL --scheduler euler{SMALL}",
    "eta": f"{PICTURE} --prompt BELL --ddim_eta 0.5{SMALL}",
    "batches": f"{PICTURE} --prompt BELL --n_samples 2 --n_iter 2{SMALL}",
    "fixed code": f"{PICTURE} --prompt BELL --n_samples 2 --n_iter 2 --fixed_code{SMALL} --skip_grid",
    "over a picture": f"{PICTURE} --prompt BELL --init-img START --strength 0.7{SMALL}",
    "low memory": f"{PICTURE} --prompt BELL DRUMS --low-memory{SMALL}",
    "a matrix": f"{PICTURE} --prompt MATRIX{SMALL}",
    "a matrix, scaled": f"{PICTURE} --prompt MATRIX --scaling log --n_samples 2{SMALL}",
    "words alone": f'{PICTURE} --model SD1 --textprompt "a red apple" --plms{SMALL}',
    "words and sound": f'{PICTURE} --model SD2_BASE --prompt BELL --textprompt "a" --text-weight 0.3{SMALL}',
    "words and sound, added": (
        f"{PICTURE} --model SD2_768V --prompt BELL --textprompt a --textstrength 5{SMALL}"
    ),
    "words and sound, pooled": f'{PICTURE} --model SDXL_BASE --prompt BELL --textprompt "a tree"{SMALL}',
    "sound alone, pooled": f"{PICTURE} --model SDXL_BASE --prompt BELL{SMALL}",
    "a checkpoint": f"{PICTURE} --model CHECKPOINT --prompt BELL{SMALL}",
    "film": f"{FILM} --path DRUMS --fps 12 --strength 0.5 --duration 0.4{SMALL}",
    "film of a fraction": (
        f"{FILM} --path DRUMS --fps 24000/1001 --window 1/3 --duration 0.2 --strength 0.7{SMALL}"
    ),
    "film in batches": f"{FILM} --path DRUMS --mode txt2img --batch-size 3 --duration 0.4{SMALL}",
    "film, every second frame": f"{FILM} --path DRUMS --preview 2 --seed-mode random --duration 0.5{SMALL}",
    "film with words": (
        f"{FILM} --model SD1 --path BELL --textprompt day --textpromptend night --strength 0.7"
        f" --fps 8 --duration 0.5{SMALL}"
    ),
    "film with words, pooled": (
        f"{FILM} --model SDXL_BASE --path BELL --textprompt day --textpromptend night --strength 0.7"
        f" --fps 8 --duration 0.3 --init-img START{SMALL}"
    ),
}
RESUMED = ("film", "film in batches")
REMADE = ("waveform", "over a picture", "words and sound, added", "film of a fraction")


@dataclass(frozen=True)
class Studio:
    """Where the commands run: the scripts of a checkout, a folder, and the files that words stand for."""

    checkout: Path
    folder: Path
    files: dict[str, str]

    def run(self, command: str, outdir: str) -> list[Path]:
        """Run a command with its results in a folder of their own; return the paths that it printed."""
        script, *words = [self.files.get(word, word) for word in shlex.split(command)]
        out = self.folder / outdir
        where = ["--outdir", str(out), "--device", "cpu", "--quiet"]
        return [self.folder / line for line in self.lines(script, *words, *where)]

    def lines(self, script: str, *words: str) -> list[str]:
        """Run a script and return what it prints."""
        command = [sys.executable, str(self.checkout / script), *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(command)} ended with status {done.returncode}:\n{done.stderr}")
        return done.stdout.splitlines()


def make_files(checkout: Path, folder: Path) -> dict[str, str]:
    """Make models in miniature, a start picture and a matrix; return the path that each word stands for."""
    from PIL import Image
    from safetensors.torch import save_file

    from tests.tiny_checkpoints import build_pipeline, original_tensors

    files = {name: str(checkout / "examples" / f"{name.lower()}.wav") for name in ("BELL", "DRUMS")}
    for family in FAMILIES:
        pipeline = build_pipeline(family)
        pipeline.save_pretrained(folder / family)
        files[family.upper()] = str(folder / family)
        if family == "sd1":
            save_file(original_tensors(pipeline, family), folder / "model.safetensors")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 72, 3), dtype=np.uint8)).save(folder / "start.png")
    np.save(folder / "matrix.npy", rng.normal(size=(77, 768)).astype(np.float32))
    names = {"CHECKPOINT": "model.safetensors", "START": "start.png", "MATRIX": "matrix.npy"}
    return files | {word: str(folder / name) for word, name in names.items()}


def hash_pixels(path: Path) -> str:
    """Return a hash of a picture's size and pixels."""
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]


def pictures_of(paths: list[Path]) -> list[Path]:
    """Return the pictures that a command made: those that it printed, or the frames of a printed film."""
    return [
        picture
        for path in paths
        for picture in ([path] if path.suffix == ".png" else sorted((path.parent / "frames").glob("*.png")))
    ]


def results(studio: Studio) -> Iterator[tuple[str, list[str]]]:
    """Run everything; yield the name of each command and the hashes of its pictures."""
    for number, (name, command) in enumerate(COMMANDS.items()):
        paths = studio.run(command, str(number))
        pictures = pictures_of(paths)
        yield name, [hash_pixels(path) for path in pictures]
        if name in RESUMED:
            for frame in pictures[FRAMES_KEPT:]:
                frame.unlink()
            paths[0].unlink()
            yield (
                f"{name}, resumed",
                [hash_pixels(path) for path in pictures_of(studio.run(command, str(number)))],
            )
        if name in REMADE:
            [line] = studio.lines(PICTURE, "--recipe", str(pictures[0]))
            again = pictures_of(studio.run(line.removeprefix("python "), f"{number}-again"))
            yield f"{name}, by its recipe", [hash_pixels(path) for path in again]


def compare(expected: dict[str, list[str]], found: dict[str, list[str]]) -> list[str]:
    """Name what differs."""
    return [name for name in expected | found if expected.get(name) != found.get(name)]


def main() -> None:
    """Record, or compare and leave with status 1 where something has changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose scripts run (default: this one)")
    args = parser.parse_args()
    expected = json.loads(args.file.read_text(encoding="utf-8")) if args.action == "compare" else {}
    folder = Path(tempfile.mkdtemp())
    try:
        checkout = args.checkout.resolve()
        found = {}
        for name, hashes in results(Studio(checkout, folder, make_files(checkout, folder))):
            found[name] = hashes
            verdict = "" if not expected else "same" if expected.get(name) == hashes else "CHANGED"
            print(f"{name:36} {len(hashes):3} {verdict}", flush=True)
    finally:
        shutil.rmtree(folder)
    if args.action == "record":
        args.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif changed := compare(expected, found):
        raise SystemExit(f"changed: {', '.join(changed)}")


if __name__ == "__main__":
    main()
