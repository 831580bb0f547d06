"""Calls to containerd without generated code: protobuf's wire format by hand, over grpcio."""

import json
import sys
import threading
import time

import grpc

SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"
STATES = ["UNKNOWN", "CREATED", "RUNNING", "STOPPED", "PAUSED", "PAUSING"]


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def message(*fields):
    """A message of (number, value) pairs; the values are numbers, texts or messages."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def parse(data):
    """The fields of a message: number -> list of values. containerd sends varints and bytes only."""
    fields, position = {}, 0

    def number():
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    while position < len(data):
        tag = number()
        value = number()
        if tag & 7 == 2:
            position, value = position + value, data[position : position + value]
        fields.setdefault(tag >> 3, []).append(value)
    return fields


class Daemon:
    """One containerd. Answers are parsed messages, refusals the texts "CODE: details"."""

    def __init__(self, socket, bundle, namespace):
        self.channel = grpc.insecure_channel("unix://" + socket)
        self.namespace = namespace
        self.rootfs = bundle + "/rootfs"
        self.spec = json.load(open(bundle + "/base.json"))

    def metadata(self, namespace):
        return [("containerd-namespace", namespace or self.namespace)]

    def __call__(self, method, *fields, namespace=None, timeout=60):
        call = self.channel.unary_unary("/containerd.services." + method, bytes, bytes)
        try:
            return parse(call(message(*fields), metadata=self.metadata(namespace), timeout=timeout))
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"

    def stream(self, method, *fields, namespace=None):
        call = self.channel.unary_stream("/containerd.services." + method, bytes, bytes)
        return call(message(*fields), metadata=self.metadata(namespace))

    def container(self, id, args, labels=(), namespace=None, own_group=True, **changes):
        """With a control group of its own, see one-id-in-two-namespaces.sh."""
        spec = dict(self.spec, **changes)
        if own_group:
            spec["linux"] = dict(spec["linux"], cgroupsPath=f"/{namespace or self.namespace}-{id}")
        spec["process"] = dict(spec["process"], args=args)
        return self("containers.v1.Containers/Create", (1, message(
            (1, id), *((2, message((1, key), (2, value))) for key, value in labels),
            (4, message((1, "io.containerd.runc.v2"))), (5, message((1, SPEC), (2, json.dumps(spec)))),
        )), namespace=namespace)

    def create(self, id, stdout="/dev/null", stderr="/dev/null", **options):
        rootfs = message((1, "bind"), (2, self.rootfs), (4, "rbind"), (4, "rw"))
        return self("tasks.v1.Tasks/Create", (1, id), (3, rootfs), (5, stdout), (6, stderr), **options)

    def task(self, what, id, *fields, **options):
        return self("tasks.v1.Tasks/" + what, (1, id), *fields, **options)

    def exec(self, id, exec_id, args):
        process = message((1, PROCESS), (2, json.dumps(dict(self.spec["process"], args=args))))
        self.task("Exec", id, (3, "/dev/null"), (4, "/dev/null"), (6, process), (7, exec_id))
        return self.task("Start", id, (2, exec_id))

    def run(self, id, args, **changes):
        self.container(id, args, **changes)
        options = {"namespace": changes.get("namespace")}
        self.create(id, **options)
        return self.task("Start", id, **options)

    def state(self, id, **options):
        """The state of a task and its exit status, or the refusal."""
        answer = self.task("Get", id, **options)
        if isinstance(answer, str):
            return answer
        process = parse(answer[1][0])
        return f"{STATES[process[4][0]]} {process.get(9, [0])[0]}"

    def ended(self, id, **options):
        return self.task("Wait", id, timeout=30, **options)
