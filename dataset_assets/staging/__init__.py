"""Published or recorded datasets as sources of samples.

`source` has the protocols, `sources/` the plug-ins: the name of a file or folder there is the name
of a source. What several sources share is beside it: label maps (`masks/`), COCO's format
(`coco_format/`), the size of images (`image_info`). `summary` describes what was staged.
"""
