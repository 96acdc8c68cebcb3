"""PID 1 of the node: builds its namespaces, keeps its components alive, and takes everything with it when it ends.
Standard library only; runs as a program (`python -m local.cluster.supervisor SPEC`), never imported by the host side."""
