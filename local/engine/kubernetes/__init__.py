"""A stand-in for Pulumi's Kubernetes provider: the public provider protocol on one side, a real API server on the other.

Objects are applied server-side and waited for. What it cannot do (Helm, Kustomize) is refused, never pretended.
"""
