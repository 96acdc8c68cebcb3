"""Batch inference: the champion over a set of Parquet files, each row answered exactly once."""
