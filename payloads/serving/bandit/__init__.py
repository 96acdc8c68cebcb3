"""A contextual bandit: it chooses, is told what came of it, and chooses better."""
