"""How near the encoders come to the arithmetic limit of this machine: `bench/model [--json]`.

The limit of a text is the number of its multiplications, divided by the rate of this machine's kernels: one large matrix
product of ONNX Runtime on one core, in f32 and in bytes. The texts are test rows of BANKING77. Times are those of one
core.
"""
import argparse
import collections
import csv
import json
import pathlib
import sys
import tempfile
import time

import numpy
import onnxruntime
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools/encoders"))
from onnx_graph import FLOAT, INT8, INT32, UINT8, Graph, value_info

TEXTS = 400
BATCH = 8
# The largest matrix of the encoders, and more rows than a text has, so that the kernels reach their full rate.
ROWS, INNER, COLUMNS = 512, 384, 1536
REPEATS = 30
LANGUAGES = {"English": ("minilm", "use"), "Russian": ("e5", "use")}
PRODUCTS = {"MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulIntegerToFloat"}


def session(model, profile=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model, options)


def kernel_rate(kind):
    """Multiplications per second of one large product."""
    g = Graph()
    random = numpy.random.default_rng(1)
    if kind == "f32":
        x = random.standard_normal((ROWS, INNER)).astype(numpy.float32)
        weights = random.standard_normal((INNER, COLUMNS)).astype(numpy.float32)
        g.op("MatMul", "x", g.raw(FLOAT, weights.shape, weights.tobytes()), name="y")
        model = graph_model(g, FLOAT, FLOAT)
    else:
        x = random.integers(0, 255, (ROWS, INNER), dtype=numpy.uint8)
        weights = random.integers(-63, 63, (INNER, COLUMNS), dtype=numpy.int8)
        g.op("MatMulInteger", "x", g.raw(INT8, weights.shape, weights.tobytes()), g.raw(UINT8, [], bytes([128])), name="y")
        model = graph_model(g, UINT8, INT32)
    running = session(model)
    times = [timed(lambda: running.run(None, {"x": x})) for _ in range(REPEATS)]
    return ROWS * INNER * COLUMNS / min(times)


def graph_model(g, kind_in, kind_out):
    return g.model("product", [value_info("x", kind_in, [ROWS, INNER])], value_info("y", kind_out, [ROWS, COLUMNS]))


def timed(run):
    start = time.process_time()
    run()
    return time.process_time() - start


class Encoder:
    def __init__(self, name):
        folder = ROOT / ".cache/encoders" / name
        self.name, self.model = name, str(folder / "model.onnx")
        self.prefix = json.loads((folder / "encoder.json").read_text())["prefix"]
        self.pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def ids(self, texts):
        return [self.tokenizer.encode(self.prefix + text).ids for text in texts]

    def feeds(self, batch):
        length = max(map(len, batch))
        ids = numpy.full((len(batch), length), self.pad, numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, own in enumerate(batch):
            ids[row, :len(own)], mask[row, :len(own)] = own, 1
        return {"input_ids": ids, "attention_mask": mask}

    def milliseconds(self, ids, size):
        """Of a text, in batches of texts of similar length."""
        batches = [self.feeds(ids[at:at + size]) for at in range(0, len(ids), size)]
        running = session(self.model)
        run = lambda: [running.run(None, feeds) for feeds in batches]
        run()
        return 1e3 * min(timed(run) for _ in range(3)) / len(ids)

    def multiplications(self, ids):
        """Of a text of mean length, in matrix products, by kind of number; and the share of these in the time."""
        text = sorted(ids, key=len)[len(ids) // 2]
        with tempfile.TemporaryDirectory() as folder:
            running = session(self.model, f"{folder}/profile")
            for _ in range(REPEATS):
                running.run(None, self.feeds([text]))
            events = json.loads(pathlib.Path(running.end_profiling()).read_text())
        count, spent = collections.Counter(), collections.Counter()
        for event in events:
            if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
                continue
            kind = event["args"]["op_name"]
            spent[kind in PRODUCTS] += event["dur"]
            if kind in PRODUCTS:
                (_, left), = event["args"]["input_type_shape"][0].items()
                (_, out), = event["args"]["output_type_shape"][0].items()
                number = "bytes" if kind == "MatMulIntegerToFloat" else "f32"
                count[number] += left[-1] * numpy.prod(out) / REPEATS
        return len(text), count, spent[True] / (spent[True] + spent[False])


def measure(name, texts, rates):
    encoder = Encoder(name)
    ids = sorted(encoder.ids(texts), key=len)
    tokens, count, share = encoder.multiplications(ids)
    limit = {kind: 1e3 * sum(count.values()) / rate for kind, rate in rates.items()}
    alone, batched = encoder.milliseconds(ids, 1), encoder.milliseconds(ids, BATCH)
    return {"encoder": name, "tokens": tokens, "million_multiplications": sum(count.values()) / 1e6,
            "share_in_bytes": count["bytes"] / sum(count.values()), "share_of_time": share,
            "limit_ms": limit, "alone_ms": alone, "batched_ms": batched,
            "ratio": {kind: batched / of for kind, of in limit.items()}}


def together(name, rows):
    """The encoders of a language, one after the other."""
    add = lambda key: sum(row[key] for row in rows)
    limit = {kind: sum(row["limit_ms"][kind] for row in rows) for kind in rows[0]["limit_ms"]}
    return {"encoder": name, "million_multiplications": add("million_multiplications"), "limit_ms": limit,
            "alone_ms": add("alone_ms"), "batched_ms": add("batched_ms"),
            "ratio": {kind: add("batched_ms") / of for kind, of in limit.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with open(ROOT / "../shared/data/banking77.test.csv", newline="") as file:
        texts = [row[0] for row in list(csv.reader(file))[1:TEXTS + 1]]
    rates = {kind: kernel_rate(kind) for kind in ("f32", "bytes")}
    encoders = {name: measure(name, texts, rates) for name in ("minilm", "use", "e5")}
    rows = [*encoders.values(), *(together(name, [encoders[part] for part in parts]) for name, parts in LANGUAGES.items())]
    if arguments.json:
        print(json.dumps({"kernels": rates, "encoders": rows}))
        return
    print("kernels of one core: " + ", ".join(f"{rate / 1e9:.0f} billion multiplications a second in {kind}"
                                              for kind, rate in rates.items()))
    print(f"{'':8} {'million':>8} {'limit f32':>10} {'limit bytes':>12} {'alone':>8} {'batches':>8} "
          f"{'to f32':>7} {'to bytes':>9}")
    for row in rows:
        print(f"{row['encoder']:8} {row['million_multiplications']:>8.0f} "
              f"{row['limit_ms']['f32']:>7.2f} ms {row['limit_ms']['bytes']:>9.2f} ms {row['alone_ms']:>5.2f} ms "
              f"{row['batched_ms']:>5.2f} ms {row['ratio']['f32']:>7.2f} {row['ratio']['bytes']:>9.2f}")


if __name__ == "__main__":
    main()
