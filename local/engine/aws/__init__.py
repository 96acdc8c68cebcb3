"""A stand-in for Pulumi's AWS provider, for simulated accounts alone: the types that the programs use, over boto3."""
