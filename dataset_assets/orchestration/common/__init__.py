"""What the stages of the graph share.

`stage` is what a stage declares, `spec` what a dataset is; `section`, `mirror` and
`dataset_sections` are the YAML; `assets` and `checks` the graph; `metadata` and `contact_sheets`
the pages; `automation`, `schedules` and `sensors` what runs by itself; `failures` and `progress`
what a run reports. No stage is known here.
"""
