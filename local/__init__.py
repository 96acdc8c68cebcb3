"""The cloud on one machine: what `make up` builds, starts and takes down again."""
