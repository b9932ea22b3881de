"""The ids of a corpus to files, and from files back to text, in bounded memory and on all cores.

What it does: reads documents (``corpus.py``), hands them to the tokenizer in batches, and writes the ids in the order
of the documents, so that the output is the same, byte for byte, with any number of threads. A document larger than a
batch is encoded in parts, cut only where that is proven to change nothing (``cutting.py``); where no such place is
known (a pattern that runs on ``regex``) the document is held in memory whole. The ids never are.

What it does not: encode (``tokenizer.py``), print, or know a vocabulary's file formats (``formats/``).

The four formats of ids:

``ids``   one document a line, ids separated by a space; an empty line is an empty document
``json``  one document a line, a JSON array of ids
``npy``   one NumPy array of uint16 or uint32 with the ids of all documents, one after another
``bin``   the same numbers without a header, little-endian

Beside an ``npy`` or ``bin`` file stands its index, ``<file>.index.npy``: int64 of shape (documents + 1,), so that
document i is ``ids[index[i]:index[i + 1]]``.

A file (``single_file.py``) or, of a large corpus, a folder of such files in *shards* (``shards.py``) takes its name when
it is whole; after a kill the same call goes on with what is finished of it (``unfinished.py``).

Where to read next: :func:`encode_corpus` in ``encoding.py``, :func:`decode_ids` in ``decoding.py``.
"""

from bbpe.bulk.decoding import DecodedIds, DecodeErrors, decode_ids
from bbpe.bulk.encoding import EncodedCorpus, encode_corpus
from bbpe.bulk.id_files import IdFormat, IdType, id_format, index_path
from bbpe.bulk.unfinished import unfinished_folder

__all__ = [
    "DecodeErrors",
    "DecodedIds",
    "EncodedCorpus",
    "IdFormat",
    "IdType",
    "decode_ids",
    "encode_corpus",
    "id_format",
    "index_path",
    "unfinished_folder",
]
