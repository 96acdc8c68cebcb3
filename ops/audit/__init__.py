"""What of an environment is still there: in the AWS account and in the cluster. Reads, and changes nothing."""
