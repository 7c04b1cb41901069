"""Write the trained networks as a diffusers folder: `python -m training.export`."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel

from sound_diffusion.model.sound_encoder import SOUND_ENCODER
from training import autoencoder, dataset, distillation, examples, tiny_autoencoder, unet

WORK = Path(__file__).parent / "work"
MODEL = Path(__file__).parent.parent / "models" / "cymatics"
SLOW = {"steps": 15, "guidance": distillation.GUIDANCE}
FEW_STEPS = {
    "steps": 2,
    "guidance": 1.0,
    "few_steps": True,
    "film": {
        "steps": 1,
        "guidance": 1.0,
        "strength": "0.65 + 0.35*onset",
        "local_contrast": 0.6,
        "seed_mode": "fixed",
    },
}
DECLARED = {
    "scaling": dataset.SCALING,
    "height": 256,
    "width": 256,
    "window": 0.6,
    "sound_encoder": True,
    "mirrored_noise": True,
}
ABSENT = ("text_encoder", "tokenizer", "safety_checker", "feature_extractor", "image_encoder")


def pipeline_of(
    vae: AutoencoderKL | AutoencoderTiny, painter: UNet2DConditionModel
) -> StableDiffusionPipeline:
    """Join the two networks and the schedule into a pipeline without a text encoder."""
    return StableDiffusionPipeline(
        vae=vae,
        unet=painter,
        scheduler=unet.make_scheduler(),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )


def export(work: Path = WORK, model: Path = MODEL, *, slow: bool = False) -> Path:
    """Write the averaged weights of a work folder, in float16, to a model folder.

    Parameters
    ----------
    work : Path
        Folder with what training has made.
    model : Path
        Where the model goes; what lies there is replaced once the new one is whole.
    slow : bool
        The painter of many steps and the large autoencoder, from which the other ones have learnt.

    Returns
    -------
    Path
        The model's folder.
    """
    vae = autoencoder.load_trained(work) if slow else tiny_autoencoder.load_trained(work)
    vae.register_to_config(scaling_factor=examples.scaling_factor(work))
    painter = unet.load_trained(work, checkpoint="unet.pt" if slow else "few_step.pt")
    beside = model.with_name(model.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    pipeline_of(vae.to(torch.float16), painter.unet.to(torch.float16)).save_pretrained(beside)
    painter.encoder.to(torch.float16).save_pretrained(beside / SOUND_ENCODER)
    index = json.loads((beside / "model_index.json").read_text())
    index |= {name: [None, None] for name in ABSENT}
    (beside / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    declared = (SLOW if slow else FEW_STEPS) | DECLARED
    (beside / "sound_diffusion.json").write_text(json.dumps(declared, indent=2) + "\n")
    for kept in ("README.md",):
        if (model / kept).exists():
            shutil.copy(model / kept, beside / kept)
    shutil.rmtree(model, ignore_errors=True)
    beside.rename(model)
    return model


def main(argv: list[str] | None = None) -> None:
    """Export, and print the folder and its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="work folder (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder (default: %(default)s)")
    parser.add_argument("--slow", action="store_true", help="the painter of many steps, to compare with")
    options = parser.parse_args(argv)
    path = export(options.work, options.model, slow=options.slow)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    print(f"{path} {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
