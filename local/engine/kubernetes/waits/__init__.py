"""When an object counts as ready: pure functions of what the API server says about it and what belongs to it."""
