"""What a download tells whoever typed it: rows by outcome, and a hint when nothing succeeded."""

from typing import TYPE_CHECKING

from rich.console import Console

from dataset_assets.cli.tables import print_table
from dataset_assets.records.causes import TRANSIENT_CAUSES, Cause

if TYPE_CHECKING:
    from dataset_assets.pipelines.download.run import DownloadReport

_RETRY = "run again with --retry_failed transient to fetch these rows once more"
#: The setting that helps when most rows have a cause.
HINTS: dict[str, str] = {
    **dict.fromkeys(TRANSIENT_CAUSES, _RETRY),
    **dict.fromkeys(
        (Cause.TIMEOUT_CONNECT, Cause.TIMEOUT_FIRST_BYTE, Cause.TIMEOUT_TOTAL, Cause.TOO_SLOW),
        f"{_RETRY}, with a longer --timeout or a smaller --thread_count",
    ),
    Cause.PROXY_ERROR: "check --proxy, or http_proxy, https_proxy, all_proxy and no_proxy of the "
    "environment, then run again with --retry_failed proxy_error",
    Cause.INVALID_URL: "check the list, its format (--input_format) and the column of its URLs "
    "(--url_col)",
    Cause.BLOCKED_ADDRESS: "allow networks that are not public with --allow_private_networks",
    Cause.ROBOTS_TXT: "the servers do not want this; --robots_txt False ignores their robots.txt",
    Cause.OPT_OUT: "the servers do not want this; see --disallowed_header_directives",
    Cause.TLS_ERROR: "name the authority with --ca_file, or see --ignore_ssl_certificate",
    Cause.TOO_LARGE: "raise --max_bytes",
    Cause.TOO_MANY_PIXELS: "raise --max_pixels",
    Cause.NOT_IMAGE: "keep files of any kind with --media any",
    Cause.HASH_MISMATCH: "compare the column and the type of --verify_hash with the list",
    Cause.IMAGE_TOO_SMALL: "lower --min_image_size",
    Cause.IMAGE_AREA_TOO_LARGE: "raise --max_image_area",
    Cause.ASPECT_RATIO_TOO_LARGE: "raise --max_aspect_ratio",
}


def show_download(report: "DownloadReport") -> int:
    """Print the rows by outcome and by cause; return the exit status, 1 when no row succeeded."""
    failed = report.rows - report.successes
    columns = ("rows", "ok", "failed", "shards made", "shards kept", "requests")
    row = (report.rows, report.successes, failed, report.made, report.skipped, report.requests)
    print_table(columns, [row])
    if report.causes:
        print_table(("cause", "rows"), list(report.causes.items()))
    if report.successes or not report.rows:
        return 0
    commonest = max(report.causes, key=report.causes.__getitem__, default="")
    hint = HINTS.get(commonest, "the column error_message of the shards has the details")
    text = f"expected samples, got none from {report.rows:,} rows, most of them {commonest}; {hint}"
    Console(stderr=True).print(text, soft_wrap=True, highlight=False, markup=False)
    return 1
