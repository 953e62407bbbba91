"""A stand-in for TensorFlow Serving: its gRPC interface over TensorFlow's loader."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_service_pb2_grpc,
)

_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class Served:
    """A SavedModel in a session, as a server of the C++ API holds it."""

    def __init__(self, path):
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            loader = tf.compat.v1.saved_model.loader
            loaded = loader.load(self.session, ["serve"], str(path))
        self.signatures = loaded.signature_def

    def run(self, signature, **inputs):
        """The outputs of a signature, name -> array."""
        definition = self.signatures[signature]
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return self.session.run(fetches, feeds)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers `Predict` from one SavedModel."""

    def __init__(self, path):
        self.served = Served(path)

    def Predict(self, request, context):
        signature = request.model_spec.signature_name or "serving_default"
        inputs = {name: tf.make_ndarray(v) for name, v in request.inputs.items()}
        try:
            outputs = self.served.run(signature, **inputs)
        except tf.errors.OpError as error:
            context.abort(_STATUS[error.error_code], error.message)
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@contextlib.contextmanager
def serving(path, workers=4):
    """Serves a SavedModel; gives the address."""
    server = grpc.server(
        ThreadPoolExecutor(workers),
        options=[("grpc.max_receive_message_length", 64 * 2**20)],
    )
    service = PredictionService(path)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
