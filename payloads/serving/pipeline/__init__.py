"""Decode, detect, keypoints, describe: `payloads.serving.pipeline.app:app`."""
