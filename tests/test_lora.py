"""LoRA: added exactly, and what of a file is not used is said."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import save_file  # noqa: E402

from sound_diffusion.errors import ModelError  # noqa: E402
from sound_diffusion.model.additions import add_lora  # noqa: E402
from tests.tiny_checkpoints import build_pipeline  # noqa: E402

ATTENTION = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
OTHER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "mid_block.resnets.0.conv1"
KOHYA = "lora_unet_"


@pytest.fixture(scope="module")
def built():
    return {family: build_pipeline(family, 100) for family in ("sd1", "sd2_base", "sdxl_base")}


@pytest.fixture
def pipeline(built):
    """A tiny Stable Diffusion 1.x with the weights that it had."""
    return restored(built["sd1"])


def restored(pipeline):
    if not hasattr(pipeline, "saved"):
        modules = {name: getattr(pipeline, name) for name in ("unet", "text_encoder")}
        object.__setattr__(pipeline, "saved", {n: clone(m.state_dict()) for n, m in modules.items()})
    for name, state in pipeline.saved.items():
        getattr(pipeline, name).load_state_dict(state)
    return pipeline


def clone(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def weight_of(pipeline, path):
    return pipeline.unet.get_submodule(path).weight.detach()


def factors(shape, rank=2, seed=0):
    """Down and up for a layer whose weight has this shape."""
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(rank, *shape[1:], generator=generator)
    return down, torch.randn(shape[0], rank, *[1] * (len(shape) - 2), generator=generator)


def kohya(pipeline, paths, alpha=1.0):
    """A LoRA as most are shared, for some layers of the UNet."""
    tensors = {}
    for path in paths:
        name = f"{KOHYA}{path.replace('.', '_')}"
        down, up = factors(weight_of(pipeline, path).shape)
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        tensors |= {f"{name}.alpha": torch.tensor(alpha)}
    return tensors


def added(pipeline, path, alpha=1.0):
    weight = weight_of(pipeline, path)
    down, up = factors(weight.shape)
    return alpha / len(down) * (up.flatten(1) @ down.flatten(1)).view(weight.shape)


def lora_for(pipeline, path, rank=2, inputs=None):
    """Save a LoRA in the layout that most are shared in, and return what it adds to one weight."""
    generator = torch.Generator().manual_seed(0)
    attention = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    names = {f"lora_unet_{attention.replace('.', '_')}": pipeline.unet.get_submodule(attention)}
    for layer in ("q_proj", "k_proj", "v_proj", "out_proj"):
        module = pipeline.text_encoder.get_submodule(f"encoder.layers.0.self_attn.{layer}")
        names[f"lora_te_text_model_encoder_layers_0_self_attn_{layer}"] = module
    tensors = {}
    for name, module in names.items():
        n_outputs, n_inputs = module.weight.shape
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, inputs or n_inputs, generator=generator)
        tensors[f"{name}.lora_up.weight"] = torch.randn(n_outputs, rank, generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    first = next(iter(names))
    return attention, tensors[f"{first}.lora_up.weight"] @ tensors[f"{first}.lora_down.weight"] / rank


def test_a_lora_is_added(tmp_path):
    pytest.importorskip("peft")
    pipeline = build_pipeline("sd1", 100)
    path = tmp_path / "lora.safetensors"
    name, added = lora_for(pipeline, path)
    modules = pipeline.unet, pipeline.text_encoder
    before = [{key: tensor.clone() for key, tensor in module.state_dict().items()} for module in modules]
    add_lora(pipeline, path, 0.5)
    after = [module.state_dict() for module in modules]
    assert [state.keys() for state in after] == [state.keys() for state in before]
    expected = before[0][f"{name}.weight"] + 0.5 * added
    torch.testing.assert_close(after[0][f"{name}.weight"], expected)
    changed = {key for key in after[1] if not torch.equal(after[1][key], before[1][key])}
    assert changed == {
        f"encoder.layers.0.self_attn.{x}.weight" for x in ("q_proj", "k_proj", "v_proj", "out_proj")
    }


def test_what_is_no_lora_for_this_model_is_refused(tmp_path):
    pytest.importorskip("peft")
    pipeline = build_pipeline("sd1", 100)
    lora_for(pipeline, tmp_path / "wide.safetensors", inputs=2048)
    save_file({"lora_unet_nothing.lora_down.weight": torch.ones(2, 2)}, tmp_path / "odd.safetensors")
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    for name in ("wide", "odd", "other"):
        with pytest.raises(ModelError, match="a LoRA for this family") as caught:
            add_lora(pipeline, tmp_path / f"{name}.safetensors")
        assert len(str(caught.value).splitlines()) == 1


def test_a_convolution_and_every_spelling_of_its_names(pipeline, tmp_path):
    paths = (ATTENTION, CONVOLUTION)
    expected = {path: weight_of(pipeline, path) + added(pipeline, path, 2.0) for path in paths}
    shapes = {path: factors(weight_of(pipeline, path).shape) for path in paths}
    spellings = {
        "kohya": kohya(pipeline, paths, 2.0),
        "peft": {
            f"unet.{path}.lora_{half}.weight": tensor
            for path, pair in shapes.items()
            for half, tensor in zip("AB", pair, strict=True)
        },
        "no prefix": {
            f"{path}.lora.{half}.weight": tensor
            for path, pair in shapes.items()
            for half, tensor in zip(("down", "up"), pair, strict=True)
        },
    }
    for spelling, tensors in spellings.items():
        save_file(tensors, tmp_path / "lora.safetensors")
        add_lora(restored(pipeline), tmp_path / "lora.safetensors")
        for path in paths:
            torch.testing.assert_close(weight_of(pipeline, path), expected[path], msg=f"{spelling}: {path}")


def test_a_linear_layer_that_was_trained_as_a_convolution(pipeline, tmp_path):
    tensors = kohya(pipeline, [ATTENTION])
    expected = weight_of(pipeline, ATTENTION) + added(pipeline, ATTENTION)
    wide = {name: t[..., None, None] if t.ndim == 2 else t for name, t in tensors.items()}
    save_file({name: tensor.contiguous() for name, tensor in wide.items()}, tmp_path / "lora.safetensors")
    add_lora(pipeline, tmp_path / "lora.safetensors")
    torch.testing.assert_close(weight_of(pipeline, ATTENTION), expected)


def test_the_layout_of_the_published_xl(built, tmp_path):
    """kohya's scripts name the layers of XL as they were published."""
    pipeline = built["sdxl_base"]
    weight = weight_of(pipeline, ATTENTION).clone()
    down, up = factors(weight.shape)
    name = "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k"
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, tmp_path / "lora.safetensors")
    add_lora(pipeline, tmp_path / "lora.safetensors", 0.5)
    torch.testing.assert_close(weight_of(pipeline, ATTENTION), weight + 0.5 * up @ down)


