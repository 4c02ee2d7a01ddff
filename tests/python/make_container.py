"""Makes a container in an Azure storage account: Azure's own Shared Key, with nothing but Python."""

import argparse
import base64
import email.utils
import hashlib
import hmac
import urllib.request

VERSION = "2021-08-06"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="with the account as its path")
    parser.add_argument("--account", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--container", required=True)
    args = parser.parse_args()
    date = email.utils.formatdate(usegmt=True)
    signed = "\n".join(
        ["PUT"]
        + [""] * 11
        + [f"x-ms-date:{date}", f"x-ms-version:{VERSION}"]
        # The account twice: it is the path's first part too.
        + [f"/{args.account}/{args.account}/{args.container}", "restype:container"]
    )
    digest = hmac.new(base64.b64decode(args.key), signed.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(f"{args.endpoint}/{args.container}?restype=container", method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", VERSION)
    request.add_header("Authorization", f"SharedKey {args.account}:{base64.b64encode(digest).decode()}")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201, answer.status


if __name__ == "__main__":
    main()
