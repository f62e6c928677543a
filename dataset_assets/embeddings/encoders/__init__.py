"""Encoders. A file is an encoder, and its name is what a user types; nothing else lives here."""
