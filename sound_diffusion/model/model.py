"""A loaded model: what it declares, prompts as it reads them, and its pipelines."""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.constants import N_ROWS
from sound_diffusion.errors import ModelError, ParameterError
from sound_diffusion.model.defaults import SAMPLERS, ModelDefaults
from sound_diffusion.model.pipelines import from_embeddings, from_noisy_latents, is_tiny
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes
    ----------
    name : str
        What ``--model`` has to be to load it again.
    pipeline : diffusers.DiffusionPipeline or LightPipeline
        On its device, in its precision.
    defaults : ModelDefaults
        What it declares.
    device : str
        ``cuda``, ``mps`` or ``cpu``.
    precision : str
        ``full`` (float32), ``mixed`` (the same, and bfloat16 arithmetic for decoding on a CPU) or
        ``autocast`` (float16 weights on a GPU, bfloat16 arithmetic on a CPU).
    low_memory : bool
        Whether parts wait on the CPU until they are needed, and the VAE works in slices and tiles.
    runtime : str
        ``torch``, or ``onnx`` where :mod:`sound_diffusion.model.onnx_runtime` computes its networks.
    """

    name: str
    pipeline: Any
    defaults: ModelDefaults
    device: str
    precision: str
    low_memory: bool = False
    runtime: str = "torch"

    @property
    def width(self) -> int:
        """Columns D of the embeddings that it paints: the width of its cross-attention."""
        return int(self.pipeline.unet.config.cross_attention_dim)

    @cached_property
    def dtype(self) -> torch.dtype:
        """Of the weights of its UNet, and of latents."""
        dtype: torch.dtype = self.pipeline.unet.dtype
        return dtype

    @property
    def arithmetic(self) -> dict[str, str]:
        """What decides the last bits of a picture, for its recipe."""
        return {"device": self.device, "precision": self.precision, "runtime": self.runtime}

    @property
    def moves(self) -> bool:
        """Whether its networks move between the devices, so that only one thread can use them."""
        return self.low_memory and self.device != "cpu"

    @property
    def has_text_encoder(self) -> bool:
        """Whether it can encode prompts."""
        return getattr(self.pipeline, "text_encoder", None) is not None

    @property
    def is_xl(self) -> bool:
        """Whether it also takes a pooled embedding and sizes, as Stable Diffusion XL does."""
        return getattr(self.pipeline, "text_encoder_2", None) is not None

    @property
    def empty_prompt(self) -> FloatArray | None:
        """Its embedding of the empty prompt, (77, width) float32, or None without a text encoder."""
        return self.encode_prompt("") if self.has_text_encoder else None

    def encode_prompt(self, prompt: str) -> FloatArray:
        """Encode a text prompt.

        Parameters
        ----------
        prompt : str
            What is beyond the 77 tokens of the text encoder is cut off, and a warning says how much that is.

        Returns
        -------
        embedding : np.ndarray [shape=(77, width), dtype=float32]

        Raises
        ------
        ModelError
            If the model has no text encoder.
        """
        if not self.has_text_encoder:
            raise cannot_read(self.name, prompt)
        return np.asarray(self._encoded(prompt)[0][0].float().cpu().numpy(), dtype=np.float32)

    def encode_sounds(self, embeddings: FloatArray) -> torch.Tensor:
        """Return what the cross-attention of the UNet reads in the place of an encoded prompt.

        Parameters
        ----------
        embeddings : np.ndarray [shape=(n, 77, width), dtype=float32]

        Returns
        -------
        states : torch.Tensor [shape=(n, 77, width), dtype=float32]
            On the CPU.
        """
        import torch

        return torch.from_numpy(embeddings)

    def encode_pixels(self, vae: Any, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Encode a picture by an autoencoder of this model's.

        Parameters
        ----------
        vae : diffusers.AutoencoderKL or diffusers.AutoencoderTiny
        pixels : torch.Tensor [shape=(1, 3, height, width)]
            In [-1, 1].
        generator : torch.Generator
            A VAE gives a distribution, from which a sample is drawn.

        Returns
        -------
        latents : torch.Tensor [shape=(1, 4, height / 8, width / 8)]
            As the autoencoder has them: neither scaled nor shifted.
        """
        encoded = vae.encode(pixels)
        latents: torch.Tensor = encoded.latents if is_tiny(vae) else encoded.latent_dist.sample(generator)
        return latents

    def pooled_prompt(self, prompt: str) -> FloatArray | None:
        """Return the pooled embedding of a prompt, (pooled width,) float32; None but for XL."""
        if not self.is_xl:
            return None
        return np.asarray(self._encoded(prompt)[2][0].float().cpu().numpy(), dtype=np.float32)

    def encode_negative(self, prompt: str = "") -> tuple[FloatArray, FloatArray | None]:
        """Encode what guidance leads away from.

        Parameters
        ----------
        prompt : str
            Empty: for XL the zeros that it was trained with, where its configuration says so; for a model
            without a text encoder, zeros.

        Returns
        -------
        embedding : np.ndarray [shape=(77, width), dtype=float32]
        pooled : np.ndarray [shape=(pooled width,), dtype=float32] or None
            None but for XL.

        Raises
        ------
        ModelError
            If there is a prompt and the model has no text encoder.
        """
        if prompt or (self.has_text_encoder and not self.is_xl):
            return self.encode_prompt(prompt), self.pooled_prompt(prompt)
        if not self.is_xl:
            return np.zeros((N_ROWS, self.width), dtype=np.float32), None
        _, negative, _, pooled = (values[0].float().cpu().numpy() for values in self._encoded(""))
        return negative, pooled

    def _encoded(self, prompt: str) -> tuple[torch.Tensor, ...]:
        """Encode a prompt once: its embedding, the negative one, and for XL the two pooled ones."""
        import torch

        if prompt not in self._prompts:
            self._warn_of_cut(prompt)
            options = {"device": self.device, "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
            # In float32 on a CPU, so that it does not matter whether painting or anyone else asks first.
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                self._prompts[prompt] = tuple(self.pipeline.encode_prompt(prompt, **options))
        return self._prompts[prompt]

    def _warn_of_cut(self, prompt: str) -> None:
        """Say how many words of a prompt are beyond what the text encoder reads."""
        tokenizer = getattr(self.pipeline, "tokenizer", None)
        if tokenizer is None:
            return

        def n_tokens(n_words: int) -> int:
            return len(tokenizer(" ".join(words[:n_words]), truncation=False, verbose=False).input_ids)

        words, most = prompt.split(), tokenizer.model_max_length
        if words and n_tokens(len(words)) > most:
            kept = bisect_right(range(len(words) + 1), most, key=n_tokens) - 1
            logging.getLogger(__name__).warning(
                "the prompt is cut: %d of its %d words, from %r on, are beyond the %d tokens that are read",
                len(words) - kept,
                len(words),
                words[kept][:40],
                most,
            )

    @cached_property
    def _prompts(self) -> dict[str, tuple[torch.Tensor, ...]]:
        return {}

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``--scaling``: `scaling` itself, or for ``auto`` what the model declares for `feature`."""
        return self.defaults.scaling_for(feature, scaling)

    @cached_property
    def _pipelines(self) -> dict[tuple[str, str, bool], Any]:
        return {}

    def pipeline_for(self, task: str, sampler: str, *, mirrored: bool = True) -> Any:
        """Return the pipeline of a task with a sampler; all share the weights.

        Parameters
        ----------
        task : {"txt2img", "img2img"}
        sampler : str
            A key of :data:`sound_diffusion.model.defaults.SAMPLERS`.
        mirrored : bool
            Whether a model whose pictures are their own mirror images keeps them so in every step.

        Returns
        -------
        pipeline : diffusers.DiffusionPipeline
        """
        key = task, sampler, mirrored
        if key not in self._pipelines:
            self._pipelines[key] = self._build_pipeline(*key)
        return self._pipelines[key]

    def pipeline_class(self, task: str, *, mirrored: bool = True) -> Any:
        """Return the class of the pipeline of a task, ``txt2img`` or ``img2img``."""
        import diffusers

        kind = "StableDiffusionXL" if self.is_xl else "StableDiffusion"
        if task == "img2img":
            return from_noisy_latents(getattr(diffusers, f"{kind}Img2ImgPipeline"))
        return getattr(diffusers, f"{kind}Pipeline")

    def scheduler_class(self, sampler: str, *, mirrored: bool = True) -> Any:
        """Return the class of the scheduler of a sampler; ParameterError for an unknown one."""
        import diffusers

        from sound_diffusion.model.acceleration import counting_on_cpu
        from sound_diffusion.model.timesteps import taking_timesteps

        if sampler not in SAMPLERS:
            raise ParameterError(f"unknown sampler {sampler!r}", f"one of {', '.join(SAMPLERS)}")
        scheduler_class = getattr(diffusers, SAMPLERS[sampler])
        if sampler == "ddim":
            scheduler_class = taking_timesteps(scheduler_class)
        return counting_on_cpu(scheduler_class) if self.device == "cuda" else scheduler_class

    def build_scheduler(self, sampler: str, *, mirrored: bool = True) -> Any:
        """Return a scheduler of a sampler with the noise levels of the model."""
        scheduler_class = self.scheduler_class(sampler, mirrored=mirrored)
        # PNDM takes its Runge-Kutta steps out of the count in what is known as PLMS.
        extra = {"skip_prk_steps": True} if sampler == "plms" else {}
        return scheduler_class.from_config(self.pipeline.scheduler.config, **extra)

    def _build_pipeline(self, task: str, sampler: str, mirrored: bool) -> Any:
        scheduler = self.build_scheduler(sampler, mirrored=mirrored)
        # Not from_pipe: unless it is told otherwise, that converts the shared weights to float32.
        options: dict[str, Any] = {"requires_safety_checker": False}
        if self.is_xl:
            zeros = self.pipeline.config.force_zeros_for_empty_prompt
            options = {"force_zeros_for_empty_prompt": zeros, "add_watermarker": False}
        pipeline_class = self.pipeline_class(task, mirrored=mirrored)
        built = (pipeline_class if self.moves else from_embeddings(pipeline_class))(
            **self.pipeline.components, **options
        )
        built.scheduler = scheduler
        built.set_progress_bar_config(disable=True)
        if self.moves:
            built.enable_model_cpu_offload(device=self.device)
        else:
            built.place = self.pipeline.device
        return built


def cannot_read(model: str, text: str) -> ModelError:
    """Make the error of a text for a model that has no text encoder."""
    return ModelError(
        f"model {model}: no text encoder, so that it cannot read {text!r}",
        "a Stable Diffusion model",
        "leave the text out, or choose another --model",
    )
