"""The container images of the local cloud: built on this machine, kept in the cluster's containerd, named by digest."""
