"""What travels between folders: frozen records without behavior beyond their own JSON. Standard library only. A file is a subject."""
