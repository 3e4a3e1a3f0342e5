"""How fast the cache is, beside its peers and the limits of the machine: ``python -m benchmarks``."""
