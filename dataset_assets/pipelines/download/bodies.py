"""The file that a response brings: its body, or what is inside a content coding.

`fetch.content_coding` has the rule and the reasons; this applies it to images and to other files.
"""

from dataset_assets.fetch.content_coding import decode, names_plain_file
from dataset_assets.images.header import is_image
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.fetching import FetchOutcome

TOO_LARGE = "the body is larger than allowed once its content coding is removed"


def file_of(outcome: FetchOutcome, body: bytes, options: DownloadOptions) -> bytes:
    """Return the file of a response.

    Args:
        outcome: the response.
        body: its body.
        options: whether files are images, and how large they may be.

    Raises:
        TooLarge: what is inside the body is larger than allowed.
    """
    if not outcome.codings:
        return body
    if options.image is not None:
        is_inside = not is_image(body)
    else:
        is_inside = outcome.is_coding_chosen and names_plain_file(outcome.url, outcome.content_type)
    inside = decode(body, outcome.codings, options.fetch.max_bytes) if is_inside else None
    return body if inside is None else inside
