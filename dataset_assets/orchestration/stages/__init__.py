"""The stages of the graph: a folder is a stage, with its asset, its YAML section, its checks, its page and its sensor."""
