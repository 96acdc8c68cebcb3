"""Monitoring of the local cloud: operator and servers, compiled from their Go modules."""
