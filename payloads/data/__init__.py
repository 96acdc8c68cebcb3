"""Data sets: written once to object storage, read by Ray Data."""
