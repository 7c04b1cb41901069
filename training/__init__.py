"""How the embedded model is made: sounds, pictures of sounds, and the two networks that learn them."""

import sound_diffusion  # noqa: F401  (says how threads wait, before torch is imported)
