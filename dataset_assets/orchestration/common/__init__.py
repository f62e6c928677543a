"""What the stages of the graph share: sections, metadata, failures."""
