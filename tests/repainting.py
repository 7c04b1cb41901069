"""Pictures of a recording of audio2live, painted again."""

import json
from fractions import Fraction

import numpy as np

from sound_diffusion.cli import Parser
from sound_diffusion.job import Job
from sound_diffusion.live.chain import Chain
from sound_diffusion.live.recorded import SESSION
from sound_diffusion.options import LiveOptions
from sound_diffusion.sound.audio import load_audio


def repaint(folder, model):
    """Paint from the same windows, seeds and settings that were painted live, so that all is the same."""
    session = json.loads((folder / SESSION).read_text(encoding="utf-8"))
    chain = Chain(model, WholeSound(load_audio(folder / f"{folder.name}.flac")), Fraction(session["fps"]))
    parser = Parser(LiveOptions)
    jobs = {change["frame"]: Job.plan(parser.read(change["words"])) for change in session["settings"]}
    for frame in session["frames"]:
        yield chain.paint(frame, jobs[max(start for start in jobs if start <= frame)])


class WholeSound:
    """A sound in memory, zero outside."""

    def __init__(self, samples):
        self._samples = samples

    def read(self, first, stop):
        inside = self._samples[max(first, 0) : max(stop, 0)]
        ahead = max(-first, 0)
        return np.pad(inside, (ahead, stop - first - ahead - len(inside)))
