"""Films: when each frame is, what of it is on disk, and the file that plays."""
