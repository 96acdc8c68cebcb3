"""Promotion: a version compared with the one in use, and recorded in the registry and in the stack's file."""
