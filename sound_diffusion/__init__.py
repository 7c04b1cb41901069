"""Sound Diffusion: paint sounds with Stable Diffusion.

>>> import sound_diffusion as sd
>>> y = sd.load_audio("examples/bell.wav")  # doctest: +SKIP
>>> model = sd.load_model("auto")  # doctest: +SKIP
>>> embedding = sd.embed(y, feature="fft", model=model)  # doctest: +SKIP
>>> picture = sd.paint(model, embedding, seed=0)  # doctest: +SKIP

The public names are listed in ``__init__.pyi``, once for type checkers and for Python. They are imported when
they are first used, so that ``import sound_diffusion`` takes no time.
"""

import os

import lazy_loader

__version__ = "0.1.0"

# Read when torch and NumPy are imported. Threads that wait for each other by computing take the processors
# from those that they wait for as soon as another program computes (docs/experiments.md, "A busy machine"):
# those of torch's OpenMP sleep instead, and the matrices that NumPy multiplies here are too small for
# threads, whose number would also decide about the last bits. So would the addresses of matrices, where
# torch multiplies them by MKL: a film resumed in another process would not have the same bytes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_CBWR", "AUTO")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
