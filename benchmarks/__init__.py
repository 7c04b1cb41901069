"""What is measured, and how: each module prints its table, as in `python -m benchmarks.startup`."""
