"""Features with a history for training and a latest value for serving, by Feast."""
