"""Why something is pending, crashing or unhealthy: from what the cluster says to a cause and what to do."""
