"""Summaries over HTTP, whole or as they are written."""
