"""The Hugging Face Hub, and a local directory that is laid out like one: publish, describe, load back."""
