#!/usr/bin/env python3
"""The other end of plugins/examples/connectors.yaml: GET /gauge answers a number, POST /lines prints lines."""
import json
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, json.dumps({"value": round(random.gauss(20, 1), 2)}).encode())

    def do_POST(self):
        print(self.rfile.read(int(self.headers["content-length"])).decode(), end="", flush=True)
        self.answer(204, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
