"""The S3 client behind the store `s3`: connections, credentials, errors, resumable reads and multipart uploads."""
