"""Tiny models of the real architectures with random weights, saved so that the public loaders load them.

encoder: XLM-R, CLS pooling, normalised (as BGE-M3). reranker: XLM-R cross-encoder (as bge-reranker-v2-m3).
nllb: M2M100 with an NLLB tokenizer and its 202 language codes. llama: Llama with a chat template. Tests of their own
make m2m100, madlad (T5) and marian.
The same library versions build the same files, bit by bit (on processors with AVX2; elsewhere the last bits of the
random weights differ).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.texts import LANGS, sentences

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
M2M100_LANGS = (
    "af", "am", "ar", "ast", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "ceb", "cs", "cy", "da", "de", "el",
    "en", "es", "et", "fa", "ff", "fi", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi", "hr", "ht", "hu",
    "hy", "id", "ig", "ilo", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "lb", "lg", "ln", "lo", "lt",
    "lv", "mg", "mk", "ml", "mn", "mr", "ms", "my", "ne", "nl", "no", "ns", "oc", "or", "pa", "pl", "ps", "pt",
    "ro", "ru", "sd", "si", "sk", "sl", "so", "sq", "sr", "ss", "su", "sv", "sw", "ta", "th", "tl", "tn", "tr",
    "uk", "ur", "uz", "vi", "wo", "xh", "yi", "yo", "zh", "zu",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def _texts() -> list[str]:
    return [text for lang in LANGS for text in sentences(lang, 300)]


def _byte_pairs(vocab_size: int) -> tuple[dict[str, int], Any]:
    """Train byte-pair encoding on the parallel sentences; return the number of each token and the merges."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    part = json.loads(tokenizer.to_str())["model"]
    return part["vocab"], [(left, right) for left, right in part["merges"]]


def xlmr_tokenizer() -> Any:
    """Return a unigram tokenizer that cuts a word into as few tokens as possible.

    Its tokens are those of byte-pair encoding: `UnigramTrainer` numbers rare characters in the order of a hash set,
    which has no seed, so that the models would not be reproducible."""
    from transformers import XLMRobertaTokenizer

    pieces, _ = _byte_pairs(400)
    vocab = [(piece, 0.0 if piece in SPECIAL else -10 - n / 1000) for piece, n in pieces.items()]
    return XLMRobertaTokenizer(vocab=[*vocab, ("<mask>", 0.0)], model_max_length=512)


def make_all(folder: Path) -> None:
    """Build the encoder, reranker, nllb and llama, each in the folder of its name."""
    make_encoder(folder / "encoder")
    make_reranker(folder / "reranker")
    make_nllb(folder / "nllb")
    make_llama(folder / "llama")


def _xlmr_config(vocab_size: int, *, hidden: int = 64, layers: int = 2, **more: Any) -> Any:
    from transformers import XLMRobertaConfig

    tiny = hidden == 64
    return XLMRobertaConfig(
        vocab_size=vocab_size, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=2 if tiny else hidden // 64, intermediate_size=128 if tiny else 4 * hidden,
        max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        initializer_range=0.4 if tiny else 0.02,  # large enough that different sentences have different vectors
        **more,
    )  # fmt: skip


