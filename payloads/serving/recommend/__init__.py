"""Recommendations: retrieval and ranking as deployments of their own behind one ingress."""
