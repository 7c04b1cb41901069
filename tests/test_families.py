"""The families of checkpoints, told apart by names and shapes."""

from pathlib import Path

import pytest
import torch

from sound_diffusion.errors import ModelError
from sound_diffusion.model import checkpoint
from sound_diffusion.model.families import SD1, family_of
from sound_diffusion.model.tensors import StoredTensor, TensorFile, open_tensor_file

UNET = "model.diffusion_model."


def records_of(**changes):
    """Shapes of a Stable Diffusion 1.x file, as far as they tell the family."""
    shapes = {
        f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
        f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
    } | changes
    return TensorFile(
        Path("model.ckpt"),
        {name: StoredTensor("float32", 4, shape, shape, 0) for name, shape in shapes.items() if shape},
    )


def test_a_plain_model_is_recognised():
    assert family_of(records_of()) == SD1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({f"{UNET}input_blocks.0.0.weight": (320, 9, 3, 3)}, "an inpainting model"),
        ({f"{UNET}input_blocks.0.0.weight": (320, 8, 3, 3)}, "an instruct-pix2pix model"),
        ({f"{UNET}input_blocks.0.0.weight": (320, 5, 3, 3)}, "a depth-to-image model"),
        ({f"{UNET}input_blocks.0.0.weight": (320, 12, 3, 3)}, "12 input channels"),
        ({"control_model.time_embed.0.weight": (1280, 320)}, "a ControlNet"),
        ({"first_stage_model.decoder.conv_in.weight": None}, "Stable Diffusion 1.x without its VAE"),
        (
            {"cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": None},
            "Stable Diffusion 1.x without its text encoder",
        ),
        (
            {
                f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (384, 1280),
                "conditioner.embedders.0.model.positional_embedding": (77, 1280),
            },
            "the refiner",
        ),
        ({f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (9, 512)}, "unknown family"),
    ],
)
def test_what_is_no_whole_model_is_named(changes, named):
    with pytest.raises(ModelError, match=named):
        family_of(records_of(**changes))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "a LoRA.*--lora"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet"),
        ("decoder.conv_in.weight", "a VAE alone.*--vae"),
        ("down_blocks.0.resnets.0.conv1.weight", "a UNet alone"),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "a Stable Diffusion 3 model"),
        ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "a Flux model"),
        ("something.else", "unknown content: something.else"),
    ],
)
def test_parts_and_other_models_are_named(name, named):
    with pytest.raises(ModelError, match=named):
        family_of(TensorFile(Path("part.ckpt"), {name: StoredTensor("float32", 4, (3, 3), (3, 1), 0)}))


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "none.ckpt")
    with pytest.raises(ModelError, match="no tensors"):
        family_of(open_tensor_file(tmp_path / "none.ckpt"))


def test_markers_of_v_prediction():
    xl = records_of(v_pred=(0,), ztsnr=(0,))
    family = family_of(xl)
    assert family.prediction_type == "v_prediction"
    assert family.zero_terminal_snr
    scheduler = checkpoint._load_scheduler(family)
    assert scheduler.config.rescale_betas_zero_snr
    assert scheduler.config.prediction_type == "v_prediction"
