"""The annotation format of COCO, which several sources read: annotation files and segmentations.

Spec: https://cocodataset.org/#format-data
"""
