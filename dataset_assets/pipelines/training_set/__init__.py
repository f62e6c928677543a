"""From a source of images or videos with captions to the manifest of its samples and buckets."""