# --- DoRA


def magnitude_for(weight, axis):
    count = weight.shape[axis]
    shape = [count if i == axis else 1 for i in range(weight.ndim)]
    return (torch.arange(count) + 1.0).view(shape) / count


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("path", [ATTENTION, CONVOLUTION])
@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_a_dora_gives_the_lengths_that_it_learnt(pipeline, tmp_path, path, axis, strength, caplog):
    """Beside a layer without, and for one number an output as for one an input."""
    weight, plain = weight_of(pipeline, path).clone(), weight_of(pipeline, OTHER).clone()
    magnitude = magnitude_for(weight, axis)
    name = f"{KOHYA}{path.replace('.', '_')}.dora_scale"
    save_file(kohya(pipeline, [path, OTHER]) | {name: magnitude}, tmp_path / "dora.safetensors")
    v = weight + added(pipeline, path)
    others = [i for i in range(weight.ndim) if i != axis]
    learnt = magnitude * v / torch.linalg.vector_norm(v, dim=others, keepdim=True)
    expected_plain = plain + strength * added(pipeline, OTHER)
    add_lora(pipeline, tmp_path / "dora.safetensors", strength)
    torch.testing.assert_close(weight_of(pipeline, path), weight + strength * (learnt - weight))
    torch.testing.assert_close(weight_of(pipeline, OTHER), expected_plain)
    assert not [record for record in caplog.records if record.name.startswith("sound_diffusion")]


def test_a_dora_is_what_peft_makes_of_it(pipeline, tmp_path):
    from peft import LoraConfig, inject_adapter_in_model

    weight = weight_of(pipeline, ATTENTION).clone()
    down, up = factors(weight.shape)
    magnitude = magnitude_for(weight, 0).flatten()
    layer = torch.nn.Sequential(torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    layer[0].weight.data = weight.clone()
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=2, target_modules=["0"], use_dora=True), layer)
    layer[0].lora_A["default"].weight.data, layer[0].lora_B["default"].weight.data = down, up
    layer[0].lora_magnitude_vector["default"].weight.data = magnitude
    layer[0].merge()
    names = {"lora_A.weight": down, "lora_B.weight": up, "lora_magnitude_vector": magnitude}
    save_file({f"unet.{ATTENTION}.{n}": t for n, t in names.items()}, tmp_path / "dora.safetensors")
    add_lora(pipeline, tmp_path / "dora.safetensors")
    torch.testing.assert_close(weight_of(pipeline, ATTENTION), layer[0].get_base_layer().weight)


