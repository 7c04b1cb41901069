"""What a LoRA file is made of: the layers of the model that it changes, or why it is none for this model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.families import FAMILIES, SDXL
from sound_diffusion.model.tensors import TensorFile, printable

if TYPE_CHECKING:
    import torch

EXPECTED = "a LoRA for this family of models"
# The same part is called differently by kohya's scripts, by diffusers of before 0.17 and by peft.
DOWN = r"lora_down\.weight|lora\.down\.weight|lora_linear_layer\.down\.weight|lora_A(?:\.\w+)?\.weight"
UP = r"lora_up\.weight|lora\.up\.weight|lora_linear_layer\.up\.weight|lora_B(?:\.\w+)?\.weight"
MAGNITUDE = r"dora_scale|lora_magnitude_vector(?:\.\w+)*"
PART = re.compile(
    rf"(?P<layer>.+?)[._](?:(?P<down>{DOWN})|(?P<up>{UP})|(?P<magnitude>{MAGNITUDE})|(?P<alpha>alpha))"
)
OTHER_KINDS = {
    "LoHa": r"\.hada_w\d",
    "LoKr": r"\.lokr_(w|t)\d",
    "IA3": r"\.ia3_|\.on_input$",
    "OFT": r"\.oft_",
    "GLoRA": r"\.[ab][12]\.weight$",
    "VeRA": r"\.vera_",
    "LyCORIS (full weights)": r"\.diff(_b)?$",
}
"""What else is shared as a LoRA, by the names of its tensors."""
PREFIXES = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
}
"""How the names of layers begin that are in a part of the pipeline."""
PUBLISHED_BLOCKS = re.compile("(input_blocks|middle_block|output_blocks|time_embed|label_emb|out)_")
FLUX_WIDTH = 3072


@dataclass(frozen=True)
class LoraLayer:
    """What a LoRA file holds for one layer.

    Attributes
    ----------
    parts : mapping of str to str
        Names of its tensors by what they are: ``down``, ``up``, ``alpha``, and ``magnitude`` of a DoRA.
    component, path : str
        The part of the pipeline and the module in it; empty where the model has no such layer.
    """

    parts: Mapping[str, str]
    component: str
    path: str

    @property
    def is_usable(self) -> bool:
        """Whether the model has the layer, and the file what is needed to change it."""
        return bool(self.path) and self.parts.keys() >= {"down", "up"}

    def module(self, pipeline: Any) -> Any:
        """Return the layer itself."""
        return getattr(pipeline, self.component).get_submodule(self.path)


class LoraLayers:
    """The layers of a LoRA file, found in a pipeline.

    Parameters
    ----------
    names : iterable of str
        Of its tensors.
    pipeline : StableDiffusionPipeline or StableDiffusionXLPipeline
    """

    def __init__(self, names: Iterable[str], pipeline: Any) -> None:
        self._pipeline = pipeline
        self.others: list[str] = []
        parts: dict[str, dict[str, str]] = defaultdict(dict)
        for name in names:
            match = PART.fullmatch(name)
            if match is None:
                self.others.append(name)
            else:
                parts[match["layer"]][str(match.lastgroup)] = name
        self.layers = {layer: LoraLayer(found, *self._find(layer)) for layer, found in parts.items()}

    def usable(self, *, with_magnitude: bool) -> dict[str, LoraLayer]:
        """Return the layers that can be changed, with or without a DoRA's magnitude."""
        return {
            name: layer
            for name, layer in self.layers.items()
            if layer.is_usable and ("magnitude" in layer.parts) == with_magnitude
        }

    def unused(self) -> Iterator[str]:
        """Say what of the file is not used, and why, in one sentence for each kind."""
        foreign = [name for name, layer in self.layers.items() if not layer.path]
        halves = [name for name, layer in self.layers.items() if layer.path and not layer.is_usable]
        for found, what in (
            (foreign, "are not in this model"),
            (halves, "lack one of their two factors"),
        ):
            if found:
                yield f"{len(found)} of its {len(self.layers)} layers {what}, such as {printable(found[0])}"
        if self.others:
            kinds = " and ".join(kinds_of(self.others)) or "something else than a LoRA"
            shown = printable(self.others[0])
            yield f"{len(self.others)} of its tensors belong to {kinds}, such as {shown}"

    def _find(self, layer: str) -> tuple[str, str]:
        """Find the component and the module that a layer changes; two empty words if there is none."""
        prefix = next((prefix for prefix in PREFIXES if layer.startswith(prefix)), "")
        component = PREFIXES.get(prefix, "")
        name = layer.removeprefix(prefix).replace(".processor", "").replace(".", "_")
        if component == "unet" and PUBLISHED_BLOCKS.match(name) and prefix == "lora_unet_":
            return self._find_published(layer)
        if component == "unet":
            name = re.sub("_to_out$", "_to_out_0", name)
        else:
            name = re.sub(r"self_attn_to_(\w+)$", r"self_attn_\1_proj", name.removeprefix("text_model_"))
        path = self._modules.get(component, {}).get(name)
        return (component, path) if path else ("", "")

    def _find_published(self, layer: str) -> tuple[str, str]:
        """Let diffusers translate a name in the layout in which Stable Diffusion was published."""
        halves = {f"{layer}.lora_down.weight": None, f"{layer}.lora_up.weight": None}
        try:
            state, *_ = self._pipeline.lora_state_dict(halves, unet_config=self._pipeline.unet.config)
        except (ValueError, KeyError, IndexError, TypeError):
            return "", ""
        match = PART.fullmatch(next(iter(state), ""))
        return self._find(match["layer"]) if match else ("", "")

    @cached_property
    def _modules(self) -> dict[str, dict[str, str]]:
        """Paths of all layers that a LoRA can change, by component and name without dots."""
        import torch

        kinds = torch.nn.Linear | torch.nn.Conv2d
        return {
            component: {
                path.removeprefix("text_model.").replace(".", "_"): path
                for path, module in part.named_modules()
                if isinstance(module, kinds)
            }
            for component in ("unet", "text_encoder", "text_encoder_2")
            if (part := getattr(self._pipeline, component, None)) is not None
        }


