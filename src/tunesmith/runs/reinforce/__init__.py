"""Runs that learn from grades: answers are sampled, graded, and what turned out well is learned.

`setup` reads the prompts, `collect` samples and grades a round of answers (`experience`), `lay`
makes micro-batches of it, `batches` hands them to the loop, `train` does the whole run, and `judge`
says what came of it.
"""
