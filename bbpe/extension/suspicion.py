"""Added tokens that a person should look at before a model is trained on them.

Web text holds spam, and spam repeats itself: the longest Chinese tokens of well-known vocabularies are advertisements
(in GPT-4o's, more than 23 % of the Chinese tokens of three characters and more; arXiv:2508.17771). The signs here are
simple ones and prove nothing: the list is to be read, and what does not belong goes into the deny list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bbpe.extension.record import AddedToken, CorpusRow, Suspicion
from bbpe.unicode import script_set, union

LONG_UNSPACED = 6
"""Characters of scripts that write no spaces, from which a token is long: words of more are rare."""
LONG = 24
"""Characters of any text from which a token is long."""
FEW_DOCUMENTS = 20
"""In a corpus of fewer documents it says nothing that a token occurs in one only."""
_TELLTALE = re.compile(
    "彩票|时时彩|博彩|赌博|赌场|娱乐城|百家乐|真人荷官|棋牌|开奖|六合彩|老虎机|外围|投注|返水|色情|成人|av在线|裸聊|约炮|"
    "黄色视频|免费视频|高清视频|一本道|加微信|微信号|qq群|代开发票|办证|贷款|https?:|www\\.|\\.com|\\.cn|casino|porn|viagra",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}", re.DOTALL)


def suspicious(added: Sequence[AddedToken], rows: Sequence[CorpusRow]) -> Iterator[Suspicion]:
    """The suspicious ones among the added tokens, each with its reasons."""
    unspaced = union(map(script_set, ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")))
    documents = sum(row.documents for row in rows if row.role == "training")
    for each in added:
        reasons = []
        text = each.token
        if text is not None:
            inside = sum(ord(character) in unspaced for character in text)
            if inside >= LONG_UNSPACED:
                reasons.append(f"long: {inside} characters of a script without spaces")
            elif len(text) >= LONG:
                reasons.append(f"long: {len(text)} characters")
            if found := _TELLTALE.search(text):
                reasons.append(f"holds {found.group()!r}, as advertisements do")
            if _REPEATED.fullmatch(text) and len(text) > 3 and not text.isspace():
                reasons.append("one thing repeated")
        if each.documents == 1 and (each.occurrences or 0) > 1 and documents >= FEW_DOCUMENTS:
            reasons.append(f"all its {each.occurrences:,} occurrences are in one document of {documents:,}")
        if reasons:
            yield Suspicion(each.id, text if text is not None else str(each.hex), tuple(reasons))
