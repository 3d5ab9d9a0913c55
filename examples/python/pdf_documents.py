"""Summarize PDF documents: pdf_documents.py [FILE.pdf ...]. Without files it writes two small ones itself."""

import base64
import os
import sys
import time
from pathlib import Path

import anthropic
from anthropic.types.messages.batch_create_params import Request
from sample import text_of

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))


def small_pdf(*lines: str) -> bytes:
    """Return a PDF of one page with these lines; they may hold no brackets or backslashes."""
    text = " T* ".join(f"({line}) Tj" for line in lines)
    stream = f"BT /F1 12 Tf 16 TL 60 780 Td {text} ET".encode("ascii")
    fonts = b"<< /Font << /F1 5 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources %s >>" % fonts,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    pdf, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(pdf)
    return pdf + b"xref\n0 6\n0000000000 65535 f \n" + table + trailer


client = anthropic.Anthropic()

documents = [
    {"id": path.stem, "data": base64.b64encode(path.read_bytes()).decode()} for path in map(Path, sys.argv[1:])
] or [
    {"id": "minutes", "data": base64.b64encode(small_pdf("Minutes", "The bridge is repaired in May.")).decode()},
    {"id": "notice", "data": base64.b64encode(small_pdf("Notice", "The lift is out of order.")).decode()},
]

requests: list[Request] = []
for doc in documents:
    requests.append(
        {
            "custom_id": f"doc-{doc['id']}",
            "params": {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 2048,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {"type": "base64", "media_type": "application/pdf", "data": doc["data"]},
                            },
                            {"type": "text", "text": "Summarize this document"},
                        ],
                    }
                ],
            },
        }
    )

batch = client.messages.batches.create(requests=requests)
while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    time.sleep(POLL_SECONDS)

for response in client.messages.batches.results(batch.id):
    if response.result.type == "succeeded":
        print(f"{response.custom_id}: {text_of(response.result.message)}")
    else:
        print(f"{response.custom_id}: {response.result.type}")
