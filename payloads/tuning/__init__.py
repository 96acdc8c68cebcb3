"""Search for hyperparameters: many trials, the worse ones stopped early, the best one's model registered."""
