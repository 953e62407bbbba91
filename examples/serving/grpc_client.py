"""Send a picture to a model server over gRPC and save the overlay.

pip install tensorflow-serving-api
python grpc_client.py street.jpg --card models/street/1/model_card.json
"""

import argparse
import sys
from pathlib import Path

import grpc
import tensorflow as tf
from picture import save_overlay
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def segment(address, model, data):
    """The PNG of class ids, for the bytes of a picture."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "image_bytes"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([data]))
    with grpc.insecure_channel(address) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            response = service.Predict(request, timeout=120)
        except grpc.RpcError as error:
            sys.exit(f"The server refused: {error.details()}")
    return response.outputs["label_png"].string_val[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--card", type=Path, required=True, help="model_card.json")
    parser.add_argument("--address", default="localhost:8500")
    parser.add_argument("--model", default="street", help="the name it is served by")
    parser.add_argument("--out", type=Path, default=Path("overlay.png"))
    args = parser.parse_args()
    label_png = segment(args.address, args.model, args.image.read_bytes())
    save_overlay(args.image, label_png, args.card, args.out)
    print(f"Wrote {args.out}")


if __name__ == "__main__":
    main()
