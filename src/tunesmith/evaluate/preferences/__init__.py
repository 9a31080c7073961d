"""The verdict on a model tuned by preferences or rewards: whether people's signal made it better.

`measured` is what is kept of a run; `wins`, `length`, `rewards`, `spent`, `diversity`, `hacks` and
`safety` are the numbers made from it, `verdict` the five answers, `page` their pictures and tables.
"""
