"""AWS on this machine: moto as its API, the cluster of `local.cluster` as its EKS, KWOK's nodes as its instances."""
