"""Everything on Kubernetes that is not Ray: one component a file."""
