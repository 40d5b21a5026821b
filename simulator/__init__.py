"""A generated world with a seed, and the truth about it.

The world writes what GH Archive and the Hugging Face Hub would have shown of it and knows what it meant: every
measurement can be stated by plain counting. Nothing here is shared with what is judged by it, so the rules are stated
once more in their own words.
"""
