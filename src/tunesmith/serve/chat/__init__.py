"""Chat: what is asked of a model, and what answers it.

generation  one answer that is wanted, and the pieces it comes in
"""
