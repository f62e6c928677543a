"""The stage `loader_preview`: a batch as training sees it."""
