"""Byte-level BPE that llama.cpp reproduces exactly. Special tokens stay out of it, so text can never turn into one."""

from collections.abc import Iterable, Sequence

from corpus.chat_form import SPECIALS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# The pre-tokeniser of Llama 3; llama.cpp applies the same one for `tokenizer.ggml.pre = "llama-bpe"`.
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Used only while merges are learned. One token per CJK character and digit, and no space glued to a capitalised
# word, so that a name has the same tokens wherever it stands and can be copied.
_LEARNING_SPLIT = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー々]|\p{N}| ?\p{Ll}+|\p{Lu}\p{Ll}*|"
    r" ?[^\s\p{L}\p{N}]+|\s+"
)


def learn(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of `vocabulary` tokens, specials included, learned from texts."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = _split(_LEARNING_SPLIT)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - len(SPECIALS), show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return _finished(tokenizer)


def restore(tokens: Sequence[str], merges: Sequence[str]) -> Tokenizer:
    """The tokenizer in a GGUF file, given its text tokens and merges."""
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return _finished(Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=True)))


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of the special tokens: the last ones of the vocabulary."""
    return {name: tokenizer.get_vocab_size() + number for number, name in enumerate(SPECIALS)}


def _finished(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.pre_tokenizer = _split(_LLAMA3_SPLIT)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _split(regex: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
