"""List prices as data with their dates, and look-ups that say when there is none."""
