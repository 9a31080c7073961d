"""The verdict on a model that learned from grades: what its answers are graded on prompts it never
learned from, and what that cost.

`measured` is what is kept of a run, `verdict` the five answers, `page` their pictures and tables.
"""
