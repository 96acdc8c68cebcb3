"""A package, so that fixtures can be its own."""
