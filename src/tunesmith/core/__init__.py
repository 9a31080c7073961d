"""Floor 1: records, ports, errors and files. Imports nothing of ours, and no torch."""
