"""Images: files on object storage to checked, resized, split Parquet, and a network trained on them."""
