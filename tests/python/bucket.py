"""Saves each object of an S3 server's bucket as a file below a folder, or puts such files into a bucket."""

import argparse
import pathlib

import boto3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["save", "load"])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    args = parser.parse_args()
    s3 = boto3.client(
        "s3",
        endpoint_url=args.endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    if args.what == "save":
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=args.bucket):
            for found in page.get("Contents", []):
                file = args.folder / found["Key"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(s3.get_object(Bucket=args.bucket, Key=found["Key"])["Body"].read())
        return
    for file in args.folder.rglob("*"):
        if file.is_file():
            key = file.relative_to(args.folder).as_posix()
            s3.put_object(Bucket=args.bucket, Key=key, Body=file.read_bytes())


if __name__ == "__main__":
    main()
