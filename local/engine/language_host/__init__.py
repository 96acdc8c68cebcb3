"""The Python language host: runs Pulumi programs, policy packs and provider plugins written in Python."""
