"""Servers that the benchmarks compare with, each as its users would write it."""
