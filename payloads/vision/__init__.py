"""Digits in a scene: where they are, which they are and how they lie; trained by `python -m payloads.vision.train`."""
