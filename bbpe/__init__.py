"""bbpe: train, use, compare and extend byte-level BPE vocabularies, with Chinese and English as equals."""

from bbpe.patterns import Pattern, get_pattern
from bbpe.tokenizer import Decoder, Tokenizer
from bbpe.vocabulary import SpecialToken, Template, Vocabulary
