"""What the program costs and what it gives: each module prints its table (`python -m benchmarks.startup`)."""

import sound_diffusion  # noqa: F401  (says how threads wait, before torch is imported)
