"""How Anvil, the embedded base model, is made: tokenizer, corpus and the baselines on its card."""
