"""Configuration files of other tools' READMEs, as written there and with their blanks filled in."""

import json

SECRETS = ("SECRET-access-1", "SECRET/key+1", "SECRET-password-1")

#: torchdatasetutil's README, section "COCO Dataset".
TORCHDATASETUTIL = """\
s3:
- name: store
  type: trainer
  address: <address>:<port>
  access key: <access key>
  secret key: <secret key>
  tls: false
  cert verify: false
  cert path: null
  sets:
    dataset: {"bucket":"imgml","prefix":"data", "dataset_filter":"" }
    trainingset: {"bucket":"imgml","prefix":"training", "dataset_filter":"" }
    model: {"bucket":"imgml","prefix":"model", "dataset_filter":"" }
    test: {"bucket":"imgml","prefix":"test", "dataset_filter":"" }
"""

#: torchdatasetutil's README, section "Cityscapes Dataset".
CITYSCAPES = """\
cityscapes:
  username: <username>
  password: <password>
"""

#: any2dataset's README, section "File system support": `.config/fsspec/s3.json`.
FSSPEC = """\
{
  "s3": {
    "client_kwargs": {
            "endpoint_url": "https://some_endpoint",
            "aws_access_key_id": "your_user",
           "aws_secret_access_key": "your_password"
    }
  }
}
"""


def filled_in(
    text: str = TORCHDATASETUTIL + CITYSCAPES,
    *,
    address: str = "127.0.0.1:9000",
    name: str = "store",
) -> str:
    """Return a README's file as a user completes it."""
    blanks = {
        "<address>:<port>": address,
        "<access key>": SECRETS[0],
        "<secret key>": SECRETS[1],
        "<username>": "somebody",
        "<password>": SECRETS[2],
        "name: store": f"name: {name}",
    }
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    return text


def entry(**changes: object) -> str:
    """Return a file with one store, as json, some keys changed; `...` takes a key away."""
    values = {
        "name": "store",
        "address": "h:9000",
        "access_key": SECRETS[0],
        "secret_key": SECRETS[1],
        "tls": False,
    } | changes
    return json.dumps(
        {
            "s3": [
                {key.replace("_", " "): value for key, value in values.items() if value is not ...}
            ]
        }
    )
