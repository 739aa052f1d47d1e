"""QTT-RAG (arXiv:2510.23070): keep all translations, score them, and show the scores to the generator."""

from typing import Literal

from qttrag import trace
from qttrag.pipeline import tag_controls
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Style, TagForm
from qttrag.types import Answer, Query


async def qtt_rag(
    query: Query,
    stages: Stages,
    *,
    tags: bool | tag_controls.Control = True,
    tag_place: Literal["before", "after"] = "before",
    tag_form: TagForm = "of_five",
) -> Answer:
    """Translate the foreign passages, score the translations, read originals and scored translations.

    `tags=false` is the ablation: the same prompt and translations without scores. "shuffled", "inverted", "constant"
    and "random" show other scores than the measured ones (`qttrag.pipeline.tag_controls`): a generator that answers as
    well with them does not use the scores; "oracle" shows scores by reference translations.
    `tag_place`: where the scores of a passage stand; the paper's: "after".
    `tag_form`: "of_five" ("fluency 4.0/5") or the paper's "bare" ("fluency: 4.0")."""
    passages = await stages.search(query)
    style: Style = "tagged" if tag_place == "before" else "tagged_after"
    if not tags:
        passages = await stages.translate(passages, query.lang)
        style = "tagged_without_scores" if tag_place == "before" else "tagged_after_without_scores"
        return await stages.answer(query, passages, style=style)
    passages = await stages.translate_and_tag(passages, query.lang)
    if not isinstance(tags, bool):
        with stages.trace.stage("control"):
            if tags == "oracle":
                passages = tag_controls.by_reference(passages, query.lang, stages.required_oracle())
            else:
                passages = tag_controls.apply(tags, passages, query.text)
            trace.note(f"the scores of translations are not the measured ones but {tags}")
    return await stages.answer(query, passages, style=style, tag_form=tag_form)
