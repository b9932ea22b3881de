"""The benchmark harness: `measure` takes one number, `sweep` takes many in turn, `render` writes the tables.

Not part of the installed package, and nothing in `bbpe` imports it. Start at `benchmarks/README.md`.
"""
