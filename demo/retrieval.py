"""The demo's encoder and cross-encoder: small XLM-R models that learn which passage a question is about."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from tokenizers import normalizers, processors
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import (
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from demo.corpus import RELATIONS, SECTIONS, VARIANTS, question_text, section_text, stated, statement
from demo.facts import LANGS, Name
from demo.invented import Territory, invent, pools, splice
from demo.pieces import chinese_sounds, for_transformers, spelled
from demo.training import fit, halves
from qttrag.types import Lang, Passage

WIDTH, LAYERS, HEADS, INNER = 192, 3, 6, 512
MAX_TOKENS = 256
_COMMON = 500  # occurrences of a word that gets its own token

ENCODER_STEPS, ENCODER_RATE, ENCODER_WARM_UP = 6000, 1e-3, 200
TERRITORIES, _SECTIONS = 24, 2  # in a batch, and of each
_NAMES, _HALVES = 160, 20  # names in a batch, and names whose halves they join
_NAMES_SHARE = 0.35  # of the batches
_LENGTHS = 3  # parts of a batch, by length
_SPLICED = 0.5  # share of names that join halves of two names, so that the model learns spelling
RERANKER_STEPS, RERANKER_RATE, RERANKER_WARM_UP = 8000, 7e-4, 100
CANDIDATES = 8  # passages for a question, the right one first
_SHORT = 0.7  # of the steps: passages of one sentence, so that matching is learned from many
_QUESTIONS, _QUESTIONS_SHORT = 6, 16  # in a batch


class Asked(NamedTuple):
    """A question in one language and the passage, in the same or another one, that answers it."""

    question: str
    passage: str


def passage_of(choose: random.Random, owner: Territory, section: str, lang: str) -> str:
    variants = [choose.randrange(VARIANTS) for _ in SECTIONS[section]]
    return _content(owner, lang, section_text(section, variants, lang, owner.name, owner.facts))


def _content(owner: Territory, lang: str, text: str) -> str:
    return Passage("", text, Lang(lang), title=owner.name[lang]).content


def question_about(choose: random.Random, owner: Territory, section: str, lang: str) -> str:
    relations = [r for r, where in RELATIONS.items() if where == section and r in owner.facts]
    return question_text(choose.choice(relations), choose.randrange(VARIANTS), lang, owner.name)


def languages(choose: random.Random) -> tuple[str, str]:
    """Return the languages of a question and of its passage: English passages for half of the foreign questions."""
    asked = choose.choice(LANGS)
    return asked, choose.choice([asked, "en", "en", choose.choice(LANGS)])


def make_tokenizer() -> Any:
    """Return a tokenizer that spells names, Chinese ones as they sound, with the special tokens of XLM-R's."""
    pieces = spelled(_texts(), common=_COMMON, lower=True, sounds=chinese_sounds())
    pieces.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return for_transformers(pieces, MAX_TOKENS, cls_token="<s>", sep_token="</s>")


def _texts() -> Iterator[str]:
    choose = random.Random(3)
    for _ in range(2000):
        owner = invent(choose, spliced=1.0)
        for lang in LANGS:
            for section in SECTIONS:
                if stated(section, owner.facts):
                    yield question_about(choose, owner, section, lang)
                    yield passage_of(choose, owner, section, lang)


def _config(pieces: int) -> Any:
    return XLMRobertaConfig(
        vocab_size=pieces,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
    )


def new_encoder() -> SentenceTransformer:
    """Return an untrained encoder with the architecture of BGE-M3: XLM-R, CLS pooling, unit vectors."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as base:
        XLMRobertaModel(_config(len(tokenizer)), add_pooling_layer=False).save_pretrained(base)
        tokenizer.save_pretrained(base)
        transformer = modules.Transformer(base, max_seq_length=MAX_TOKENS)
    return SentenceTransformer(
        modules=[transformer, modules.Pooling(WIDTH, pooling_mode="cls"), modules.Normalize()], device="cpu"
    )


def train_encoder(
    folder: Path, *, steps: int = ENCODER_STEPS, rate: float = ENCODER_RATE, start: Path | None = None
) -> None:
    """Train into `folder`, from the weights in `start` if it is given; a stopped run is resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = new_encoder()
    if start:
        _adopt(encoder, SentenceTransformer(str(start), device="cpu"))
    loss = MultipleNegativesRankingLoss(encoder, scale=30.0)
    reading, quick = str.maketrans(chinese_sounds()), _QuickReading(encoder)

    def loss_at(step: int) -> torch.Tensor:
        choose = random.Random(f"encoder {step}")
        pairs = _names(choose) if choose.random() < _NAMES_SHARE else _asked(choose)
        read = [[text.translate(reading) for text in side] for side in zip(*pairs, strict=True)]
        with halves(), quick:
            sides = [_encoded(encoder, side) for side in read]
        ranked: torch.Tensor = loss.compute_loss_from_embeddings(sides, torch.empty(0))
        return ranked

    fit(
        encoder,
        folder,
        loss_at,
        steps=steps,
        rate=rate,
        warm_up=ENCODER_WARM_UP,
        save=lambda: encoder.save(str(folder)),
    )


class _QuickReading:
    """While it is entered, an encoder's tokenizer leaves Chinese characters alone: a replacement of each takes a
    millisecond a text, which `str.translate` does not."""

    def __init__(self, encoder: SentenceTransformer) -> None:
        self._pieces = encoder.tokenizer.backend_tokenizer
        self._whole = self._pieces.normalizer

    def __enter__(self) -> None:
        self._pieces.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])

    def __exit__(self, *_: object) -> None:
        self._pieces.normalizer = self._whole


