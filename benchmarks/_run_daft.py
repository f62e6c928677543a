"""What a user of Daft writes to download images: `read_parquet` to `write_parquet`.

Runs in the environment of Daft, so it imports nothing else. Called by `_run_tool`.
"""

import daft
from daft.functions import decode_image, download, encode_image, resize


def download_images(
    url_list: str, output_folder: str, max_connections: int, image_size: int | None = None
) -> None:
    """Download the images of a list into Parquet files with the columns of the list and `image`.

    Args:
        url_list: Parquet with a column `url`.
        output_folder: where the files go.
        max_connections: of the whole run.
        image_size: width and height of the images (Daft keeps no ratio); None: originals.
    """
    body = download(daft.col("url"), max_connections=max_connections, on_error="null")
    if image_size is not None:
        image = decode_image(body, on_error="null", mode="RGB")
        body = encode_image(resize(image, image_size, image_size), "JPEG")
    daft.read_parquet(url_list).with_column("image", body).write_parquet(output_folder)
