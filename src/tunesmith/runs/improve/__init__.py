"""Self-improvement: a model learns from those of its own answers that its reward accepts.

`setup` reads the prompts, `sampling` draws and grades answers, `choosing` says what becomes of
each, `rows` and `ledger` write it down, `rounds` makes a round of it, `scores` says how well
held-out prompts are answered, and `act` makes rounds while that gets better.
"""
