"""Summaries: made notes, a small T5 that learns to sum them up, and its files on the storage."""
