"""Where the stacks' own state is kept on AWS."""
