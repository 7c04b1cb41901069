"""What the libraries say and import by themselves, where this program has no use for it."""

from __future__ import annotations

import logging
import sys

COMPILER = "torch._dynamo"


def quiet_libraries() -> None:
    """Silence diffusers and the hub's library, unless this program is being debugged.

    To be called before anything else is imported from them: some advice is given at import. What of it a user
    has to know is said by this program, in its own words, where it finds it out.
    """
    import diffusers.utils.logging
    import huggingface_hub.utils.logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    diffusers.utils.logging.disable_progress_bar()
    disable_progress_bars()
    if not _is_debugged():
        diffusers.utils.logging.set_verbosity(logging.CRITICAL)
        huggingface_hub.utils.logging.set_verbosity(logging.CRITICAL)


def quiet_transformers() -> None:
    """Silence transformers likewise, which the embedded model does without."""
    import transformers.utils.logging

    transformers.utils.logging.disable_progress_bar()
    if not _is_debugged():
        transformers.utils.logging.set_verbosity(logging.CRITICAL)


def import_without_compiler() -> None:
    """Import the base of diffusers without torch's compiler, which takes as long as torch itself.

    Diffusers has it ready for torch.compile, and does without it where it cannot be imported.
    """
    if COMPILER in sys.modules:
        return
    sys.modules[COMPILER] = None  # type: ignore[assignment]  # how Python says that there is no such module
    try:
        import diffusers.utils.torch_utils  # noqa: F401
    finally:
        del sys.modules[COMPILER]


def _is_debugged() -> bool:
    return logging.getLogger("sound_diffusion").isEnabledFor(logging.DEBUG)
