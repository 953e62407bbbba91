"""A proof: clients at once, images of many sizes, for a quarter of an hour.

    python -m tests.serving_load models/street/1 --minutes 15 --clients 4

A server process holds the SavedModel behind TensorFlow Serving's gRPC interface (the
stand-in of `tests/serving.py`); the clients send JPEG and PNG of five sizes, alone and
in batches, one after another. One request in 20 is damaged and must be refused; any
other outcome than the expected one is an error. Prints latencies and the server's
memory as Markdown.
"""

import argparse
import os
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_danet.data.synthetic import draw_scene
from tests.hostile import encoded
from tests.serving import Served, serving

SIZES = ((96, 128), (181, 243), (240, 320), (360, 480), (480, 640))


def request_of(files):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "street"
    request.model_spec.signature_name = "image_bytes"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files))
    return request


class Client(threading.Thread):
    """Sends requests until `end`; keeps (size, images, seconds) and errors."""

    def __init__(self, number, address, end):
        super().__init__()
        self.rng = np.random.default_rng(number)
        self.address, self.end = address, end
        self.latencies, self.refusals, self.errors = [], 0, []

    def run(self):
        channel = grpc.insecure_channel(self.address)
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        while time.monotonic() < self.end:
            size = SIZES[self.rng.integers(len(SIZES))]
            files = [self.image(size) for _ in range(self.rng.integers(1, 4))]
            if self.rng.random() < 0.05:
                self.expect_refusal(service, files)
            else:
                self.expect_answer(service, files, size)

    def image(self, size):
        scene = draw_scene(3, int(self.rng.integers(50)), size)[0]
        return encoded(scene, ("JPEG", "PNG")[self.rng.integers(2)])

    def expect_answer(self, service, files, size):
        start = time.monotonic()
        try:
            response = service.Predict(request_of(files), timeout=300)
        except grpc.RpcError as error:
            self.errors.append(error.details())
            return
        self.latencies.append((size, len(files), time.monotonic() - start))
        pngs = response.outputs["label_png"].string_val
        sizes = [tuple(tf.io.decode_png(png).shape[:2]) for png in pngs]
        if sizes != [size] * len(files):
            self.errors.append(f"{sizes} for {len(files)} images of {size}")

    def expect_refusal(self, service, files):
        files[-1] = files[-1][: len(files[-1]) // 2]
        try:
            service.Predict(request_of(files), timeout=300)
            self.errors.append("a truncated image was answered")
        except grpc.RpcError as error:
            named = f"image {len(files) - 1}: it cannot be decoded" in error.details()
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT or not named:
                self.errors.append(error.details())
            self.refusals += 1


def resident(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def load(address, process, minutes, clients):
    """(clients when done, [(minute, MiB of the server)])."""
    begin = time.monotonic()
    working = [Client(n, address, begin + 60 * minutes) for n in range(clients)]
    for client in working:
        client.start()
    memory = []
    while any(client.is_alive() for client in working):
        memory.append(((time.monotonic() - begin) / 60, resident(process)))
        time.sleep(5)
    return working, memory


def report(working, memory):
    errors = [error for client in working for error in client.errors]
    rows = [row for client in working for row in client.latencies]
    refusals = sum(client.refusals for client in working)
    images = sum(count for _, count, _ in rows)
    print(f"{len(rows)} requests answered, {images} images; {refusals} damaged ones")
    print(f"refused by index; {len(errors)} errors {errors[:3]}\n")
    print("| one image of | requests | median s | 90 % | 99 % | longest |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        seconds = [s for found, count, s in rows if (found, count) == (size, 1)]
        if not seconds:
            continue
        shown = np.percentile(seconds, [50, 90, 99, 100])
        numbers = " | ".join(f"{s:.2f}" for s in shown)
        print(f"| {size[0]}x{size[1]} | {len(seconds)} | {numbers} |")
    print("\n| minute | server's memory, MiB, the highest in it |\n|---|---|")
    for minute in range(int(memory[-1][0]) + 1):
        highest = max((m for at, m in memory if int(at) == minute), default=0)
        print(f"| {minute + 1} | {highest:.0f} |")
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="the folder of a SavedModel")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--serve", action="store_true", help="be the server")
    args = parser.parse_args()
    if args.serve:
        with serving(Served(args.model), args.clients) as address:
            print(address, flush=True)
            sys.stdin.read()  # until the parent closes it
        return
    command = [sys.executable, "-m", "tests.serving_load", args.model, "--serve"]
    command += ["--clients", str(args.clients)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        address = process.stdout.readline().strip()
        working, memory = load(address, process, args.minutes, args.clients)
        process.stdin.close()
    sys.exit(1 if report(working, memory) else 0)


if __name__ == "__main__":
    main()
