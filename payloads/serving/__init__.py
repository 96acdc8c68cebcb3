"""Serving payloads: `payloads.serving.classifier:app`."""
