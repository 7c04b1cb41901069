"""What the libraries say by themselves, kept away from the lines that this program writes."""

from __future__ import annotations

import logging


def quiet_libraries() -> None:
    """Silence transformers, diffusers and the hub's library, unless this program is being debugged.

    To be called before anything else is imported from them: some advice is given at import. What of it a user
    has to know is said by this program, in its own words, where it finds it out.
    """
    import transformers.utils.logging

    transformers.utils.logging.disable_progress_bar()
    if not logging.getLogger("sound_diffusion").isEnabledFor(logging.DEBUG):
        transformers.utils.logging.set_verbosity(logging.CRITICAL)
    import diffusers.utils.logging
    import huggingface_hub.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    if not logging.getLogger("sound_diffusion").isEnabledFor(logging.DEBUG):
        diffusers.utils.logging.set_verbosity(logging.CRITICAL)
        huggingface_hub.utils.logging.set_verbosity(logging.CRITICAL)
