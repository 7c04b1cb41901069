"""The names under which Stable Diffusion was published, from those of diffusers: the loader's opposite.

Tests and benchmarks make checkpoints with it out of models that have random weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

UNET_NAMES = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
    (r"(\d)\.norm1\.", r"\1.in_layers.0."),
    (r"(\d)\.conv1\.", r"\1.in_layers.2."),
    (r"(\d)\.time_emb_proj\.", r"\1.emb_layers.1."),
    (r"(\d)\.norm2\.", r"\1.out_layers.0."),
    (r"(\d)\.conv2\.", r"\1.out_layers.3."),
    (r"(\d)\.conv_shortcut\.", r"\1.skip_connection."),
)
VAE_NAMES = (
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
)
OPEN_CLIP_NAMES = (
    (r"^(?:text_model\.)?encoder\.layers\.", "transformer.resblocks."),
    (r"^(?:text_model\.)?embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"^(?:text_model\.)?embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^(?:text_model\.)?final_layer_norm", "ln_final"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"self_attn\.q_proj\.", "attn.in_proj_"),
)


def original_unet(state: Mapping[str, torch.Tensor], layers_per_block: int) -> dict[str, torch.Tensor]:
    """Rename the tensors of a ``UNet2DConditionModel``."""
    per_level = layers_per_block + 1
    with_attention = {name.split(".")[1] for name in state if re.match(r"up_blocks\.\d+\.attentions", name)}

    def place(name: str) -> str:
        kind, level, part, layer = (name.split(".") + [""] * 4)[:4]
        if kind not in {"down_blocks", "up_blocks"}:
            return name
        rest = name.split(".", 4)[4]
        side = "input_blocks" if kind == "down_blocks" else "output_blocks"
        first = int(level) * per_level + (kind == "down_blocks")
        if part == "downsamplers":
            return f"{side}.{first + layers_per_block}.0.op.{rest.removeprefix('conv.')}"
        if part == "upsamplers":
            return f"{side}.{first + layers_per_block}.{1 + (level in with_attention)}.{rest}"
        return f"{side}.{first + int(layer)}.{int(part == 'attentions')}.{rest}"

    return {f"model.diffusion_model.{_renamed(place(name), name)}": tensor for name, tensor in state.items()}


def _renamed(placed: str, name: str) -> str:
    """Rename what is inside a block; attention keeps its names."""
    rules = [rule for rule in UNET_NAMES if "attentions" not in name or rule[0].startswith("^mid_block")]
    return _substituted(placed, rules)


def original_vae(state: Mapping[str, torch.Tensor], levels: int) -> dict[str, torch.Tensor]:
    """Rename the tensors of an ``AutoencoderKL``; its attention was made of convolutions."""
    renamed = {}
    for name, tensor in state.items():
        up = re.match(r"decoder\.up_blocks\.(\d+)\.", name)
        placed = name
        if up:
            placed = f"decoder.up.{levels - 1 - int(up[1])}.{name[up.end() :]}"
            placed = placed.replace("resnets.", "block.").replace("upsamplers.0.", "upsample.")
        if "attentions" in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]  # noqa: PLW2901
        renamed[f"first_stage_model.{_substituted(placed, VAE_NAMES)}"] = tensor
    return renamed


def original_clip(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Rename the tensors of a ``CLIPTextModel`` as transformers had them in 2022."""
    return {
        f"{prefix}text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()
    }


def original_open_clip(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Rename the tensors of a ``CLIPTextModel`` as OpenCLIP has them."""
    import torch

    renamed = {}
    for name, tensor in state.items():
        if name == "text_projection.weight":
            renamed[f"{prefix}text_projection"] = tensor.T.contiguous()
            continue
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            tensor = torch.cat(parts)  # noqa: PLW2901
        renamed[prefix + _substituted(name, OPEN_CLIP_NAMES)] = tensor
    return renamed


def _substituted(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
