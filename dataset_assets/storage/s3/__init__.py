"""The S3 client of the store `s3`: connections, errors, resumable reads and multipart uploads."""
