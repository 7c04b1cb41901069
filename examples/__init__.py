"""Sounds to try, and how they are made."""
