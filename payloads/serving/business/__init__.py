"""A decision service: who asks, what it knows of them, what others charge, and an answer that is kept."""
