"""Did it help, and what did it cost: measures two sides, judges, writes the report.

Receives `Scorer` and `Sampler` ports and loads no model itself.
"""
