"""Floor 3, models: open a base and its tokenizer, choose what is trained, generate, save, reopen.

The only room that knows transformers, PEFT and what a model's modules are called.
"""

import logging

# PEFT imports bitsandbytes where it is installed, which says on processors with bfloat16
# instructions that an optional kernel is missing: in every process, whatever it does.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
