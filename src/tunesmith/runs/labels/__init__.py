"""Training a model that labels: the same folder, ledger, loop and verdict as for one that writes.

`setup` reads and splits, `tuned` opens the body and gives it a head, `predict` asks it, `judge`
measures and reports, `train` does them in order.
"""
