"""The COCO annotation format, which several sources read: annotation files and segmentations.

Spec: https://cocodataset.org/#format-data.
"""
