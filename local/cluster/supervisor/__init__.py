"""PID 1 of the node: builds its namespaces, keeps its components alive, and takes everything with it when it ends.
Standard library only; a program (`python -m local.cluster.supervisor SPEC`) that the host side never imports."""
