"""From a sound to the matrix that a model paints: NumPy only."""
