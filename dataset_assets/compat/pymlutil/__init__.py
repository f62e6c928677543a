"""Called like pymlutil: `s3store` and `Connect`, on our S3 client."""