def kinds_of(names: Iterable[str]) -> list[str]:
    """Name the kinds of additions, other than LoRA, that tensors with these names belong to."""
    found = list(names)
    return [kind for kind, pattern in OTHER_KINDS.items() if any(re.search(pattern, name) for name in found)]


def check_kind(file: TensorFile, pipeline: Any) -> None:
    """Raise ModelError that names what a file is, if it is no LoRA or one for another family of models."""
    kinds = kinds_of(file.tensors)
    if not any(match and match.lastgroup in ("down", "up") for match in map(PART.fullmatch, file.tensors)):
        if kinds:
            raise ModelError(f"{file.path}: a {' and '.join(kinds)}, which cannot be added", EXPECTED)
        raise ModelError(f"{file.path}: holds no LoRA", EXPECTED)
    width = pipeline.unet.config.cross_attention_dim
    family = _family(file, width)
    if family:
        raise ModelError(f"{file.path}: a LoRA for {family}", f"{EXPECTED}, of {width} columns")


def _family(file: TensorFile, width: int) -> str:
    """Name the family that a LoRA is for, if it is not one of `width` columns."""
    text = "\n".join(file.tensors)
    widths = {
        tensor.shape[1]
        for name, tensor in file.tensors.items()
        if len(tensor.shape) > 1 and (match := PART.fullmatch(name)) and match["down"]
    }
    if re.search("double_blocks|single_blocks|single_transformer_blocks", text):
        return "Flux"
    if re.search("joint_blocks|add_q_proj|add_k_proj", text):
        return "Flux" if FLUX_WIDTH in widths else "Stable Diffusion 3"
    if re.search(r"^(transformer|diffusion_model|lora_transformer|lora_prior)[._]", text, re.MULTILINE):
        return "another kind of model, with a transformer in the place of the UNet"
    read = {
        tensor.shape[1]
        for name, tensor in file.tensors.items()
        if re.search(r"attn2[._](processor\.)?to_[kv]", name)
        and (match := PART.fullmatch(name))
        and match["down"]
        and len(tensor.shape) > 1
    }
    if read and width not in read:
        named = FAMILIES.get(max(read))
        columns = f"its cross-attention reads {max(read)} columns"
        return f"{named.name} ({columns})" if named else f"another model ({columns})"
    if "lora_te2_" in text and width != SDXL.width:
        return f"{SDXL.name} (it has layers of a second text encoder)"
    return ""


def fitted(layer: LoraLayer, tensors: dict[str, torch.Tensor], pipeline: Any, label: str) -> None:
    """Give the two halves of a layer as many axes as the model's layer has, or say why they do not fit.

    The same layer is linear in some versions of a model and a convolution over single pixels in others.
    """
    weight = layer.module(pipeline).weight
    down, up = tensors[layer.parts["down"]], tensors[layer.parts["up"]]
    if weight.ndim == 2:
        down, up = (half.flatten(1) if half.shape[2:].numel() == 1 else half for half in (down, up))
    elif down.ndim == 2:
        down, up = down[..., None, None], up[..., None, None]
    fits = down.ndim == up.ndim == weight.ndim and down.shape[0] == up.shape[1]
    if not fits or down.shape[1:] != weight.shape[1:] or up.shape[0] != weight.shape[0]:
        raise ModelError(
            f"{label}: {tuple(up.shape)} by {tuple(down.shape)} for a layer of {tuple(weight.shape)}",
            EXPECTED,
        )
    tensors[layer.parts["down"]], tensors[layer.parts["up"]] = down, up