def make_encoder(out: Path, *, seed: int = 0, hidden: int = 64, layers: int = 2) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import XLMRobertaModel

    tokenizer = xlmr_tokenizer()
    torch.manual_seed(seed)
    base = out.with_name(out.name + "-base")
    XLMRobertaModel(_xlmr_config(len(tokenizer), hidden=hidden, layers=layers)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    parts = [
        modules.Transformer(str(base), max_seq_length=512),
        modules.Pooling(hidden, pooling_mode="cls"),
        modules.Normalize(),
    ]
    SentenceTransformer(modules=parts, device="cpu").save(str(out))
    shutil.rmtree(base)
    return out


def make_reranker(out: Path) -> Path:
    from transformers import XLMRobertaForSequenceClassification

    tokenizer = xlmr_tokenizer()
    torch.manual_seed(1)
    XLMRobertaForSequenceClassification(_xlmr_config(len(tokenizer), num_labels=1)).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def make_nli(out: Path, labels: Sequence[str], *, always: int | None = None) -> Path:
    """Build a model of natural language inference. `always`: the number of the label that is always most probable."""
    from transformers import XLMRobertaForSequenceClassification

    tokenizer = xlmr_tokenizer()
    torch.manual_seed(7)
    config = _xlmr_config(
        len(tokenizer), id2label=dict(enumerate(labels)), label2id={x: n for n, x in enumerate(labels)}
    )
    model: Any = XLMRobertaForSequenceClassification(config)
    if always is not None:
        with torch.no_grad():
            model.classifier.out_proj.bias[always] += 1000
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def nllb_tokenizer() -> Any:
    from transformers import NllbTokenizer

    pieces, merges = _byte_pairs(800)
    return NllbTokenizer(vocab=pieces, merges=merges, src_lang="eng_Latn", model_max_length=512)


def make_nllb(out: Path) -> Path:
    from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration

    tokenizer = nllb_tokenizer()
    torch.manual_seed(2)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=1024,
        scale_embedding=True, decoder_start_token_id=2, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        tie_word_embeddings=True, init_std=0.2,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=0, decoder_start_token_id=2, eos_token_id=2, pad_token_id=1, max_length=200
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def _sentencepiece(path: Path, langs: Sequence[str], vocab_size: int, **settings: Any) -> list[str]:
    """Train a sentencepiece model on the sentences of the languages, save it, and return its pieces."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for lang in langs for text in sentences(lang, 300)]), vocab_size=vocab_size,
        model_prefix=str(path.with_suffix("")), num_threads=1, character_coverage=1.0, minloglevel=2, **settings,
    )  # fmt: skip
    path.with_suffix(".model").rename(path)
    path.with_suffix(".vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [processor.id_to_piece(n) for n in range(len(processor))]


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _save_seq2seq(model: Any, out: Path) -> Path:
    model.eval().save_pretrained(out)
    return out


def make_m2m100(out: Path, *, lists_codes: bool = True) -> Path:
    """Build an M2M100 with the files of Meta's checkpoints: the codes of 100 languages follow the vocabulary.

    `lists_codes`: among the special tokens, as Meta's checkpoints do; those that transformers 5 saves do not."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    out.mkdir(parents=True)
    ids = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}
    pieces = _sentencepiece(out / "sentencepiece.bpe.model", LANGS, 600, model_type="bpe", **ids)
    _write(out / "vocab.json", {piece: n for n, piece in enumerate(pieces)})
    _write(out / "tokenizer_config.json", {"tokenizer_class": "M2M100Tokenizer", "model_max_length": 512})
    if lists_codes:
        special = [f"__{code}__" for code in M2M100_LANGS]
        _write(out / "special_tokens_map.json", {"additional_special_tokens": special})
    torch.manual_seed(4)
    config = M2M100Config(
        vocab_size=len(pieces) + 100 + 8, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=512,
        scale_embedding=True, decoder_start_token_id=2, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        tie_word_embeddings=False, init_std=0.3,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config)
    model.lm_head.weight.data[1] = 0.0  # no output has padding: transformers does not count its positions
    model.lm_head.weight.data[-8:] = 0.0  # nor a number without a token
    return _save_seq2seq(model, out)


