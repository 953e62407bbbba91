"""Send a picture to a model server over gRPC and save the overlay.

pip install tensorflow-serving-api
python grpc_client.py street.jpg --card models/street/1/model_card.json
"""

import sys

import grpc
import tensorflow as tf
from picture import ask
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
    ask(segment, __doc__, port=8500)


if __name__ == "__main__":
    main()
