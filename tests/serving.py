"""A stand-in for TensorFlow Serving: its interfaces over TensorFlow's loader."""

import base64
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
    """Answers `Predict` from one `Served`."""

    def __init__(self, served):
        self.served = served

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
def serving(served, workers=4):
    """Serves a `Served` over gRPC; gives the address."""
    server = grpc.server(
        ThreadPoolExecutor(workers),
        options=[("grpc.max_receive_message_length", 64 * 2**20)],
    )
    service = PredictionService(served)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


@contextlib.contextmanager
def serving_rest(served):
    """Serves `:predict` with rows of encoded images; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = [row["image_bytes"]["b64"] for row in body["instances"]]
            files = [base64.b64decode(row) for row in rows]
            try:
                outputs = served.run(body["signature_name"], image_bytes=files)
                self.answer(200, {"predictions": _rows(outputs)})
            except tf.errors.OpError as error:
                self.answer(400, {"error": error.message})

        def answer(self, status, content):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *arguments):
            """Nothing; the test sees what it asked for."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _rows(outputs):
    """As TensorFlow Serving: a dict for each image, strings `..._bytes` in base64."""

    def encoded(name, value):
        if not isinstance(value, bytes):
            return value.tolist()
        if not name.endswith("_bytes"):
            raise TypeError(f"{name} would be raw bytes inside JSON")
        return {"b64": base64.b64encode(value).decode()}

    count = len(next(iter(outputs.values())))
    return [
        {name: encoded(name, value[i]) for name, value in outputs.items()}
        for i in range(count)
    ]
