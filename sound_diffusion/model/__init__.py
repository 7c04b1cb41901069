"""Models: finding, reading and running them."""
