"""Where the program lies: in its repository, or installed from a wheel."""

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

INSTALLED = (_PACKAGE / "models").is_dir()  # in a wheel; in the repository, models/ lies beside the package
MODELS_FOLDER = (_PACKAGE if INSTALLED else _PACKAGE.parent) / "models"


def as_typed(text: str) -> str:
    """Write the scripts that a text names, as in ``python audio2img.py``, as they are started here.

    Parameters
    ----------
    text : str
        Names them as they are started in the repository.

    Returns
    -------
    text : str
        The same where the program runs in its repository. Where it is installed, ``audio2img``: the command.
    """
    return re.sub(r"(?:python )?\b(audio2\w+)\.py\b", r"\1", text) if INSTALLED else text
