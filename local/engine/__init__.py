"""What the Pulumi engine needs beside its CLI: a Python language host, a Kubernetes provider and its environment.

They are used only where the official ones are not installed; they speak the same public gRPC protocols, so a program
cannot tell them apart except where they refuse what they cannot do.
"""
