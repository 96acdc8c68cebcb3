"""Training runs and the stacks that hold them: which there are, how to stop one, and what nobody needs any more."""
