"""The Pulumi program: `pulumi up -s <layer>-<environment>[-<run>]`."""