def make_madlad(out: Path) -> Path:
    """Build a T5 with the vocabulary of MADLAD-400: <unk> is 0 and begins the output, tags are words like others."""
    from transformers import T5Config, T5ForConditionalGeneration

    pieces, _ = _byte_pairs(400)
    vocab = [(piece, 0.0) for piece in ("<unk>", "<s>", "</s>", "<2ko>", "<2fi>", "<2iw>")]
    vocab += [(piece, -10 - n / 1000) for piece, n in pieces.items() if piece not in SPECIAL]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    out.mkdir(parents=True)
    tokenizer.save(str(out / "tokenizer.json"))
    special = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<s>", "extra_ids": 0}
    _write(out / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", **special})
    torch.manual_seed(5)
    configure: Any = T5Config  # not all of its settings are typed
    config = configure(
        vocab_size=len(vocab), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, initializer_factor=3.0,
        decoder_start_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model: Any = T5ForConditionalGeneration(config)
    model.lm_head.weight.data[1] = 0.0  # as above
    return _save_seq2seq(model, out)


def make_seamless(out: Path) -> Path:
    """Build the text part of a SeamlessM4T, with the codes of four languages at the end of its vocabulary."""
    from transformers import SeamlessM4TConfig, SeamlessM4TForTextToText, SeamlessM4TTokenizer

    vocab, merges = _byte_pairs(400)
    order = ["<pad>", "<unk>", "<s>", "</s>", *(piece for piece in vocab if piece not in SPECIAL)]
    build: Any = SeamlessM4TTokenizer
    codes = [f"__{code}__" for code in ("eng", "kor", "fin", "cmn_Hant")]
    tokenizer = build(
        {piece: n for n, piece in enumerate(order)}, merges, src_lang="eng", tgt_lang="kor",
        additional_special_tokens=codes, model_max_length=512,
    )  # fmt: skip
    torch.manual_seed(8)
    configure: Any = SeamlessM4TConfig
    config = configure(
        vocab_size=len(tokenizer), hidden_size=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=512,
        initializer_range=0.3, tie_word_embeddings=False, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        decoder_start_token_id=3,
    )  # fmt: skip
    model: Any = SeamlessM4TForTextToText(config)
    model.lm_head.weight.data[0] = 0.0  # as above
    tokenizer.save_pretrained(out)
    return _save_seq2seq(model, out)


def make_marian(out: Path, source: str, target: str, *, tags: Sequence[str] = (), seed: int = 6) -> Path:
    """Build a Marian model of one pair with OPUS-MT's files: a vocabulary for both languages, with the padding last.

    `tags`: of several target languages, e.g. ">>fin<<"."""
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    out.mkdir(parents=True)
    pieces: list[str] = []
    for name, lang in (("source.spm", source), ("target.spm", target)):
        pieces += _sentencepiece(out / name, [lang], 160, model_type="unigram", hard_vocab_limit=False)
    vocab = list(dict.fromkeys(["</s>", "<unk>", *tags, *(p for p in pieces if p != "<s>"), "<pad>"]))
    _write(out / "vocab.json", {piece: n for n, piece in enumerate(vocab)})
    names = {"source_lang": source, "target_lang": target, "tokenizer_class": "MarianTokenizer"}
    _write(out / "tokenizer_config.json", {**names, "model_max_length": 512})
    pad = len(vocab) - 1
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=len(vocab), d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=512,
        scale_embedding=True, activation_function="swish", init_std=0.3,
        decoder_start_token_id=pad, pad_token_id=pad, eos_token_id=0,
    )  # fmt: skip
    model: Any = MarianMTModel(config)
    model.final_logits_bias.normal_()
    for layer in model.model.decoder.layers:  # or it repeats its last token, because its embeddings are tied
        layer.encoder_attn.q_proj.weight.data *= 10
        layer.encoder_attn.out_proj.weight.data *= 4
        layer.fc2.weight.data *= 4
    model.generation_config = GenerationConfig(
        bad_words_ids=[[pad]], decoder_start_token_id=pad, pad_token_id=pad, eos_token_id=0
    )
    return _save_seq2seq(model, out)


def make_mt5(out: Path) -> Path:
    """Build an mT5, the architecture of MetricX; its logits are spread around the middle of 0 to 25."""
    from transformers import MT5Config, MT5ForConditionalGeneration, T5Tokenizer

    pieces, _ = _byte_pairs(400)
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(piece, -10 - n / 1000) for piece, n in pieces.items() if piece not in SPECIAL]
    tokenizer: Any = T5Tokenizer(vocab=vocab, extra_ids=0)
    torch.manual_seed(6)
    configure: Any = MT5Config  # not all of its settings are typed
    config = configure(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, tie_word_embeddings=False,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, initializer_factor=1.0,
    )  # fmt: skip
    model: Any = MT5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def make_llama(out: Path, *, context: int = 8192) -> Path:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1019, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special[0], eos_token=special[4], pad_token=special[1],
        model_max_length=context, chat_template=CHAT_TEMPLATE,
    )  # fmt: skip
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=(len(fast) + 63) // 64 * 64, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=context,
        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id,
        tie_word_embeddings=False, initializer_range=0.1, dtype="float32",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=fast.bos_token_id, eos_token_id=[fast.eos_token_id, fast.pad_token_id],
        pad_token_id=fast.pad_token_id,
    )  # fmt: skip
    model.save_pretrained(out)
    fast.save_pretrained(out)
    return out
