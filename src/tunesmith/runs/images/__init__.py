"""Training a model that labels images: the folder, ledger, loop and verdict of all that label.

`setup` reads, checks and prepares the images, `tuned` opens a base and gives it a head, `predict`
asks it, `plan` times a few micro-batches, `judge` measures and shows, `train` does them in order.
"""
