"""Answers of one resident base and many adapters, written side by side.

lora      reads a saved adapter, and says of one why it cannot stand beside others
bank      adapters stacked by rank, and added to the base's layers for the tokens that are theirs
kept      keys and values of rows, in shelves of like length
attending attention over what is kept: of prompts in portions, and of the newest token of each row
prefixes  what was computed for the beginnings of prompts, kept for the next one
choosing  which token comes next, by the settings of each row
spelling  token ids to bytes to text that can no longer change
grammar   which tokens a JSON schema allows next
writer    rows that join, are read, write, and leave
"""
