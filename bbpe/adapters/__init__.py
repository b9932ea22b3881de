"""The call shapes that people already type, over bbpe's encoder: tiktoken's and transformers'.

Each adapter stands in a module of its own and is thin: it translates names, defaults and exceptions, and leaves the
encoding to :class:`bbpe.Tokenizer`. A program written for the other library runs with the adapter in its place and gets
the same ids; what an adapter does not offer is not there, instead of being there and different.

Where to read next: ``tiktoken_encoding.py`` (an object like ``tiktoken.Encoding``), ``fast_tokenizer.py`` (an object
like transformers' ``PreTrainedTokenizerFast``), and ``docs/drop_in.md``.
"""
