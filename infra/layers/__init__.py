"""Which components a layer has, in which order. Each `build` returns the stack's outputs."""
