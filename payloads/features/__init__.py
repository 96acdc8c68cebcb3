"""Feature pipeline: Parquet that others write -> checked, standardised, split Parquet that models read."""
