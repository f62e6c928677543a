"""Samples as bytes: where they are, and reading them in place, from a cache or by request.

Decoding an image on request is the last step here; what becomes of the pixels is the matter of the
frameworks' folders.
"""
