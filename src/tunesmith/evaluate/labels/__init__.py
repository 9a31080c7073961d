"""The verdict on a model that labels: what it said of rows never trained on, and what else would.

`measured` is what is kept of a run, `scores` and `calibration` the numbers made from it, `verdict`
the five answers, `page` their pictures and tables.
"""
