"""Resources of assets. A file is a resource; it returns objects of the library and has no logic."""
