"""Ray clusters, runs and model servers as KubeRay resources: pure manifest builders and thin components."""
