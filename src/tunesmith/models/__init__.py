"""Floor 3, models: open a base and its tokenizer, choose what is trained, generate, save, open again.

The only room that knows transformers, PEFT and what a model's modules are called.
"""
