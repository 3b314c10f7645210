"""What the endpoints of characters take and give."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from chatbot.api.characters.manner import RepairFields, StyleFields, speech_fields, style_fields
from chatbot.api.schemas import TextModel
from chatbot.api.style.fields import SPEECH, SpeechFields
from chatbot.api.texts import text
from chatbot.core.characters.book import Kept
from chatbot.core.characters.cards.report import Note, Report
from chatbot.core.characters.casting import MODEL_PREFIX
from chatbot.core.characters.preview import Preview
from chatbot.domain.characters import (
    MAX_DISPLAY_NAME_CHARACTERS,
    MAX_GREETINGS,
    MAX_LORE_ENTRIES,
    MAX_LORE_KEY_CHARACTERS,
    MAX_LORE_KEYS,
    MAX_TEXT_BYTES,
    Character,
    CharacterSampling,
    CharacterSummary,
    Lorebook,
    LoreEntry,
)
from chatbot.domain.chat import Dialogue, Message

MAX_HISTORY = 40
_Text = Annotated[str, Field(max_length=MAX_TEXT_BYTES)]
_Key = Annotated[str, Field(min_length=1, max_length=MAX_LORE_KEY_CHARACTERS)]
_Keys = Annotated[list[_Key], Field(max_length=MAX_LORE_KEYS)]
_PARTS: Final = ("greetings", "sampling", "lorebook", "style", "repair", "speech")
"""Fields of a character that are no text."""

_Number = Annotated[float, Field(ge=-1e9, le=1e9)]


class LoreEntryFields(TextModel):
    """Something that the character knows where it is talked about."""

    content: _Text = Field(min_length=1, description="What the model is told.", examples=["서점 이름은 달빛책방이다."])
    keys: _Keys = Field([], description="One of these must occur in the newest messages.", examples=[["서점"]])
    secondary_keys: _Keys = Field([], description="With `is_selective`: one of these, too.")
    excluded_keys: _Keys = Field([], description="None of these may occur.")
    is_enabled: bool = True
    is_constant: bool = Field(False, description="Told always.")
    is_selective: bool = False
    is_pattern: bool = Field(False, description="Keys are RE2 patterns.")
    is_case_sensitive: bool = False
    order: _Number = Field(0.0, description="Lower comes first.")
    priority: _Number = Field(0.0, description="Where the budget is short, lower goes first.")
    is_after: bool = Field(False, description="Behind the others.")
    scan_depth: Annotated[int, Field(ge=0, le=100)] | None = None
    least_messages: int = Field(0, ge=0, le=1_000_000, description="Only after so many messages of the character.")

    def entry(self) -> LoreEntry:
        """It as the core has it."""
        said = self.model_dump()
        said |= {name: tuple(said[name]) for name in ("keys", "secondary_keys", "excluded_keys")}
        return LoreEntry(**said)


class LorebookFields(TextModel):
    """What a character knows."""

    entries: list[LoreEntryFields] = Field([], max_length=MAX_LORE_ENTRIES)
    scan_depth: int = Field(4, ge=0, le=100, description="Messages that keys are looked for in.")
    token_budget: int = Field(512, ge=0, le=4_096, description="Of all entries that are told at once.")


class SamplingFields(TextModel):
    """How answers are sampled where the request does not say it."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0.01, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=1, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None


class CharacterFields(TextModel):
    """A character. Texts may hold macros, such as `{{char}}`, `{{user}}` and `{{random:a,b}}`."""

    display_name: str = Field(
        min_length=1, max_length=MAX_DISPLAY_NAME_CHARACTERS, description="What it is called.", examples=["나비"]
    )
    description: _Text = Field("", examples=["{{char}}는 서점에서 사는 말하는 고양이다."])
    personality: _Text = Field("", examples=["새침하지만 다정하다"])
    scenario: _Text = ""
    greetings: list[_Text] = Field([], max_length=MAX_GREETINGS, examples=[["어서 와라냥."]])
    examples: _Text = Field("", description="Dialogue that shows the way of speaking; `<START>` between pieces.")
    system: _Text = Field("", description="In the place of the service's system prompt, which is `{{original}}`.")
    post_history: _Text = Field("", description="Told behind everything else.")
    sampling: SamplingFields = SamplingFields()
    lorebook: LorebookFields = LorebookFields()
    style: StyleFields = StyleFields()
    repair: RepairFields = RepairFields()
    speech: SpeechFields | None = SPEECH

    def character(self) -> Character:
        """It as the core has it."""
        book = self.lorebook
        return Character(
            **self.model_dump(exclude=set(_PARTS)),
            greetings=tuple(filter(None, self.greetings)),
            sampling=CharacterSampling(**self.sampling.model_dump()),
            lorebook=Lorebook(tuple(one.entry() for one in book.entries), book.scan_depth, book.token_budget),
            style=self.style.style(),
            repair=self.repair.repair(),
            speech=self.speech.speech() if self.speech is not None else None,
        )


