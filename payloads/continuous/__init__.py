"""Training that goes on as data comes in: `python -m payloads.continuous.train --help`."""
