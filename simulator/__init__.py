"""A generated world with a seed, and the truth about it.

The world writes what GH Archive and the Hugging Face Hub would have shown of it, and knows what that meant, so every
measurement can be stated by plain counting. It shares no code with what it judges: the rules are stated here once more.
"""
