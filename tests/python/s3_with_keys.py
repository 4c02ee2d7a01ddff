"""An S3 server (moto) that lets in who signs with one pair of keys, as MinIO does; and a bucket in it.

    s3_with_keys.py serve PORT ACCESS_KEY SECRET_KEY
    s3_with_keys.py make-bucket ENDPOINT ACCESS_KEY SECRET_KEY BUCKET

moto's own check wants keys that it made itself, so requests are checked before they reach it:
signature version 4 in the header, which is how all our clients sign.
"""

import hashlib
import hmac
import re
import sys
from urllib.parse import quote, unquote

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def once_encoded(text):
    """Clients encode what they sign; on the way some characters may go plain."""
    return quote(unquote(text), safe="-_.~")


def header(environ, name):
    name = name.upper().replace("-", "_")
    return environ.get(name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}", "")


def signature(environ, secret, day, region, signed):
    path, _, query = environ["RAW_URI"].partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    canonical = "\n".join(
        [
            environ["REQUEST_METHOD"],
            "/".join(map(once_encoded, path.split("/"))),
            "&".join(sorted(f"{once_encoded(key)}={once_encoded(value)}" for key, _, value in pairs)),
            *(f"{name}:{' '.join(header(environ, name).split())}" for name in signed),
            "",
            ";".join(signed),
            header(environ, "x-amz-content-sha256"),
        ]
    )
    scope = f"{day}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{header(environ, 'x-amz-date')}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), to_sign]:
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def let_in(app, access_key, secret):
    def checked(environ, start_response):
        found = AUTHORIZATION.fullmatch(header(environ, "authorization"))
        if found:
            key, day, region, signed, given = found.groups()
            if key == access_key and hmac.compare_digest(given, signature(environ, secret, day, region, signed.split(";"))):
                return app(environ, start_response)
        start_response("403 Forbidden", [("content-type", "application/xml"), ("connection", "close")])
        return [b"<Error><Code>AccessDenied</Code><Message>who?</Message></Error>"]

    return checked


def serve(port, access_key, secret):
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    app = let_in(DomainDispatcherApplication(create_backend_app), access_key, secret)
    run_simple("127.0.0.1", int(port), app, threaded=True, request_handler=MotoRequestHandler)


def make_bucket(endpoint, access_key, secret, bucket):
    import boto3

    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key, aws_secret_access_key=secret
    )
    client.create_bucket(Bucket=bucket)


{"serve": serve, "make-bucket": make_bucket}[sys.argv[1]](*sys.argv[2:])
