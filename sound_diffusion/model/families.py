"""The families of Stable Diffusion, and which one a checkpoint belongs to: names and shapes tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sound_diffusion.errors import ModelError
from sound_diffusion.model.tensors import StoredTensor, TensorFile, printable

CONFIGS = Path(__file__).parent / "configs"
UNET = "model.diffusion_model."
VAE = "first_stage_model."
SD2_PREDICTION_TYPES = {875_000: "epsilon", 110_000: "v_prediction"}
"""What Stable Diffusion 2.0 base and 2.1 768-v predict, by the training step that their .ckpt states."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """One text encoder of a family.

    Attributes
    ----------
    name : str
        What the diffusers pipeline calls it.
    prefix : str
        How the names of its tensors begin.
    is_open_clip : bool
        Whether its tensors are laid out as in OpenCLIP, rather than as in transformers.
    """

    name: str
    prefix: str
    is_open_clip: bool


@dataclass(frozen=True, slots=True)
class CheckpointFamily:
    """What has to be known to load a checkpoint.

    Attributes
    ----------
    name : str
        For messages.
    width : int
        Columns D of an embedding: the width of the cross-attention.
    text_encoders : tuple of TextEncoder
        In the order of the pipeline.
    prediction_type : str or None
        ``epsilon``, ``v_prediction``, or None if only the model's behaviour can tell.
    zero_terminal_snr : bool
        Whether the noise schedule ends in pure noise, as some models that predict v were trained.
    """

    name: str
    width: int
    text_encoders: tuple[TextEncoder, ...]
    prediction_type: str | None = "epsilon"
    zero_terminal_snr: bool = False

    @property
    def config_folder(self) -> Path:
        """Folder with the diffusers configuration of this family."""
        if self.width == SD2.width:
            return CONFIGS / ("sd2_base" if self.prediction_type == "epsilon" else "sd2_768v")
        return CONFIGS / ("sdxl_base" if self.width == SDXL.width else "sd1")


SD1 = CheckpointFamily(
    "Stable Diffusion 1.x", 768, (TextEncoder("text_encoder", "cond_stage_model.transformer.", False),)
)
SD2 = CheckpointFamily(
    "Stable Diffusion 2.x", 1024, (TextEncoder("text_encoder", "cond_stage_model.model.", True),), None
)
SDXL = CheckpointFamily(
    "Stable Diffusion XL",
    2048,
    (
        TextEncoder("text_encoder", "conditioner.embedders.0.transformer.", False),
        TextEncoder("text_encoder_2", "conditioner.embedders.1.model.", True),
    ),
)
FAMILIES = {family.width: family for family in (SD1, SD2, SDXL)}

IN_CHANNELS = 4
OTHER_IN_CHANNELS = {
    5: "a depth-to-image model",
    7: "an upscaler",
    8: "an instruct-pix2pix model",
    9: "an inpainting model",
}
WHOLE = "a whole Stable Diffusion 1.x, 2.x or XL base model: UNet, VAE and text encoder in one file"
PARTS = (
    ("control_model.", "a ControlNet", ""),
    ("controlnet_", "a ControlNet", ""),
    ("input_hint_block.", "a ControlNet", ""),
    ("lora_", "a LoRA", "give the model to --model and this file to --lora"),
    ("unet.down_blocks.", "a LoRA", "give the model to --model and this file to --lora"),
    ("joint_blocks.", "a Stable Diffusion 3 model", ""),
    (f"{UNET}joint_blocks.", "a Stable Diffusion 3 model", ""),
    ("double_blocks.", "a Flux model", ""),
    (f"{UNET}double_blocks.", "a Flux model", ""),
    ("down_blocks.", "a UNet alone, in the layout of diffusers", "give the folder that it belongs to"),
    ("text_model.", "a text encoder alone", "give the folder that it belongs to"),
)
"""How names begin that tell what a file is, and what to do with it; the first that fits is named."""
VAES = ("first_stage_model.decoder.conv_in.weight", "decoder.conv_in.weight")


def family_of(file: TensorFile) -> CheckpointFamily:
    """Find out which family a checkpoint belongs to, without reading its tensors.

    Parameters
    ----------
    file : TensorFile

    Returns
    -------
    family : CheckpointFamily

    Raises
    ------
    ModelError
        If it is no whole model that paints from an embedding.
    """
    tensors = file.tensors
    _check_unet(file)
    width = _width(tensors)
    if width not in FAMILIES or "edm_mean" in tensors:
        raise _not_whole(file, f"a model of an unknown family, with a cross-attention of {width}")
    family = FAMILIES[width]
    for part, prefix in [("VAE", VAE), *((e.name.replace("_", " "), e.prefix) for e in family.text_encoders)]:
        if not any(name.startswith(prefix) for name in tensors):
            raise _not_whole(file, f"{family.name} without its {part}")
    if family is SD2 and f"{UNET}label_emb.0.0.weight" in tensors:
        raise _not_whole(file, "an image variation model (unCLIP)")
    return dataclasses.replace(
        family,
        prediction_type=_stated_prediction_type(file) or family.prediction_type,
        zero_terminal_snr="ztsnr" in tensors,
    )


def _check_unet(file: TensorFile) -> None:
    """Refuse, by its name, what has no UNet that paints from an embedding."""
    tensors = file.tensors
    first = tensors.get(f"{UNET}input_blocks.0.0.weight")
    for prefix, what, remedy in PARTS:
        # A ControlNet may carry the model it was made for; anything else beside a UNet is part of it.
        if (first is None or "ControlNet" in what) and any(name.startswith(prefix) for name in tensors):
            raise _not_whole(file, what, remedy)
    if first is None and any(name in tensors for name in VAES):
        raise _not_whole(file, "a VAE alone", "give the model to --model and this file to --vae")
    if first is None:
        shown = ", ".join(printable(name) for name in list(tensors)[:3])
        raise _not_whole(file, f"unknown content: {shown or 'no tensors'}")
    channels = first.shape[1] if len(first.shape) == 4 else 0
    if channels != IN_CHANNELS:
        raise _not_whole(file, OTHER_IN_CHANNELS.get(channels, f"a UNet with {channels} input channels"))
    conditioner = {name.split(".")[2] for name in tensors if name.startswith("conditioner.embedders.")}
    if conditioner == {"0"} and any(name.startswith("conditioner.embedders.0.model.") for name in tensors):
        raise _not_whole(file, "the refiner of Stable Diffusion XL", "give the base model")


def _width(tensors: Mapping[str, StoredTensor]) -> int:
    for name, record in tensors.items():
        if name.startswith(UNET) and name.endswith(".attn2.to_k.weight") and len(record.shape) == 2:
            return record.shape[1]
    return 0


def _stated_prediction_type(file: TensorFile) -> str | None:
    """Return what the file itself says that its UNet predicts.

    Three places are known: an empty tensor ``v_pred``, the model specification in the metadata of
    safetensors, and the training step of the official .ckpt files of Stable Diffusion 2.
    """
    if "v_pred" in file.tensors:
        return "v_prediction"
    specified = str(file.notes.get("modelspec.prediction_type", ""))
    if specified:
        return "v_prediction" if specified.startswith("v") else "epsilon"
    step = file.notes.get("global_step")
    if _width(file.tensors) == SD2.width and isinstance(step, int):
        return SD2_PREDICTION_TYPES.get(step)
    return None


def _not_whole(file: TensorFile, what: str, remedy: str = "") -> ModelError:
    return ModelError(f"{file.path}: {what}", WHOLE, remedy)
