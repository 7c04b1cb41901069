"""The sizes of a model, read from the shapes of its tensors in the layout they were published in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sound_diffusion.model.tensors import StoredTensor

CHANNELS_PER_HEAD = 64  # of Stable Diffusion 2.x and XL, and of every CLIP text encoder


def unet_sizes(tensors: Mapping[str, StoredTensor], prefix: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the sizes of a UNet.

    Parameters
    ----------
    tensors : mapping of str to StoredTensor
        All tensors of the file.
    prefix : str
        How the names of the UNet's tensors begin.
    config : mapping
        The configuration of the family's published model.

    Returns
    -------
    sizes : dict
        Entries for the configuration of ``UNet2DConditionModel``.

    Raises
    ------
    KeyError
        With the name of a tensor that is missing.
    """
    shapes = _shapes(tensors, prefix)
    levels: list[list[int]] = [[]]
    for block in range(1, 1 + max(_numbers(shapes, "input_blocks."))):
        if f"input_blocks.{block}.0.op.weight" in shapes:
            levels.append([])
        else:
            levels[-1].append(block)
    blocks = [f"input_blocks.{level[0]}" for level in levels if level]
    channels = [shapes[f"{block}.0.out_layers.3.weight"][0] for block in blocks]
    depths = [len(_numbers(shapes, f"{block}.1.transformer_blocks.")) for block in blocks]
    middle = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    sizes: dict[str, Any] = {
        "block_out_channels": channels,
        "layers_per_block": len(levels[0]),
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "transformer_layers_per_block": [depth or 1 for depth in depths],
        "cross_attention_dim": shapes[middle][1],
        "use_linear_projection": len(shapes["middle_block.1.proj_in.weight"]) == 2,
    }
    if isinstance(config["attention_head_dim"], list):
        sizes["attention_head_dim"] = [max(1, n // CHANNELS_PER_HEAD) for n in channels]
    if config.get("addition_embed_type"):
        sizes["projection_class_embeddings_input_dim"] = shapes["label_emb.0.0.weight"][1]
    return sizes


def vae_sizes(tensors: Mapping[str, StoredTensor], prefix: str) -> dict[str, Any]:
    """Read the sizes of a VAE: entries for the configuration of ``AutoencoderKL``."""
    shapes = _shapes(tensors, prefix)
    levels = len(_numbers(shapes, "encoder.down."))
    return {
        "block_out_channels": [shapes[f"encoder.down.{i}.block.0.conv1.weight"][0] for i in range(levels)],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": len(_numbers(shapes, "encoder.down.0.block.")),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
    }


def text_encoder_sizes(
    tensors: Mapping[str, StoredTensor], prefix: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Read the sizes of a CLIP text encoder: entries for ``CLIPTextConfig``.

    A file may hold more layers than the family uses: Stable Diffusion 2.x reads the last but one.
    """
    shapes = _shapes(tensors, prefix)
    if "positional_embedding" in shapes:
        positions, tokens = "positional_embedding", "token_embedding.weight"
        layers, inner = "transformer.resblocks.", "mlp.c_fc.weight"
    else:
        old = "embeddings.position_embedding.weight" in shapes
        root = "" if old else "text_model."
        positions, tokens = (f"{root}embeddings.{kind}_embedding.weight" for kind in ("position", "token"))
        layers, inner = f"{root}encoder.layers.", "mlp.fc1.weight"
    hidden = shapes[positions][1]
    sizes = {
        "hidden_size": hidden,
        "num_attention_heads": max(1, hidden // CHANNELS_PER_HEAD),
        "num_hidden_layers": min(len(_numbers(shapes, layers)), config["num_hidden_layers"]),
        "intermediate_size": shapes[f"{layers}0.{inner}"][0],
        "vocab_size": shapes[tokens][0],
    }
    if "text_projection" in shapes:
        sizes["projection_dim"] = shapes["text_projection"][1]
    return sizes


def _shapes(tensors: Mapping[str, StoredTensor], prefix: str) -> dict[str, tuple[int, ...]]:
    return {name.removeprefix(prefix): tensors[name].shape for name in tensors if name.startswith(prefix)}


def _numbers(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> set[int]:
    """Return the numbers that follow `prefix` in the names."""
    following = (name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix))
    return {int(number) for number in following if number.isdecimal()}
