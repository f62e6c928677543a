"""Call `download` of one of the tools with arguments from a JSON file.

    _run_tool.py img2dataset|daft|dataset_assets arguments.json

Runs in the environment of the tool, so it imports nothing else. The worker processes of two of them
import this file: keep the guard.
"""

import json
import sys


def main() -> None:
    tool, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        arguments = json.load(file)
    if tool == "img2dataset":
        from img2dataset import download
    elif tool == "daft":
        from _run_daft import download_images as download
    else:
        from dataset_assets import download
    download(**arguments)


if __name__ == "__main__":
    main()
