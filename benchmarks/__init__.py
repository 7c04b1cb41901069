"""What the program costs and what it gives, measured by scripts that anyone can run."""

import sound_diffusion  # noqa: F401  (says how threads wait, before torch is imported)
