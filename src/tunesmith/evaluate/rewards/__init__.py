"""What is measured of a reward model: `measured` holds it, `figures` count it, `verdict` judges it,
`page` and `card` show it; `best_of` shows over-optimisation, `steps` what steps are held against.
"""
