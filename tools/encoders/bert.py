"""The graph of a BERT encoder (Devlin et al., 2018) whose sentence vector is the mean of its tokens' vectors."""
import array

from onnx_graph import FLOAT, INT8, MICROSOFT, TOKENS, UINT8, Graph, value_info

# The table of word vectors is quantised in blocks of this many, each with an f32 scale.
BLOCK = 32
# Inputs and weights of a matrix product are rounded to integers up to these. Processors without instructions for it add
# two products in 16 bits, which must not overflow: 2 · (2 · 127 + 1) · 63 < 2¹⁵.
LARGEST_INPUT = 127
LARGEST_WEIGHT = 63


def build(name, w):
    """The encoder as an ONNX model: ids and mask [batch, sequence] to `sentence_embedding` [batch, hidden], masked mean,
    L2 norm 1.

    `w` has the sizes `hidden`, `layers`, `heads`, `inner`, `positions` and `epsilon`; `floats(tensor)`, the bytes of an f32
    tensor; `rows(tensor)`, a matrix in signed bytes up to `LARGEST_WEIGHT`, row by row, and the f32 scales of its rows; and
    `embed(graph)`, the vectors of `input_ids`. Tensors are called emb.pos, emb.type, emb.ln and, for layer 0,
    l0.q, l0.k, l0.v, l0.ao, l0.aln, l0.fi, l0.fo and l0.oln; a norm has the parts `.w` and `.b`.
    """
    g = Graph()
    shape_heads, shape_flat = g.int64(0, 0, w.heads, w.hidden // w.heads), g.int64(0, 0, w.hidden)
    axis1, axis2, axes12 = g.int64(1), g.int64(2), g.int64(1, 2)

    def norm(x, tensor):
        scale, bias = (g.raw(FLOAT, [w.hidden], w.floats(f"{tensor}.{part}")) for part in "wb")
        return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=w.epsilon)

    most, one, zero = g.scalar(float(LARGEST_INPUT)), g.scalar(1.0), g.raw(UINT8, [], bytes([LARGEST_INPUT + 1]))

    def linear(x, tensors, rows):
        """x · Wᵀ + b for one tensor, or several stacked ones that share their input, in bytes. The vector of each token
        has a scale of its own, so that a text has the same vector alone and in a batch."""
        parts = [w.rows(tensor + ".w") for tensor in tensors]
        packed, scales = b"".join(p for p, _ in parts), b"".join(s for _, s in parts)
        n = rows * len(tensors)
        k = len(packed) // n
        weights = g.raw(INT8, [k, n], b"".join(packed[column::k] for column in range(k)))
        bias = b"".join(w.floats(tensor + ".b") for tensor in tensors)
        largest = g.op("ReduceMax", g.op("Abs", x), axis2, keepdims=1)
        rounded = g.op("QuantizeLinear", g.op("Mul", x, g.op("Div", most, largest)), one, zero)
        product = g.op("MatMulIntegerToFloat", rounded, weights, one, g.raw(FLOAT, [n], scales), zero, domain=MICROSOFT)
        return g.op("Add", g.op("Mul", product, g.op("Div", largest, most)), g.raw(FLOAT, [n], bias))

    position = array.array("f", w.floats("emb.pos"))
    kind = array.array("f", w.floats("emb.type"))[:w.hidden]
    position = array.array("f", (p + kind[i % w.hidden] for i, p in enumerate(position)))
    length = g.op("Shape", "input_ids", start=1, end=2)
    rows = g.op("Slice", g.raw(FLOAT, [w.positions, w.hidden], position.tobytes()), g.int64(0), length, g.int64(0))
    x = norm(g.op("Add", w.embed(g), rows), "emb.ln")

    mask = g.op("Cast", "attention_mask", to=FLOAT)
    bias = g.op("Mul", g.op("Sub", mask, g.scalar(1.0)), g.scalar(10000.0))
    bias = g.op("Unsqueeze", bias, axes12)                               # [batch, 1, 1, sequence]

    for layer in range(w.layers):
        tensor = f"l{layer}"
        stacked = linear(x, [f"{tensor}.{part}" for part in "qkv"], w.hidden)
        parts = g.op("Split", stacked, axis=2, num_outputs=3, out=3)
        q, k, v = (g.op("Transpose", g.op("Reshape", part, shape_heads), perm=perm)
                   for part, perm in zip(parts, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))))
        scores = g.op("Mul", g.op("MatMul", q, k), g.scalar((w.hidden // w.heads) ** -0.5))
        attention = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
        context = g.op("Reshape", g.op("Transpose", g.op("MatMul", attention, v), perm=(0, 2, 1, 3)), shape_flat)
        x = norm(g.op("Add", x, linear(context, [f"{tensor}.ao"], w.hidden)), f"{tensor}.aln")
        h = g.op("Gelu", linear(x, [f"{tensor}.fi"], w.inner))
        x = norm(g.op("Add", x, linear(h, [f"{tensor}.fo"], w.hidden)), f"{tensor}.oln")

    total = g.op("ReduceSum", g.op("Mul", x, g.op("Unsqueeze", mask, axis2)), axis1, keepdims=0)
    length = g.op("ReduceL2", total, axis1, keepdims=1)
    g.op("Div", total, g.op("Max", length, g.scalar(1e-12)), name="sentence_embedding")
    return g.model(name, TOKENS, value_info("sentence_embedding", FLOAT, ["batch", w.hidden]))