class PreviewMessage(TextModel):
    """One message of a conversation that is tried."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=8_000)


class PreviewRequest(TextModel):
    """A conversation to try a character in."""

    input_data: str = Field("", max_length=500, description="What the user says.", examples=["서점이 어디야?"])
    history: list[PreviewMessage] = Field([], max_length=MAX_HISTORY)
    greeting_index: int = Field(0, ge=0, lt=MAX_GREETINGS)
    user_name: str = Field("", max_length=100)

    def dialogue(self) -> Dialogue:
        """The conversation."""
        history = tuple(Message(one.role, one.content) for one in self.history)
        return Dialogue("", (), history, Message("user", self.input_data), may_shorten=True)


class CharacterLine(BaseModel):
    """One character of a page. `model` is its name for `/v1/chat/completions`."""

    name: str
    model: str
    display_name: str
    revision: str
    updated_at: datetime
    read_only: bool = Field(description="Whoever operates the service keeps it; it is changed there alone.")


class CharacterPage(BaseModel):
    """A page. `next_after` is the `after` of the next page, null on the last."""

    characters: list[CharacterLine]
    next_after: str | None


class CharacterView(CharacterLine):
    """A character as it is played: what its card says, read."""

    character: CharacterFields


class NoteView(BaseModel):
    """Something that the author of a card should know."""

    code: str
    place: str
    text: str


class ReportView(BaseModel):
    """What became of a card."""

    version: str
    container: str
    used: list[str]
    kept: list[str]
    dropped: list[NoteView]
    warnings: list[NoteView]
    fixed_tokens: int
    fixed_tokens_exact: bool


class ImportView(CharacterLine):
    """A card that was taken."""

    report: ReportView


class PartView(BaseModel):
    """One part of a prompt."""

    part: str
    text: str
    tokens: int


class PreviewView(BaseModel):
    """The prompt that a character makes, in the order in which the model reads it."""

    name: str
    revision: str
    parts: list[PartView]
    lore: list[int]
    trimmed_lore: list[int]
    trimmed: list[str]
    prompt_tokens: int
    context_tokens: int
    exact: bool


def line_fields(summary: CharacterSummary) -> dict[str, Any]:
    """What every view of a character begins with."""
    return {
        "name": summary.name,
        "model": MODEL_PREFIX + summary.name,
        "display_name": summary.display_name,
        "revision": summary.revision,
        "updated_at": summary.updated_at,
        "read_only": summary.is_read_only,
    }


def summary_of(kept: Kept) -> CharacterSummary:
    """A character as a line of a listing."""
    said = kept.kept
    return CharacterSummary(
        said.name, kept.character.display_name, said.revision, said.updated_at, is_read_only=said.is_read_only
    )


def character_view(kept: Kept) -> CharacterView:
    """A character with all that it says."""
    said = kept.character
    fields = CharacterFields.model_construct(
        **{name: getattr(said, name) for name in CharacterFields.model_fields if name not in _PARTS},
        greetings=list(said.greetings),
        sampling=SamplingFields.model_construct(**said.sampling.given()),
        lorebook=_lorebook_fields(said.lorebook),
        style=style_fields(said.style),
        repair=RepairFields(mode=said.repair.mode, hold_back_chars=said.repair.hold_back_chars),
        speech=speech_fields(said.speech),
    )
    return CharacterView(**line_fields(summary_of(kept)), character=fields)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _lorebook_fields(book: Lorebook) -> LorebookFields:
    entries = [
        LoreEntryFields.model_construct(**{name: _listed(getattr(one, name)) for name in LoreEntryFields.model_fields})
        for one in book.entries
    ]
    return LorebookFields.model_construct(entries=entries, scan_depth=book.scan_depth, token_budget=book.token_budget)


def report_view(report: Report, fixed: tuple[int, bool], language: str) -> ReportView:
    """A report with texts for its reader."""
    return ReportView(
        version=report.version,
        container=report.container,
        used=report.used,
        kept=report.kept,
        dropped=_notes(report.dropped, language),
        warnings=_notes(report.warnings, language),
        fixed_tokens=fixed[0],
        fixed_tokens_exact=fixed[1],
    )


def preview_view(name: str, revision: str, preview: Preview) -> PreviewView:
    """A preview as it is told."""
    return PreviewView(
        name=name,
        revision=revision,
        parts=[PartView(part=one.name, text=one.text, tokens=one.tokens) for one in preview.parts],
        lore=list(preview.lore),
        trimmed_lore=list(preview.trimmed_lore),
        trimmed=list(preview.trimmed),
        prompt_tokens=preview.prompt_tokens,
        context_tokens=preview.context_tokens,
        exact=preview.is_exact,
    )


def _notes(notes: Sequence[Note], language: str) -> list[NoteView]:
    return [NoteView(code=one.code, place=one.place, text=text(f"note.{one.code}", language)) for one in notes]
