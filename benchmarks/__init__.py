"""How fast tunesmith trains beside its peers: `python -m benchmarks`, or `make bench`."""
