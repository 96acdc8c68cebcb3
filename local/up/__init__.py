"""What `make up` does: from an empty machine to a trained model that answers requests."""
