"""The digits classifier by PyTorch Lightning: `python -m payloads.lightning_training.train --help`."""
