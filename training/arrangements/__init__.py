"""Music for training, composed by code: from a seed to a mastered piece."""

from training.arrangements.pieces import render_piece

__all__ = ["render_piece"]