# --- what is not used, and what is refused


@pytest.mark.parametrize("count", [1, 3])
def test_layers_that_the_model_has_not_are_counted_and_one_is_named(pipeline, tmp_path, count, caplog):
    tensors = kohya(pipeline, [ATTENTION])
    weight = weight_of(pipeline, ATTENTION) + added(pipeline, ATTENTION)
    for number in range(count):
        name = f"{KOHYA}down_blocks_{7 + number}_attentions_0_proj_in"
        tensors |= {f"{name}.lora_{half}.weight": torch.ones(2, 2) for half in ("down", "up")}
    save_file(tensors, tmp_path / "lora.safetensors")
    add_lora(pipeline, tmp_path / "lora.safetensors")
    torch.testing.assert_close(weight_of(pipeline, ATTENTION), weight)
    assert (
        f"{count} of its {count + 1} layers are not in this model, such as {KOHYA}down_blocks_" in caplog.text
    )


def test_text_layers_for_a_model_that_reads_no_text(tiny_model_folder, tmp_path, caplog):
    from sound_diffusion.model.load import load_model

    model = load_model(str(tiny_model_folder), device="cpu")
    tensors = kohya(model.pipeline, [ATTENTION])
    name = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    tensors |= {f"{name}.lora_{half}.weight": torch.ones(2, 2) for half in ("down", "up")}
    save_file(tensors, tmp_path / "lora.safetensors")
    add_lora(model.pipeline, tmp_path / "lora.safetensors")
    assert f"1 of its 2 layers are not in this model, such as {name}" in caplog.text


KINDS = {
    "LoHa": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "LoKr": ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
    "IA3": ("weight", "on_input"),
    "OFT": ("oft_blocks", "alpha"),
    "GLoRA": ("a1.weight", "a2.weight", "b1.weight", "b2.weight"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_are_named(pipeline, tmp_path, kind, caplog):
    names = [f"{KOHYA}{ATTENTION.replace('.', '_')}.{part}" for part in KINDS[kind]]
    tensors = {name: torch.ones(2, 2) for name in names}
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(ModelError, match=f"a {kind}, which cannot be added") as caught:
        add_lora(pipeline, tmp_path / "lora.safetensors")
    assert len(str(caught.value).splitlines()) == 1
    # Beside layers of a LoRA, those are used and the others are named.
    save_file(kohya(pipeline, [OTHER]) | tensors, tmp_path / "mixed.safetensors")
    add_lora(pipeline, tmp_path / "mixed.safetensors")
    assert "of its tensors belong to" in caplog.text or "lack one of their two factors" in caplog.text


ATTN2 = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("name", "inputs", "family"),
    [
        (f"lora_unet_{ATTN2}", 2048, "Stable Diffusion XL"),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v", 2048, "Stable Diffusion XL"),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 1280, "Stable Diffusion XL"),
        (f"lora_unet_{ATTN2}", 1024, r"Stable Diffusion 2\.x"),
        (f"lora_unet_{ATTN2}", 512, r"another model \(its cross-attention reads 512 columns"),
        ("lora_unet_double_blocks_0_img_attn_qkv", 3072, "Flux"),
        ("transformer.single_transformer_blocks.0.attn.to_q", 3072, "Flux"),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 3072, "Flux"),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 1536, "Stable Diffusion 3"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536, "Stable Diffusion 3"),
        ("diffusion_model.blocks.0.cross_attn.k", 5120, "another kind of model"),
    ],
)
def test_a_lora_of_another_family_is_named(pipeline, tmp_path, name, inputs, family):
    halves = ("lora_A", "lora_B") if "." in name else ("lora_down", "lora_up")
    shapes = (2, inputs), (64, 2)
    tensors = {f"{name}.{half}.weight": torch.ones(s) for half, s in zip(halves, shapes, strict=True)}
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(ModelError, match=f"a LoRA for {family}") as caught:
        add_lora(pipeline, tmp_path / "lora.safetensors")
    assert len(str(caught.value).splitlines()) == 1


def test_a_lora_for_the_first_family_on_another(built, tmp_path):
    save_file(kohya(restored(built["sd1"]), [ATTENTION]), tmp_path / "lora.safetensors")
    for family in ("sd2_base", "sdxl_base"):
        with pytest.raises(ModelError, match=r"a LoRA for Stable Diffusion 1\.x"):
            add_lora(built[family], tmp_path / "lora.safetensors")
