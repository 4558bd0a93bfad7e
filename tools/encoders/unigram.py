"""Sentencepiece vocabularies as Hugging Face tokenizers: Unigram, with the normalisation `nmt_nfkc`."""
import unicodedata

CONTROL = "[\\x{1}-\\x{8}\\x{B}\\x{E}-\\x{1F}\\x{7F}\\x{8F}\\x{9F}]"
SPACE = "[\\x{9}\\x{A}\\x{C}\\x{D}\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}\\x{2581}\\x{FEFF}\\x{FFFD}]"


def keeps(char):
    if not char.isalpha():
        return not unicodedata.category(char).startswith("M") or ord(char) < 0x370
    return unicodedata.name(char, "?").split()[0] in ("LATIN", "CYRILLIC")


def kept_pieces(pieces, special):
    """The ids of the special pieces and of those with Latin and Cyrillic letters only; the others would only take room."""
    return [i for i, piece in enumerate(pieces) if i in special or all(map(keeps, piece.replace("▁", "")))]


def tokenizer(pieces, special):
    """tokenizer.json; `pieces` are (text, score) pairs, `special` the new ids of <s>, <pad>, </s>, <unk> and others."""
    added = [dict(id=i, content=t, single_word=False, lstrip=t == "<mask>", rstrip=False, normalized=False, special=True)
             for t, i in sorted(special.items(), key=lambda item: item[1])]
    replace = lambda pattern, to: {"type": "Replace", "pattern": {"Regex": pattern}, "content": to}
    token = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    sequence = lambda i: {"Sequence": {"id": i, "type_id": 0}}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            replace(CONTROL, ""), replace(SPACE, " "), {"type": "NFKC"}, replace(" {2,}", " ")]},
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("<s>"), sequence("A"), token("</s>")],
            "pair": [token("<s>"), sequence("A"), token("</s>"), token("</s>"), sequence("B"), token("</s>")],
            "special_tokens": {t: {"id": t, "ids": [special[t]], "tokens": [t]} for t in ("<s>", "</s>")}},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "vocab": [list(piece) for piece in pieces],
                  "byte_fallback": False},
    }
