"""Training payloads: `python -m payloads.training.train --help`."""
