"""The UNet of the embedded model, of those parts of diffusers that are imported quickly.

Whoever imports UNet2DConditionModel imports, through diffusers' package of transformers, all of them, with
peft and `scipy.stats`: a third of the time to the first picture. This one has the same weights under the same
names, computes the same to the last bit, and knows of nothing that the embedded model does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TextTimeEmbedding, TimestepEmbedding, Timesteps
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D

ABSENT = """
addition_time_embed_dim class_embed_type cross_attention_norm encoder_hid_dim encoder_hid_dim_type
mid_block_only_cross_attention num_attention_heads num_class_embeds projection_class_embeddings_input_dim
reverse_transformer_layers_per_block time_cond_proj_dim time_embedding_act_fn timestep_post_act
"""
OFF = """
center_input_sample class_embeddings_concat dual_cross_attention only_cross_attention resnet_skip_time_act
upcast_attention
"""
AS_IT_IS: dict[str, Any] = dict.fromkeys(ABSENT.split()) | dict.fromkeys(OFF.split(), False) | {
    "act_fn": "silu", "addition_embed_type": "text", "attention_type": "default", "conv_in_kernel": 3,
    "conv_out_kernel": 3, "downsample_padding": 1, "dropout": 0.0, "in_channels": 4,
    "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2DCrossAttn", "resnet_out_scale_factor": 1.0,
    "resnet_time_scale_shift": "scale_shift", "time_embedding_type": "positional",
    "transformer_layers_per_block": 1, "use_linear_projection": True,
}  # fmt: skip
"""What is fixed of a UNet. Sizes may be others."""
SIZES = frozenset({
    "addition_embed_type_num_heads", "attention_head_dim", "block_out_channels", "cross_attention_dim",
    "down_block_types", "flip_sin_to_cos", "freq_shift", "layers_per_block", "norm_eps",
    "norm_num_groups", "out_channels", "sample_size", "time_embedding_dim", "up_block_types",
})  # fmt: skip
BLOCKS = {"DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"}
INTEGERS = ("attention_head_dim", "cross_attention_dim", "layers_per_block", "time_embedding_dim")


def is_light_unet(config: Mapping[str, Any]) -> bool:
    """Say whether a configuration of UNet2DConditionModel is one of a :class:`LightUNet`."""
    types = [*config.get("down_block_types", ()), *config.get("up_block_types", ())]
    one_for_all = all(isinstance(config.get(name), int) for name in INTEGERS)
    return one_for_all and BLOCKS.issuperset(types) and fits(config, AS_IT_IS, SIZES)


def fits(config: Mapping[str, Any], fixed: Mapping[str, Any], sizes: frozenset[str]) -> bool:
    """Say whether a configuration has all fixed entries and all sizes, and nothing else."""
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    return own.keys() == fixed.keys() | sizes and all(own[name] == value for name, value in fixed.items())


class LightUNet(torch.nn.Module):
    """UNet2DConditionModel, as far as the embedded model has it.

    Parameters
    ----------
    config : mapping from str to Any
        Of UNet2DConditionModel; see :func:`is_light_unet`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = FrozenDict(config)
        channels, of_time = config["block_out_channels"], config["time_embedding_dim"]
        self.conv_in = torch.nn.Conv2d(config["in_channels"], channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0], config["flip_sin_to_cos"], config["freq_shift"])
        self.time_embedding = TimestepEmbedding(channels[0], of_time, act_fn="silu")
        self.add_embedding = TextTimeEmbedding(
            config["cross_attention_dim"], of_time, num_heads=config["addition_embed_type_num_heads"]
        )
        n_layers, last = config["layers_per_block"], len(channels) - 1
        self.down_blocks, self.up_blocks = torch.nn.ModuleList(), torch.nn.ModuleList()
        before = channels[0]
        for level, (kind, outputs) in enumerate(zip(config["down_block_types"], channels, strict=True)):
            inputs = [before, *[outputs] * (n_layers - 1)]
            self.down_blocks.append(_Down(config, kind, inputs, outputs, resized=level < last))
            before = outputs
        self.mid_block = _Middle(config, before)
        for level, kind in enumerate(config["up_block_types"]):
            outputs, skipped = channels[last - level], channels[max(last - level - 1, 0)]
            inputs = [before + outputs, *[2 * outputs] * (n_layers - 1), outputs + skipped]
            self.up_blocks.append(_Up(config, kind, inputs, outputs, resized=level < last))
            before = outputs
        self.conv_norm_out = torch.nn.GroupNorm(config["norm_num_groups"], before, config["norm_eps"])
        self.conv_out = torch.nn.Conv2d(before, config["out_channels"], 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return self.conv_in.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.conv_in.weight.device

    def forward(
        self,
        sample: torch.Tensor,
        timestep: Any,
        encoder_hidden_states: torch.Tensor,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """Predict v of latents.

        Parameters
        ----------
        sample : torch.Tensor [shape=(n, 4, height, width)]
        timestep : torch.Tensor or int
            Of all samples.
        encoder_hidden_states : torch.Tensor [shape=(n, 77, width)]
        return_dict : bool
            As diffusers' UNet has it; the result is a tuple in any case.

        Returns
        -------
        predicted : tuple of torch.Tensor [shape=(n, 4, height, width)]
        """
        timesteps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        emb = self.time_embedding(self.time_proj(timesteps).to(sample.dtype))
        emb = emb + self.add_embedding(encoder_hidden_states)
        kept = [x := self.conv_in(sample)]
        for block in self.down_blocks:
            x = block(x, emb, encoder_hidden_states, kept)
        x = self.mid_block(x, emb, encoder_hidden_states)
        # Sizes that were odd on the way down are those of what was kept there; others are doubled.
        odd = any(side % 2 ** (len(self.up_blocks) - 1) for side in sample.shape[-2:])
        for block in self.up_blocks:
            x = block(x, emb, encoder_hidden_states, kept, odd)
        predicted: torch.Tensor = self.conv_out(torch.nn.functional.silu(self.conv_norm_out(x)))
        return (predicted,)


class _Level(torch.nn.Module):
    """Residual blocks of one resolution, each followed by attention where the type of the level says so."""

    def __init__(self, config: Mapping[str, Any], kind: str, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        residual = partial(
            ResnetBlock2D,
            out_channels=outputs,
            temb_channels=config["time_embedding_dim"],
            groups=config["norm_num_groups"],
            eps=config["norm_eps"],
            non_linearity="silu",
            time_embedding_norm="scale_shift",
        )
        attentions = [_Attention(config, outputs) for _ in inputs] if "CrossAttn" in kind else []
        self.resnets = torch.nn.ModuleList([residual(in_channels=each) for each in inputs])
        self.attentions = torch.nn.ModuleList(attentions)

    def attend(self, layer: int, x: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Attend to states, where this level does."""
        attended: torch.Tensor = self.attentions[layer](x, states) if len(self.attentions) else x
        return attended


class _Down(_Level):
    def __init__(self, *args: Any, resized: bool) -> None:
        super().__init__(*args)
        outputs = args[-1]
        sampler = partial(Downsample2D, outputs, use_conv=True, out_channels=outputs, padding=1, name="op")
        self.downsamplers = torch.nn.ModuleList([sampler()] if resized else [])

    def forward(
        self, x: torch.Tensor, emb: torch.Tensor, states: torch.Tensor, kept: list[torch.Tensor]
    ) -> torch.Tensor:
        for layer, residual in enumerate(self.resnets):
            x = self.attend(layer, residual(x, emb), states)
            kept.append(x)
        for sampler in self.downsamplers:
            x = sampler(x)
            kept.append(x)
        return x


class _Up(_Level):
    def __init__(self, *args: Any, resized: bool) -> None:
        super().__init__(*args)
        sampler = partial(Upsample2D, args[-1], use_conv=True, out_channels=args[-1])
        self.upsamplers = torch.nn.ModuleList([sampler()] if resized else [])

    def forward(
        self, x: torch.Tensor, emb: torch.Tensor, states: torch.Tensor, kept: list[torch.Tensor], odd: bool
    ) -> torch.Tensor:
        for layer, residual in enumerate(self.resnets):
            x = self.attend(layer, residual(torch.cat([x, kept.pop()], dim=1), emb), states)
        for sampler in self.upsamplers:
            x = sampler(x, kept[-1].shape[2:] if odd else None)
        return x


class _Middle(_Level):
    def __init__(self, config: Mapping[str, Any], channels: int) -> None:
        super().__init__(config, "", [channels] * 2, channels)
        self.attentions.append(_Attention(config, channels))

    def forward(self, x: torch.Tensor, emb: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        middle: torch.Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x, emb), states), emb)
        return middle


class _Attention(torch.nn.Module):
    """Attention of pixels to each other and to states: Transformer2DModel with linear projections."""

    def __init__(self, config: Mapping[str, Any], channels: int) -> None:
        super().__init__()
        heads = config["attention_head_dim"]  # which is a number of heads in all models of this kind
        self.norm = torch.nn.GroupNorm(config["norm_num_groups"], channels, eps=1e-6)
        self.proj_in = torch.nn.Linear(channels, channels)
        block = BasicTransformerBlock(
            channels, heads, channels // heads, cross_attention_dim=config["cross_attention_dim"]
        )
        self.transformer_blocks = torch.nn.ModuleList([block])
        self.proj_out = torch.nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        pixels = self.norm(x).permute(0, 2, 3, 1).reshape(count, height * width, channels)
        pixels = self.transformer_blocks[0](self.proj_in(pixels), encoder_hidden_states=states)
        pixels = self.proj_out(pixels).reshape(count, height, width, channels)
        attended: torch.Tensor = pixels.permute(0, 3, 1, 2).contiguous() + x
        return attended
