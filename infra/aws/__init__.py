"""The platform on AWS: one component a file, of raw resources."""
