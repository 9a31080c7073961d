"""What must survive: the tables, the database that holds them, and the acts on each.

tables      every table, with what its columns mean
database    SQLite in a file, or PostgreSQL by URL: transactions, and what is refused
migrations  how the tables of an older version become those of this one
"""
