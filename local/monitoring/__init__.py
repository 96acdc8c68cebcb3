"""Monitoring of the local cloud: the operator compiled from its Go module, the servers from Debian's packages."""
