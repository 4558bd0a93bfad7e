"""The few messages of ONNX's protobuf schema that the converted model needs (field numbers: onnx.proto3)."""
import struct

FLOAT, UINT8, INT8, INT32, INT64, INT4 = 1, 2, 3, 6, 7, 22
MICROSOFT = "com.microsoft"


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def integer(field, value):
    return varint(field << 3) + varint(value)


def message(field, data):
    data = data.encode() if isinstance(data, str) else bytes(data)
    return varint(field << 3 | 2) + varint(len(data)) + data


def attribute(name, value):
    body = message(1, name)
    if isinstance(value, float):
        return body + varint(2 << 3 | 5) + struct.pack("<f", value) + integer(20, 1)
    if isinstance(value, int):
        return body + integer(3, value) + integer(20, 2)
    return body + b"".join(integer(8, item) for item in value) + integer(20, 7)


def tensor(name, kind, shape, raw):
    return b"".join(integer(1, d) for d in shape) + integer(2, kind) + message(8, name) + message(9, raw)


def value_info(name, kind, shape):
    dims = b"".join(message(1, integer(1, d) if isinstance(d, int) else message(2, d)) for d in shape)
    return message(1, name) + message(2, message(1, integer(1, kind) + message(2, dims)))


# The inputs of a sentence encoder.
TOKENS = [value_info(name, INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]


class Graph:
    """Nodes and initialisers in the order in which they are made; `op` returns the names of the outputs."""

    def __init__(self):
        self.nodes, self.initialisers, self.count, self.used = [], [], 0, set()

    def raw(self, kind, shape, data, name=None):
        name = name or f"c{len(self.initialisers)}"
        self.initialisers.append((name, tensor(name, kind, shape, data)))
        return name

    def int64(self, *values):
        return self.raw(INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))

    def scalar(self, value):
        return self.raw(FLOAT, [], struct.pack("<f", value))

    def op(self, kind, *inputs, out=1, domain="", name=None, **attributes):
        self.count += 1
        outputs = [name] if name else [f"{kind}_{self.count}" + (f"_{i}" if out > 1 else "") for i in range(out)]
        self.used.update(inputs)
        self.nodes.append(
            b"".join(message(1, i) for i in inputs) + b"".join(message(2, o) for o in outputs)
            + message(3, f"{kind}_{self.count}") + message(4, kind)
            + b"".join(message(5, attribute(k, v)) for k, v in attributes.items()) + message(7, domain))
        return outputs[0] if out == 1 else outputs

    def model(self, name, inputs, output):
        """The serialised ModelProto: IR 10, opset 21 plus com.microsoft 1. Inputs and output are `value_info`s."""
        graph = b"".join(message(1, node) for node in self.nodes) + message(2, name)
        graph += b"".join(message(5, t) for key, t in self.initialisers if key in self.used)
        graph += b"".join(message(11, i) for i in inputs)
        graph += message(12, output)
        opset = message(8, message(1, "") + integer(2, 21)) + message(8, message(1, MICROSOFT) + integer(2, 1))
        return integer(1, 10) + message(2, "banter") + message(7, graph) + opset
