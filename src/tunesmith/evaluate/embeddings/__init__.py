"""The verdict on a model that makes vectors: what a search by them finds, and what else would.

`measured` is what is kept of a run, `figures` the numbers made from it, `verdict` the five answers,
`page` their pictures and tables.
"""
