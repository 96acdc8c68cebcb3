"""A stand-in for Pulumi's Kubernetes provider: the public provider protocol here, a real API server there.

Objects are applied server-side and waited for. What it cannot do (Helm, Kustomize) is refused, never pretended.
"""