@torch.no_grad()
def _adopt(encoder: SentenceTransformer, earlier: SentenceTransformer) -> None:
    """Take over the weights of an earlier encoder; the embedding of a token is that of the same token there."""
    weights = earlier.state_dict()
    (table,) = [name for name in weights if name.endswith("word_embeddings.weight")]
    rows, old = encoder.state_dict()[table].clone(), earlier.tokenizer.get_vocab()
    for token, row in encoder.tokenizer.get_vocab().items():
        if token in old:
            rows[row] = weights[table][old[token]]
    encoder.load_state_dict(weights | {table: rows})


def _encoded(encoder: SentenceTransformer, texts: Sequence[str]) -> torch.Tensor:
    """Return the vectors of the texts, encoded with texts of similar length to reduce padding."""
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    size = -(-len(order) // _LENGTHS)
    groups = [[texts[n] for n in order[start : start + size]] for start in range(0, len(order), size)]
    vectors = torch.cat([encoder(encoder.preprocess(group))["sentence_embedding"] for group in groups])
    return vectors[torch.tensor(order).argsort()].float()


def _names(choose: random.Random) -> list[Asked]:
    """Return names in two languages, so that those of places never seen are matched by how they are spelled.

    All are put together from the halves of a few, and so each has near namesakes among the others."""
    kind = choose.choices(("territory", "city", "language", "currency"), (4, 3, 2, 1))[0]
    few = choose.sample(pools()[kind], _HALVES)
    distinct: dict[str, Name] = {}
    for _ in range(_NAMES):
        head, tail = choose.choices(few, k=2)
        name: Name = {lang: splice(head[lang], tail[lang]) for lang in LANGS}
        distinct[name["en"]] = name
    made = []
    for name in distinct.values():
        asked, written = choose.sample(LANGS, 2)
        made.append(Asked(name[asked], name[written]))
    return made


def _asked(choose: random.Random) -> list[Asked]:
    made = []
    owners: list[Territory] = []
    while len(owners) < TERRITORIES:
        owner = invent(choose, spliced=_SPLICED)
        if owner.name["en"] not in [each.name["en"] for each in owners]:
            owners.append(owner)
    for owner in owners:
        for section in choose.sample([s for s in SECTIONS if stated(s, owner.facts)], _SECTIONS):
            asked, written = languages(choose)
            made.append(
                Asked(question_about(choose, owner, section, asked), passage_of(choose, owner, section, written))
            )
    return made


def train_reranker(folder: Path, *, start: Path, steps: int = RERANKER_STEPS, rate: float = RERANKER_RATE) -> None:
    """Train into `folder`, from the trained encoder in `start`; a stopped run is resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    torch.manual_seed(0)
    model: Any = XLMRobertaForSequenceClassification.from_pretrained(start, num_labels=1)

    def loss_at(step: int) -> torch.Tensor:
        choose = random.Random(f"reranker {step}")
        short = step < _SHORT * steps
        asked = [_candidates(choose, short=short) for _ in range(_QUESTIONS_SHORT if short else _QUESTIONS)]
        questions = [question for question, candidates in asked for _ in candidates]
        passages = [passage for _, candidates in asked for passage in candidates]
        read = tokenizer(questions, passages, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        scores = model(input_ids=read.input_ids, attention_mask=read.attention_mask).logits.view(-1, CANDIDATES)
        wanted = torch.zeros_like(scores)
        wanted[:, 0] = 1.0
        return binary_cross_entropy_with_logits(scores, wanted) - torch.log_softmax(scores, dim=1)[:, 0].mean()

    def save() -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    fit(model, folder, loss_at, steps=steps, rate=rate, warm_up=RERANKER_WARM_UP, save=save)


def _candidates(choose: random.Random, *, short: bool) -> tuple[str, Sequence[str]]:
    """Return a question and passages: the right one, then near misses (the same territory, the same subject).

    `short`: passages of one sentence."""

    def written_of(territory: Territory, section: str, wanted: str = "") -> str:
        lang = choose.choice([asked, "en"])  # of right ones as often as of wrong ones, so that it tells nothing
        if not short:
            return passage_of(choose, territory, section, lang)
        fields = stated(section, territory.facts)
        field = wanted if wanted in fields else choose.choice(fields)
        text = statement(field, choose.randrange(VARIANTS), lang, territory.name, territory.facts)
        return _content(territory, lang, text)

    asked = choose.choice(LANGS)
    owner = invent(choose, spliced=_SPLICED)
    sections = [s for s in SECTIONS if stated(s, owner.facts)]
    relation = choose.choice([r for r, where in RELATIONS.items() if where in sections and r in owner.facts])
    section, field = RELATIONS[relation], "main_language" if relation == "share" else relation
    others = [s for s in sections if s != section]
    candidates = [written_of(owner, section, field), written_of(owner, choose.choice(others))]
    while len(candidates) < CANDIDATES:
        other = invent(choose, spliced=_SPLICED)
        if choose.random() < 0.4:  # a name that begins like the right one's
            other = other._replace(name={each: splice(owner.name[each], other.name[each]) for each in LANGS})
        where = section if choose.random() < 0.8 else choose.choice(others)
        if stated(where, other.facts) and other.name["en"] != owner.name["en"]:
            candidates.append(written_of(other, where, field))
    return question_text(relation, choose.randrange(VARIANTS), asked, owner.name), candidates
