"""The simulated AWS, one process on the cluster's node: `python -m local.sim.cloud CONFIG`.

moto answers for AWS. What moto lacks and the platform needs is added here, under AWS's own API: fleets that take the
cheapest offer and run out of capacity, prices, EKS add-ons, access entries and pod identities, tokens and credentials
for pods, machines that join the cluster, spot interruptions, and judging of requests by the caller's policies.
"""
