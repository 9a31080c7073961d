"""What this service does beyond the published interface, under paths of its own.

projects    a folder a project, for what is kept beside the tables
looks       data looked at; what a job's run folder says of it
feedback    judgements of answers, and rows to learn from
aliases     names that lead to a model, moved by promotion and rollback
"""
