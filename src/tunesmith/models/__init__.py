"""Floor 3, models: open a base and its tokenizer, choose what is trained, generate, save, reopen.

The only room that knows transformers, PEFT and what a model's modules are called.
"""
