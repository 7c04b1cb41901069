"""Checkpoints: Stable Diffusion in a single file, read safely and without a network.

============  ==========================================================================
names         what a pickle may name
unpickling    a pickle -> the data that it describes
tensors       where a tensor is in a file, and reading it
formats       a file -> its table of contents
families      a table of contents -> Stable Diffusion 1.x, 2.x or XL, or why not
structure     shapes of tensors -> sizes of a model
building      a model of these sizes, filled with tensors from the file
loading       all of that -> a diffusers pipeline
folders       the same care for a diffusers folder
additions     a VAE or a LoRA in a file of its own
============  ==========================================================================

The table of contents needs no torch; what does, imports it when it is called.
"""

from __future__ import annotations

from sound_diffusion.model.checkpoints.additions import add_lora, load_vae
from sound_diffusion.model.checkpoints.families import CheckpointFamily, checkpoint_family
from sound_diffusion.model.checkpoints.folders import folder_parts
from sound_diffusion.model.checkpoints.loading import load_checkpoint_pipeline, measured_family

__all__ = [
    "CheckpointFamily",
    "add_lora",
    "checkpoint_family",
    "folder_parts",
    "load_checkpoint_pipeline",
    "load_vae",
    "measured_family",
]
