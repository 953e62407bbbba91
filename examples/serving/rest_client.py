"""Send a picture to a model server over REST and save the overlay.

    python rest_client.py street.jpg --card models/street/1/model_card.json

Needs NumPy and Pillow only.
"""

import base64
import json
import sys
import urllib.error
import urllib.request

from picture import ask


def segment(address, model, data):
    """The PNG of class ids, for the bytes of a picture."""
    # The signature whose output is named `..._bytes`, which REST encodes in base64.
    body = {
        "signature_name": "image_bytes_rest",
        "instances": [{"image_bytes": {"b64": base64.b64encode(data).decode()}}],
    }
    request = urllib.request.Request(
        f"http://{address}/v1/models/{model}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            prediction = json.load(response)["predictions"][0]
    except urllib.error.HTTPError as error:
        sys.exit(f"The server refused: {json.load(error)['error']}")
    return base64.b64decode(prediction["label_png_bytes"]["b64"])


def main():
    ask(segment, __doc__, port=8501)


if __name__ == "__main__":
    main()
