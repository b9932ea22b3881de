"""Model folders rewritten: every tensor against the safetensors package, and models that transformers loads and runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bbpe import extend, load, prune, save, train
from bbpe.checkpoint import prune_checkpoint, read_checkpoint, rewrite_checkpoint, rewriting
from bbpe.checkpoint.model_folder import CONFIG, INDEX, SINGLE
from bbpe.checkpoint.safetensors_file import read_header
from bbpe.corpus import Progress
from bbpe.embeddings import METHODS, EmbeddingPlan
from bbpe.errors import BbpeError, FormatError, OutputError, VocabularyError
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

ROWS, WIDTH = 40, 6
# Base ids below 36; 36 to 39 are padding of the matrices; 33 was a reserved id.
PLAN = EmbeddingPlan.of({36: [3, 5], 37: [1, 2, 4], 38: [2], 41: [0, 9], 33: [7, 8]}, old_rows=36, new_rows=45)
UNTIED = {"model.embed_tokens.weight": "input", "lm_head.weight": "output"}
TIED = {"transformer.wte.weight": "input"}
LAYERS = {"model.layers.0.mlp.up_proj.weight": (10, WIDTH), "model.norm.weight": (WIDTH,)}


def tensors_of(names: Mapping[str, str], dtype: Any = np.float32) -> dict[str, Any]:
    generator = np.random.default_rng(len(names))
    shapes = {name: (ROWS,) if role == "output bias" else (ROWS, WIDTH) for name, role in names.items()} | LAYERS
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def write_model(
    folder: Path, tensors: dict[str, Any], *, shards: int = 1, config: dict[str, Any] | None = None, tied: bool = False
) -> Path:
    """A model folder, written by the safetensors package."""
    package = pytest.importorskip("safetensors.numpy")
    folder.mkdir(parents=True)
    if config is None:
        config = {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": tied, "vocab_size": ROWS}
        config |= {"bos_token_id": 0, "eos_token_id": [1, 33], "rms_norm_eps": 1e-06, "limits": [0.0, float("inf")]}
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 33]}', "utf-8")
    (folder / "README.md").write_text("# a model\n", "utf-8")
    if shards == 1:
        package.save_file(tensors, folder / SINGLE, metadata={"format": "pt"})
        return folder
    names = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
    weight_map = {tensor: names[place % shards] for place, tensor in enumerate(tensors)}
    for name in names:
        held = {tensor: tensors[tensor] for tensor, home in weight_map.items() if home == name}
        package.save_file(held, folder / name, metadata={"format": "pt"})
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size, "total_parameters": 7}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index), "utf-8")
    return folder


def read_tensors(folder: Path) -> dict[str, Any]:
    """All tensors of a folder, read by the safetensors package."""
    package = pytest.importorskip("safetensors.numpy")
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        held = package.load_file(path)
        assert not found.keys() & held.keys()
        found |= held
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is written ---


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize(
    ("names", "tied"),
    [
        (UNTIED, False),
        (TIED, True),
        ({"gpt_neox.embed_in.weight": "input", "embed_out.weight": "output"}, False),
        ({"transformer.wte.weight": "input", "lm_head.weight": "output", "lm_head.bias": "output bias"}, False),
        ({"model.language_model.embed_tokens.weight": "input"}, True),
        ({"model.embed_tokens.weight": "input", "lm_head.weight": "output"}, True),  # tied, and saved twice
        ({"model.tok_embeddings.weight": "input", "output.weight": "output"}, False),
    ],
    ids=["llama", "gpt2", "neox", "gpt-j", "multimodal", "tied twice", "internlm2"],
)
def test_matrices_get_the_plans_rows_and_all_else_stays(
    tmp_path: Path, names: dict[str, str], tied: bool, shards: int
) -> None:
    tensors = tensors_of(names)
    model = write_model(tmp_path / "model", tensors, shards=shards, tied=tied)
    before = contents(model)
    record = rewrite_checkpoint(model, tmp_path / "new", PLAN, method="weighted-last")
    assert contents(model) == before
    found = read_tensors(tmp_path / "new")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        expected = PLAN.initialise(tensor, "weighted-last") if name in names else tensor
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    assert {(matrix.name, matrix.role) for matrix in record.matrices} == set(names.items())
    assert (record.rows, record.new_rows, record.tied) == (ROWS, 45, tied)
    assert record.copied_tensors == len(LAYERS)
    assert record.bytes == sum(tensor.nbytes for tensor in found.values())
    config = json.loads((model / CONFIG).read_text("utf-8"))
    assert json.loads((tmp_path / "new" / CONFIG).read_text("utf-8")) == {**config, "vocab_size": 45}
    for name in ("generation_config.json", "README.md"):
        assert (tmp_path / "new" / name).read_bytes() == before[name]
    assert sorted(record.files) == sorted(contents(tmp_path / "new")) == sorted(before)
    for path in (tmp_path / "new").glob("*.safetensors"):
        assert read_header(path).metadata == {"format": "pt"}
    if shards > 1:
        index = json.loads((tmp_path / "new" / INDEX).read_text("utf-8"))
        assert index["weight_map"] == json.loads(before[INDEX])["weight_map"]
        grown = sum(5 * (1 if role == "output bias" else WIDTH) for role in names.values())
        assert index["metadata"] == {"total_size": record.bytes, "total_parameters": 7 + grown}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_copies_of_one_matrix_stay_copies(tmp_path: Path) -> None:
    """A tied model that was saved with both: also the noise has to be the same."""
    one = tensors_of(UNTIED)["lm_head.weight"]
    tensors = tensors_of(UNTIED) | {"lm_head.weight": one, "model.embed_tokens.weight": one}
    model = write_model(tmp_path / "model", tensors, tied=True)
    rewrite_checkpoint(model, tmp_path / "new", PLAN, method="mean+noise")
    found = read_tensors(tmp_path / "new")
    np.testing.assert_array_equal(found["lm_head.weight"], found["model.embed_tokens.weight"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_dtype_is_kept(tmp_path: Path, dtype: str, method: str) -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    tensors = tensors_of(UNTIED, kind)
    model = write_model(tmp_path / "model", tensors)
    rewrite_checkpoint(model, tmp_path / "new", PLAN, method=method, seed=5)
    found = read_tensors(tmp_path / "new")
    for number, name in enumerate(UNTIED):
        expected = PLAN.initialise(tensors[name], method, seed=(5, number))
        assert found[name].dtype == expected.dtype == kind
        assert found[name].tobytes() == expected.tobytes()


def test_input_and_output_may_start_differently(tmp_path: Path) -> None:
    tensors = tensors_of(UNTIED)
    model = write_model(tmp_path / "model", tensors)
    record = rewrite_checkpoint(model, tmp_path / "new", PLAN, method="weighted-last", output_method="first")
    found = read_tensors(tmp_path / "new")
    np.testing.assert_array_equal(found["lm_head.weight"][37], tensors["lm_head.weight"][1])
    assert {matrix.role: matrix.method for matrix in record.matrices} == {"input": "weighted-last", "output": "first"}
    tied = write_model(tmp_path / "tied", tensors_of(TIED), tied=True)
    with pytest.raises(VocabularyError, match="share one matrix"):
        rewrite_checkpoint(tied, tmp_path / "other", PLAN, output_method="first")


def test_elements_of_any_width_stay_aligned_after_an_odd_number_of_rows(tmp_path: Path) -> None:
    """An odd number of 2-byte values before 4- and 8-byte ones; the shortest tensors and empty ones among them."""
    tensors = tensors_of({**UNTIED, "lm_head.bias": "output bias"}, np.float16)
    tensors |= {"a.scale": np.float32([1.5]), "z.scale": np.float64([2.5]), "empty": np.zeros((0, 3), np.float32)}
    tensors |= {"scalar": np.array(3, np.int64), "flag": np.array([True])}
    model = write_model(tmp_path / "model", tensors)
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    widths = {"F16": 2, "F32": 4, "F64": 8, "I64": 8, "BOOL": 1}
    for tensor in read_header(tmp_path / "new" / SINGLE).tensors:
        assert tensor.start % widths[tensor.dtype] == 0, tensor
    found = read_tensors(tmp_path / "new")
    for name in tensors.keys() - {*UNTIED, "lm_head.bias"}:
        np.testing.assert_array_equal(found[name], tensors[name])


def test_a_plan_that_fits_into_the_padding_changes_no_shape(tmp_path: Path) -> None:
    plan = EmbeddingPlan.of({36: [3, 5]}, old_rows=36)
    tensors = tensors_of(UNTIED)
    model = write_model(tmp_path / "model", tensors)
    record = rewrite_checkpoint(model, tmp_path / "new", plan)
    assert record.new_rows == ROWS
    for name, tensor in read_tensors(tmp_path / "new").items():
        changed = [row for row in range(len(tensor)) if tensor[row].tobytes() != tensors[name][row].tobytes()]
        assert changed == ([36] if name in UNTIED else [])
    assert json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))["vocab_size"] == ROWS


def test_an_empty_plan_copies_the_model(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED), shards=2)
    rewrite_checkpoint(model, tmp_path / "new", EmbeddingPlan.of({}, old_rows=36))
    for name, tensor in read_tensors(tmp_path / "new").items():
        np.testing.assert_array_equal(tensor, read_tensors(model)[name])


def test_rows_are_padded_on_demand_and_the_loss_of_a_multiple_is_said(tmp_path: Path) -> None:
    config = {"vocab_size": 64, "tie_word_embeddings": True}
    tensors = {"wte.weight": np.ones((64, 4), np.float32)}
    model = write_model(tmp_path / "model", tensors, config=config)
    plan = EmbeddingPlan.of({64: [1, 2]}, old_rows=64)
    record = rewrite_checkpoint(model, tmp_path / "new", plan)
    assert record.new_rows == 65
    assert any("pad_to_multiple=64" in note for note in record.notes)
    record = rewrite_checkpoint(model, tmp_path / "padded", plan, pad_to_multiple=64)
    assert record.new_rows == 128
    assert not any("pad_to_multiple" in note for note in record.notes)
    with pytest.raises(VocabularyError, match="a multiple of 0"):
        rewrite_checkpoint(model, tmp_path / "other", plan, pad_to_multiple=0)


def test_vocab_size_follows_in_a_nested_config_and_what_is_no_text_stays(tmp_path: Path) -> None:
    config = {
        "architectures": ["GemmaForConditionalGeneration"],
        "text_config": {"vocab_size": ROWS, "tie_word_embeddings": True},
        "vision_config": {"vocab_size": ROWS, "hidden_size": 3},
    }
    tensors = tensors_of({"model.language_model.embed_tokens.weight": "input"})
    model = write_model(tmp_path / "model", tensors, config=config)
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    new = json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))
    assert new == {**config, "text_config": {"vocab_size": 45, "tie_word_embeddings": True}}


def test_a_nested_config_without_vocab_size_gets_one(tmp_path: Path) -> None:
    """transformers leaves out what its class has by default, and the default is the old size."""
    config = {"vocab_size": ROWS, "text_config": {"hidden_size": WIDTH}, "tie_word_embeddings": True}
    model = write_model(tmp_path / "model", tensors_of(TIED), config=config)
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    new = json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))
    assert (new["vocab_size"], new["text_config"]) == (45, {"hidden_size": WIDTH, "vocab_size": 45})


def test_chatglm_says_its_size_twice(tmp_path: Path) -> None:
    config = {"padded_vocab_size": ROWS, "vocab_size": 36, "tie_word_embeddings": False}
    names = {"transformer.embedding.word_embeddings.weight": "input", "transformer.output_layer.weight": "output"}
    model = write_model(tmp_path / "model", tensors_of(names), config=config)
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    new = json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))
    assert new == {"padded_vocab_size": 45, "vocab_size": 45, "tie_word_embeddings": False}


def test_a_config_in_a_config_in_a_config(tmp_path: Path) -> None:
    """Qwen 2.5 Omni: the talker beside the thinker has a vocabulary of its own."""
    config = {"thinker_config": {"text_config": {"vocab_size": ROWS}}, "talker_config": {"vocab_size": 12}}
    names = {"thinker.model.embed_tokens.weight": "input", "thinker.lm_head.weight": "output"}
    tensors = tensors_of(names) | {"talker.model.embed_tokens.weight": np.zeros((12, WIDTH), np.float32)}
    model = write_model(tmp_path / "model", tensors, config=config)
    assert {matrix.name for matrix in rewrite_checkpoint(model, tmp_path / "new", PLAN).matrices} == set(names)
    config["thinker_config"]["text_config"]["vocab_size"] = 45
    assert json.loads((tmp_path / "new" / CONFIG).read_text("utf-8")) == config


@pytest.mark.parametrize("config", [{}, {"text_config": {"hidden_size": WIDTH}}])
def test_a_config_that_trusts_in_its_class_for_vocab_size_gets_one(tmp_path: Path, config: dict[str, Any]) -> None:
    """Gemma 3's says only what differs from its class's defaults: the matrix has to say how many rows there are."""
    model = write_model(
        tmp_path / "model", tensors_of({"model.language_model.embed_tokens.weight": "input"}), config=config
    )
    assert read_checkpoint(model).rows == ROWS
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    new = json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))
    assert new == ({"text_config": {"hidden_size": WIDTH, "vocab_size": 45}} if config else {"vocab_size": 45})
    model = write_model(tmp_path / "unknown", tensors_of({"emb.weight": "input"}), config=config)
    with pytest.raises(FormatError, match="has no vocab_size, and no one tensor is known as the input matrix"):
        read_checkpoint(model)
    assert read_checkpoint(model, input_names=["emb.weight"]).rows == ROWS


@pytest.mark.parametrize("tied_donor", [False, True])
def test_tokens_taken_over_get_the_rows_of_the_model_they_came_from(tmp_path: Path, tied_donor: bool) -> None:
    """The donor calls its matrices otherwise, has them in another dtype, and may tie them."""
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    names = (
        {"wte.weight": "input"} if tied_donor else {"gpt_neox.embed_in.weight": "input", "embed_out.weight": "output"}
    )
    given = {name: tensor * 2 for name, tensor in tensors_of(names, np.float16).items()}
    donor = write_model(tmp_path / "donor", given, tied=tied_donor)
    plan = EmbeddingPlan.of({40: [3, 5], 41: [4]}, old_rows=36, donor_ids={40: 29})
    rewrite_checkpoint(model, tmp_path / "new", plan, donor_dir=donor)
    for name, source in zip(UNTIED, [*names, *names], strict=False):
        rows = read_tensors(tmp_path / "new")[name]
        np.testing.assert_array_equal(rows[40], given[source][29].astype(np.float32))
        np.testing.assert_array_equal(rows[41], rows[4])
    with pytest.raises(VocabularyError, match="no tokens that were taken over"):
        rewrite_checkpoint(model, tmp_path / "other", PLAN, donor_dir=donor)


def test_weights_of_another_kind_are_left_out(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    other = (
        "pytorch_model.bin",
        "consolidated.00.pth",
        "model.Q4.gguf",
        "onnx/model.onnx",
        "adapter_model.safetensors",
    )
    for name in (*other, "notes/a.txt", "training_args.bin", ".gitattributes", ".git/config", "modeling_x.py"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"x")
    (model / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    record = rewrite_checkpoint(model, tmp_path / "new", PLAN)
    assert record.left_out.keys() == {*other, "elsewhere"}
    assert {"notes/a.txt", "training_args.bin", ".gitattributes", "modeling_x.py"} <= set(record.files)
    assert ".git/config" not in record.files


def test_files_that_are_symbolic_links_are_read_and_written_as_files(tmp_path: Path) -> None:
    """As in the cache of huggingface_hub."""
    model = write_model(tmp_path / "blobs", tensors_of(UNTIED))
    (tmp_path / "snapshot").mkdir()
    for path in model.iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    rewrite_checkpoint(tmp_path / "snapshot", tmp_path / "new", PLAN)
    assert not any(path.is_symlink() for path in (tmp_path / "new").iterdir())
    assert len(read_tensors(tmp_path / "new")["lm_head.weight"]) == 45


def test_progress_goes_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "REPORT_SECONDS", 0.0)
    seen: list[Progress] = []
    model = write_model(tmp_path / "model", tensors_of(UNTIED), shards=2)
    record = rewrite_checkpoint(model, tmp_path / "new", PLAN, progress=seen.append)
    assert [report.done for report in seen] == sorted(report.done for report in seen)
    assert {(report.phase, report.total, report.unit) for report in seen} == {("rewriting", record.bytes, "bytes")}
    assert seen[-1].done == record.bytes
    assert len(seen) > 6


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED), shards=2)
    rewrite_checkpoint(model, tmp_path / "one", PLAN, method="mean+noise", seed=3)
    rewrite_checkpoint(model, tmp_path / "two", PLAN, method="mean+noise", seed=3)
    rewrite_checkpoint(model, tmp_path / "three", PLAN, method="mean+noise", seed=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") != contents(tmp_path / "three")
    added = {name: tensor[36:39] for name, tensor in read_tensors(tmp_path / "one").items() if name in UNTIED}
    noise = [added[name] - PLAN.initialise(read_tensors(model)[name])[36:39] for name in UNTIED]
    assert np.abs(noise[0] - noise[1]).max() > 1e-4  # input and output draw for themselves


# --- which tensors ---


def test_tensors_that_are_not_known_by_name_are_listed_and_can_be_named(tmp_path: Path) -> None:
    tensors = tensors_of({"net.emb.weight": "input", "net.out.weight": "output"})
    model = write_model(tmp_path / "model", tensors)
    listed = r"no tensor is known as the input matrix of 40 rows; of its length are net.emb.weight \[40, 6\], net.out"
    with pytest.raises(FormatError, match=listed):
        read_checkpoint(model)
    with pytest.raises(FormatError, match=r"no tensor is known as the output matrix; of its length are net.out.weight"):
        read_checkpoint(model, input_names=["net.emb.weight"])
    record = rewrite_checkpoint(
        model, tmp_path / "new", PLAN, input_names=["net.emb.weight"], output_names=["net.out.weight"]
    )
    assert {matrix.name: matrix.new_shape for matrix in record.matrices} == {
        "net.emb.weight": (45, 6),
        "net.out.weight": (45, 6),
    }
    with pytest.raises(FormatError, match=r"there is no tensor 'net'; of its length are net.emb"):
        read_checkpoint(model, input_names=["net"])
    with pytest.raises(FormatError, match=r"model.norm.weight \[6\] is no input matrix of 40 rows"):
        read_checkpoint(model, input_names=["model.norm.weight"])


def test_several_candidates_are_no_choice_of_ours(tmp_path: Path) -> None:
    names = {"model.embed_tokens.weight": "input", "model.layers.61.embed_tokens.weight": "input"}
    model = write_model(tmp_path / "model", tensors_of(names), tied=True)
    with pytest.raises(FormatError, match=r"may each be the input matrix; name all that are \(input_names\)"):
        read_checkpoint(model)
    record = rewrite_checkpoint(model, tmp_path / "new", PLAN, input_names=list(names), method="mean+noise")
    assert len(record.matrices) == 2


def test_a_tensor_as_long_as_the_vocabulary_is_never_passed_over(tmp_path: Path) -> None:
    tensors = tensors_of(UNTIED) | {"final_logits_bias": np.zeros((1, ROWS), np.float32)}
    model = write_model(tmp_path / "model", tensors)
    with pytest.raises(FormatError, match=r"final_logits_bias \[1, 40\] may have to do with the vocabulary"):
        read_checkpoint(model)
    assert read_checkpoint(model, leave_names=["final_logits_bias"]).input_names == ("model.embed_tokens.weight",)
    inside = tensors_of(UNTIED) | {"model.layers.0.mlp.down_proj.weight": np.zeros((WIDTH, ROWS), np.float32)}
    model = write_model(tmp_path / "inside", inside)  # a width of a layer that happens to be the same
    assert len(rewrite_checkpoint(model, tmp_path / "new", PLAN).matrices) == 2


def test_another_vocabulary_in_the_same_model_is_left_alone(tmp_path: Path) -> None:
    tensors = tensors_of(UNTIED) | {"talker.embed_tokens.weight": np.zeros((12, WIDTH), np.float32)}
    model = write_model(tmp_path / "model", tensors)
    assert read_checkpoint(model).input_names == ("model.embed_tokens.weight",)


def test_a_model_without_an_output_matrix_needs_none(tmp_path: Path) -> None:
    config = {"architectures": ["LlamaModel"], "vocab_size": ROWS, "tie_word_embeddings": False}
    model = write_model(tmp_path / "model", tensors_of({"embed_tokens.weight": "input"}), config=config)
    assert rewrite_checkpoint(model, tmp_path / "new", PLAN).matrices[0].new_shape == (45, WIDTH)


def test_what_a_model_folder_says_of_its_ids(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED), shards=2)
    assert read_checkpoint(model).named_ids == 0
    (model / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"34": {}, "37": {}, "x": {}}}', "utf-8")
    found = read_checkpoint(model)
    assert (found.rows, found.width, found.tied, found.named_ids) == (ROWS, WIDTH, False, 38)


# --- the tokenizer ---


def tokenizers() -> tuple[Tokenizer, Tokenizer, EmbeddingPlan]:
    """A base with a special token, its extension by four merges, and the plan."""
    text = ["low lower lowest newer newest wider widest older oldest brown brownest " * 3]
    longer = train(text, num_merges=24, pattern="gpt2").vocabulary
    assert longer.merges is not None
    special = SpecialToken("<|end|>", 276)
    names = dict(longer.tokens)
    rename = {id: id if id < 276 else id + 1 for id in names}  # the special token keeps its place behind the base
    merges = [(rename[left], rename[right]) for left, right in longer.merges]
    base_tokens = {id: token for id, token in names.items() if id < 276}
    new_tokens = {rename[id]: token for id, token in names.items()}
    pattern = longer.pattern
    base = Tokenizer(Vocabulary(base_tokens, merges=merges[:20], special_tokens=[special], pattern=pattern))
    new = Tokenizer(Vocabulary(new_tokens, merges=merges, special_tokens=[special], pattern=pattern))
    parts = {id: base.encode(token.decode()) for id, token in new_tokens.items() if id not in base_tokens}
    return base, new, EmbeddingPlan.of(parts, old_rows=277)


def model_with_tokenizer(folder: Path, base: Tokenizer, **settings: Any) -> Path:
    config = {"vocab_size": 280, "tie_word_embeddings": True, "eos_token_id": 276}
    write_model(folder, {"wte.weight": np.eye(280, 8, dtype=np.float32)}, config=config)
    save(base, folder / "saved", format="directory")
    for path in (folder / "saved").iterdir():
        path.rename(folder / path.name)
    (folder / "saved").rmdir()
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config |= {
        "tokenizer_class": "GPT2Tokenizer",
        "eos_token": "<|end|>",
        "padding_side": "left",
        "add_bos_token": True,
    }
    config |= {"chat_template": "{{ messages }}", "auto_map": {"AutoTokenizer": ["x.Y", None]}, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    return folder


@pytest.mark.parametrize("as_folder", [False, True])
def test_the_tokenizers_files_are_the_new_ones_and_the_models_habits_stay(tmp_path: Path, as_folder: bool) -> None:
    base, new, plan = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base)
    if as_folder:
        save(new, tmp_path / "extended", format="directory")
    record = rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=tmp_path / "extended" if as_folder else new)
    text = "lowest newest widest<|end|>"
    found = load(tmp_path / "new")
    assert found.encode(text, allowed_special="all") == new.encode(text, allowed_special="all")
    assert max(found.encode(text)) > 276
    config = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text("utf-8"))
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (config["eos_token"], config["padding_side"]) == ("<|end|>", "left")
    assert config["chat_template"] == "{{ messages }}"
    assert "auto_map" not in config
    assert config["add_bos_token"] is True
    assert "merges.txt" not in record.files
    assert record.left_out["merges.txt"] == "replaced by the new tokenizer's files"
    assert "chat_template.jinja" in record.files
    rows = read_tensors(tmp_path / "new")["wte.weight"]
    for id in plan.new_ids:
        np.testing.assert_allclose(rows[id], np.eye(280, 8)[list(plan.parts(id))].mean(axis=0), atol=1e-6)


def test_a_token_before_each_text_that_gets_lost_is_said(tmp_path: Path) -> None:
    """transformers goes by the template in tokenizer.json alone: a base that has none does not know of add_bos_token."""
    base, new, plan = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base, bos_token="<|end|>")
    record = rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=new)
    assert any("says add_bos_token, but the new tokenizer.json puts no <|end|>" in note for note in record.notes)
    with_template = Tokenizer(new.vocabulary.replace(template=Template(before=(276,))))
    record = rewrite_checkpoint(model, tmp_path / "newer", plan, tokenizer=with_template)
    assert not any("add_bos_token" in note for note in record.notes)


def test_what_extend_returns_can_be_given_as_it_is(tmp_path: Path) -> None:
    base, _, _ = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base)
    made = extend(base, ["新词 新词 新词"], add=5)
    record = rewrite_checkpoint(model, tmp_path / "new", made.plan, tokenizer=made)
    assert load(tmp_path / "new").encode("新词") == made.tokenizer.encode("新词")
    assert "extension.json" in record.files
    found = json.loads((tmp_path / "new" / "extension.json").read_text("utf-8"))
    assert EmbeddingPlan.from_record(found["plan"]) == made.plan
    # and again on top of what was written, whose extension.json is not that of the new tokens
    again = extend(tmp_path / "new", ["旧字 旧字 旧字"], add=5)
    rewrite_checkpoint(tmp_path / "new", tmp_path / "newer", again.plan, tokenizer=again)
    assert max(load(tmp_path / "newer").encode("新词旧字")) == again.plan.new_ids[-1]
    found = json.loads((tmp_path / "newer" / "extension.json").read_text("utf-8"))
    assert EmbeddingPlan.from_record(found["plan"]) == again.plan


def test_without_a_tokenizer_the_old_files_stay_and_that_is_said(tmp_path: Path) -> None:
    base, _, plan = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base)
    record = rewrite_checkpoint(model, tmp_path / "new", plan)
    assert (tmp_path / "new" / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()
    assert any("do not know the new ids" in note for note in record.notes)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"pad_token": "<|pad|>"}, r"tokenizer_config.json: pad_token '<\|pad\|>'"),
        ({"additional_special_tokens": ["<|end|>", {"content": "<|x|>"}]}, r"additional_special_tokens '<\|x\|>'"),
        ({"added_tokens_decoder": {"277": {"content": "<|im|>"}}}, r"added_tokens_decoder 277 '<\|im\|>'"),
        ({"added_tokens_decoder": {"277": {"content": "<|end|>"}}}, r"added_tokens_decoder 277 '<\|end\|>'"),
    ],
)
def test_special_tokens_that_would_take_a_new_tokens_id_are_refused(
    tmp_path: Path, settings: dict[str, Any], place: str
) -> None:
    base, new, plan = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base, **settings)
    with pytest.raises(VocabularyError, match=place):
        rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=new)
    assert not (tmp_path / "new").exists()


def test_reserved_tokens_that_were_taken_over_leave_the_configs(tmp_path: Path) -> None:
    """``<|r0|>`` is a special token of the base; the extension has an ordinary token of that id."""
    base, new, _ = tokenizers()
    special = [SpecialToken("<|end|>", 276), SpecialToken("<|r0|>", 277)]
    base = Tokenizer(base.vocabulary.replace(special_tokens=special))
    plan = EmbeddingPlan.of(
        {id: base.encode(new.vocabulary.tokens[id].decode()) for id in (277, 278, 279, 280)}, old_rows=278
    )
    listed = {"276": {"content": "<|end|>"}, "277": {"content": "<|r0|>"}}
    names = ["<|end|>", {"content": "<|r0|>"}]
    model = model_with_tokenizer(tmp_path / "model", base, added_tokens_decoder=listed, additional_special_tokens=names)
    (model / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": ["<|r0|>"]}), "utf-8")
    rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=new)
    config = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text("utf-8"))
    assert config["added_tokens_decoder"] == {"276": {"content": "<|end|>"}}
    assert config["additional_special_tokens"] == ["<|end|>"]
    assert json.loads((tmp_path / "new" / "special_tokens_map.json").read_text("utf-8")) == {
        "additional_special_tokens": []
    }
    transformers = pytest.importorskip("transformers")
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert found("lowest newest<|end|>")["input_ids"] == new.encode("lowest newest<|end|>", allowed_special="all")
    assert len(found) == 281
    # As an end of text the reserved token is of use: its id cannot be another's.
    (model / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<|r0|>"}), "utf-8")
    with pytest.raises(VocabularyError, match=r"special_tokens_map.json: pad_token '<\|r0\|>'"):
        rewrite_checkpoint(model, tmp_path / "other", plan, tokenizer=new)


def test_a_tokenizer_of_another_plan_is_refused(tmp_path: Path) -> None:
    base, new, plan = tokenizers()
    model = model_with_tokenizer(tmp_path / "model", base)
    with pytest.raises(VocabularyError, match="the tokenizer has ids up to 276, the plan new ones up to 280"):
        rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=base)
    with pytest.raises(VocabularyError, match=r"the tokenizer has ids up to 280, .* will have 280 rows"):
        rewrite_checkpoint(model, tmp_path / "new", EmbeddingPlan.of({277: [1]}, old_rows=277), tokenizer=new)
    with pytest.raises(FormatError, match="no such file"):
        rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=tmp_path / "nothing")
    save(new, tmp_path / "single.tiktoken")
    with pytest.raises(FormatError, match="is no folder with a tokenizer's files"):
        rewrite_checkpoint(model, tmp_path / "new", plan, tokenizer=tmp_path / "single.tiktoken")
    assert not (tmp_path / "new").exists()


# --- pruning ---


def pruned(folder: Path, *, shards: int = 1, **config: Any) -> tuple[Path, Tokenizer, Any]:
    """A model of 280 rows with its tokenizer of 277 ids, and that pruned to 268."""
    base, _, _ = tokenizers()
    config = {"vocab_size": 280, "tie_word_embeddings": False, "eos_token_id": [276], "pad_token_id": -1, **config}
    names = {"wte.weight": (280, 5), "lm_head.weight": (280, 5), "lm_head.bias": (280,), "ln.weight": (5,)}
    generator = np.random.default_rng(2)
    tensors = {name: generator.normal(size=shape).astype(np.float32) for name, shape in names.items()}
    write_model(folder, tensors, config=config, shards=shards)
    (folder / "generation_config.json").write_text('{"eos_token_id": 276, "top_p": 0.9}', "utf-8")
    save(base, folder / "saved", format="directory")
    for path in (folder / "saved").iterdir():
        path.rename(folder / path.name)
    (folder / "saved").rmdir()
    habits = {"eos_token": "<|end|>", "added_tokens_decoder": {"276": {"content": "<|end|>"}}, "padding_side": "left"}
    (folder / "tokenizer_config.json").write_text(json.dumps(habits), "utf-8")
    return folder, base, prune(base, ["low lower lowest newest"], 268)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("multiple", [None, 64])
def test_a_pruned_model_has_the_rows_of_the_tokens_that_stay(tmp_path: Path, shards: int, multiple: int | None) -> None:
    model, _, made = pruned(tmp_path / "model", shards=shards)
    record = prune_checkpoint(model, tmp_path / "new", made.old_ids, made, pad_to_multiple=multiple)
    rows = multiple * 5 if multiple else 268
    assert (record.rows, record.new_rows) == (280, rows)
    before, after = read_tensors(model), read_tensors(tmp_path / "new")
    for name in ("wte.weight", "lm_head.weight", "lm_head.bias"):
        assert len(after[name]) == rows
        np.testing.assert_array_equal(after[name][:268], before[name][list(made.old_ids)])
        for row in after[name][268:]:
            np.testing.assert_allclose(row, after[name][:268].mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(after["ln.weight"], before["ln.weight"])
    assert load(tmp_path / "new").encode("<|end|>", allowed_special="all") == [made.old_ids.index(276)]
    end = made.old_ids.index(276)
    assert end != 276
    config = json.loads((tmp_path / "new" / CONFIG).read_text("utf-8"))
    assert config == {"vocab_size": rows, "tie_word_embeddings": False, "eos_token_id": [end], "pad_token_id": -1}
    generation = json.loads((tmp_path / "new" / "generation_config.json").read_text("utf-8"))
    assert generation == {"eos_token_id": end, "top_p": 0.9}
    habits = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text("utf-8"))
    assert habits["added_tokens_decoder"] == {str(end): {"content": "<|end|>"}}
    assert habits["padding_side"] == "left"
    assert "pruning.json" in record.files


def test_pruned_and_then_extended_a_model_has_the_size_it_had(tmp_path: Path) -> None:
    model, _, made = pruned(tmp_path / "model")
    prune_checkpoint(model, tmp_path / "smaller", made.old_ids, made)
    grown = extend(tmp_path / "smaller", ["新词 新词 新词"], add=5)
    record = rewrite_checkpoint(tmp_path / "smaller", tmp_path / "new", grown.plan, tokenizer=grown)
    assert record.new_rows == 273
    before, after = read_tensors(model)["wte.weight"], read_tensors(tmp_path / "new")["wte.weight"]
    for id in grown.plan.new_ids:
        parts = [made.old_ids[part] for part in grown.plan.parts(id)]
        np.testing.assert_allclose(after[id], before[parts].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bos_token_id": 279}, "config.json: bos_token_id 279 is not among the ids that are kept"),
        ({"image_token_index": 300}, "config.json: image_token_index 300"),
        ({"suppress_tokens": [1, 2]}, "config.json: suppress_tokens names ids, which change"),
        ({"text_config": {"vocab_size": 280, "eos_token_ids": [278]}}, "config.json: eos_token_ids 278"),
    ],
)
def test_ids_that_cannot_follow_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    model, _, made = pruned(tmp_path / "model", **config)
    with pytest.raises(VocabularyError, match=message):
        prune_checkpoint(model, tmp_path / "new", made.old_ids, made)
    assert not (tmp_path / "new").exists()


def test_id_maps_of_another_model_are_refused(tmp_path: Path) -> None:
    model, base, made = pruned(tmp_path / "model")
    for wrong in ((), (1, 1), (-1, 2), (2, 280)):
        with pytest.raises(VocabularyError, match="are another model's"):
            prune_checkpoint(model, tmp_path / "new", wrong, made)
    with pytest.raises(VocabularyError, match="the tokenizer has 277 ids, but 268 rows are kept"):
        prune_checkpoint(model, tmp_path / "new", made.old_ids, base)
    with pytest.raises(VocabularyError, match="the tokenizer has 268 ids, but 3 rows are kept"):
        prune_checkpoint(model, tmp_path / "new", [0, 1, 276], made)


def test_transformers_runs_a_pruned_model(tmp_path: Path) -> None:
    """Text of kept tokens: the same hidden states, and of every kept id the same logit."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    base, _, _ = tokenizers()
    made = prune(base, ["low lower lowest newest"], 268)
    config = transformers.LlamaConfig(
        vocab_size=280, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        bos_token_id=None, eos_token_id=276
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.LlamaForCausalLM(config).eval()
        model.save_pretrained(tmp_path / "model")
        prune_checkpoint(tmp_path / "model", tmp_path / "new", made.old_ids, made)
        smaller = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new").eval()
    new_ids = made.tokenizer.encode("low lower lowest newest 中文")
    old_ids = [made.old_ids[id] for id in new_ids]
    assert smaller.config.eos_token_id == made.old_ids.index(276)
    with torch.no_grad():
        before, after = model(torch.tensor([old_ids])).logits, smaller(torch.tensor([new_ids])).logits
    torch.testing.assert_close(after, before[..., list(made.old_ids)])


# --- bad input ---


def damage(path: Path, change: Callable[[dict[str, Any]], object], pad: int = 0) -> None:
    """Rewrite the header of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode() + b" " * pad
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def no_config(model: Path) -> None:
    (model / CONFIG).unlink()


def config_of(**values: Any) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        config = json.loads((model / CONFIG).read_text("utf-8")) | values
        (model / CONFIG).write_text(json.dumps(config), "utf-8")

    return change


def bytes_of(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda model: (model / name).write_bytes(data) and None


def header_of(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda model: damage(model / SINGLE, change)


def cut(size: int) -> Callable[[Path], None]:
    return lambda model: (model / SINGLE).write_bytes((model / SINGLE).read_bytes()[:size]) and None


def only_pickles(model: Path) -> None:
    (model / SINGLE).rename(model / "pytorch_model.bin")


BAD_MODELS: list[tuple[str, Callable[[Path], object], str]] = [
    ("no config", no_config, r"config.json: no such file"),
    ("config is no JSON", bytes_of(CONFIG, b"{"), r"config.json:1:2: not JSON"),
    ("config is a list", bytes_of(CONFIG, b"[]"), r"config.json: a list; expected an object"),
    ("vocab_size is text", config_of(vocab_size="40"), "vocab_size: a string; expected an integer"),
    ("vocab_size is nought", config_of(vocab_size=0), "vocab_size 0"),
    ("two vocab_sizes", config_of(text_config={"vocab_size": 41}), "different things of vocab_size: 40, 41"),
    ("shapes disagree", config_of(vocab_size=41), r"embed_tokens.weight \[40, 6\], but config.json says vocab_size 41"),
    ("no weights", lambda model: (model / SINGLE).unlink(), "holds no .safetensors file; expected model.safetensors"),
    ("pickles", only_pickles, r"its weights are pickles .*save_pretrained"),
    ("two kinds of weights", bytes_of(INDEX, b"{}"), "holds both model.safetensors and model.safetensors.index.json"),
    ("empty file", cut(0), "truncated, or no safetensors file"),
    ("cut in the length", cut(5), "truncated, or no safetensors file"),
    ("cut in the header", cut(60), "truncated, or no safetensors file"),
    ("cut in the data", cut(-1), r"truncated: its header promises [\d,]+ bytes, the file has"),
    ("a huge header", bytes_of(SINGLE, b"\xff" * 8 + b"{}"), "its header would take 18,446,744,073,709,551,615 bytes"),
    ("header is no JSON", bytes_of(SINGLE, b"\x02" + bytes(7) + b"{]"), "not JSON"),
    ("header is a list", bytes_of(SINGLE, b"\x02" + bytes(7) + b"[]"), "header: a list"),
    ("a tensor twice", bytes_of(SINGLE, b"\x10" + bytes(7) + b'{"a":{},"a":{}} '), "key 'a' stands twice"),
    ("metadata of numbers", header_of(lambda header: header.update(__metadata__={"a": 1})), "__metadata__.a"),
    ("no dtype", header_of(lambda header: header["lm_head.weight"].pop("dtype")), "'dtype' is missing"),
    ("unknown dtype", header_of(lambda header: header["lm_head.weight"].update(dtype="F17")), "unknown dtype 'F17'"),
    (
        "quantised",
        header_of(lambda header: header["lm_head.weight"].update(dtype="F8_E4M3", shape=[40, 24])),
        "lm_head.weight is stored as F8_E4M3",
    ),
    ("negative shape", header_of(lambda header: header["lm_head.weight"].update(shape=[-40, -6])), "negative shape"),
    ("shape is text", header_of(lambda header: header["lm_head.weight"].update(shape=["40", 6])), "shape: a string"),
    (
        "shape against offsets",
        header_of(lambda header: header["lm_head.weight"].update(shape=[41, 6])),
        r"F32 of shape \[41, 6\] does not take 960 bytes",
    ),
    (
        "overflowing shape",
        header_of(lambda header: header["lm_head.weight"].update(shape=[2**40, 2**40])),
        "does not take 960 bytes",
    ),
    (
        "offsets backwards",
        header_of(lambda header: header["lm_head.weight"].update(data_offsets=[960, 0])),
        r"data_offsets \[960, 0\]; expected \[begin, end\]",
    ),
    (
        "overlap",
        header_of(lambda header: header["lm_head.weight"].update(data_offsets=[4, 964])),
        "overlaps the tensor before it|leaves a gap before it",
    ),
    ("a gap", header_of(lambda header: header.pop("lm_head.weight")), "leaves a gap before it|longer than its tensors"),
    (
        "a matrix that is none",
        header_of(lambda header: header["lm_head.weight"].update(shape=[240])),
        r"lm_head.weight \[240\], but config.json says vocab_size 40",
    ),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BAD_MODELS], ids=[row[0] for row in BAD_MODELS])
def test_damaged_models_are_refused_before_anything_is_written(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    change(model)
    with pytest.raises(FormatError, match=message) as caught:
        rewrite_checkpoint(model, tmp_path / "new", PLAN)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def index_of(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def act(model: Path) -> None:
        index = json.loads((model / INDEX).read_text("utf-8"))
        change(index)
        (model / INDEX).write_text(json.dumps(index), "utf-8")

    return act


def duplicate(model: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    second = model / "model-00002-of-00002.safetensors"
    first = package.load_file(model / "model-00001-of-00002.safetensors")
    package.save_file(
        package.load_file(second) | {"model.embed_tokens.weight": first["model.embed_tokens.weight"]}, second
    )


SHARD = "model-00002-of-00002.safetensors"
BAD_SHARDS: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing shard", lambda model: (model / SHARD).unlink(), f"{SHARD} is missing, .* is the download complete"),
    ("truncated shard", lambda model: os.truncate(model / SHARD, 100), "truncated"),
    (
        "index of no file",
        index_of(lambda index: index["weight_map"].update({"lm_head.weight": "model-3.safetensors"})),
        "model-3.safetensors is missing",
    ),
    (
        "index of a file elsewhere",
        index_of(lambda index: index["weight_map"].update({"lm_head.weight": "../model.safetensors"})),
        "'../model.safetensors' is no name of a .safetensors file beside it",
    ),
    (
        "index of another kind",
        index_of(lambda index: index["weight_map"].update({"lm_head.weight": CONFIG})),
        "'config.json' is no name of a .safetensors file",
    ),
    (
        "tensor in another shard",
        index_of(lambda index: index["weight_map"].update({"model.embed_tokens.weight": SHARD})),
        f"{SHARD} does not hold tensor model.embed_tokens.weight",
    ),
    (
        "unlisted tensor",
        index_of(lambda index: index["weight_map"].pop("lm_head.weight")),
        "does not list tensor lm_head.weight",
    ),
    (
        "listed and nowhere",
        index_of(lambda index: index["weight_map"].update({"x.weight": SHARD})),
        "does not hold tensor x.weight",
    ),
    ("index of numbers", index_of(lambda index: index["weight_map"].update({"x": 1})), "weight_map.x: an integer"),
    ("no weight_map", index_of(lambda index: index.pop("weight_map")), "'weight_map' is missing"),
    ("duplicate", duplicate, "tensor model.embed_tokens.weight stands in both model-00001-of-00002.safetensors and"),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BAD_SHARDS], ids=[row[0] for row in BAD_SHARDS])
def test_shards_that_contradict_their_index_are_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED), shards=2)
    change(model)
    with pytest.raises(FormatError, match=message):
        rewrite_checkpoint(model, tmp_path / "new", PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_plans_of_another_model_and_bad_options_are_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    larger = EmbeddingPlan.of({50: [1]}, old_rows=50)
    with pytest.raises(VocabularyError, match="have 40 rows, but the base vocabulary of the plan needs 50"):
        rewrite_checkpoint(model, tmp_path / "new", larger)
    with pytest.raises(VocabularyError, match="unknown method 'median'"):
        rewrite_checkpoint(model, tmp_path / "new", PLAN, method="median")
    with pytest.raises(FormatError, match="no such folder"):
        rewrite_checkpoint(tmp_path / "nothing", tmp_path / "new", PLAN)
    tensors = tensors_of(UNTIED)
    tensors["lm_head.weight"][3, 2] = np.nan
    model = write_model(tmp_path / "nan", tensors)
    with pytest.raises(VocabularyError, match=r"model.safetensors: lm_head.weight: the row of new id 36 is not finite"):
        rewrite_checkpoint(model, tmp_path / "new", PLAN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "nan"]


# --- the output ---


def test_an_output_that_exists_is_replaced_only_when_that_is_wanted_and_holds_nothing_else(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    rewrite_checkpoint(model, tmp_path / "new", PLAN)
    with pytest.raises(OutputError, match="exists already"):
        rewrite_checkpoint(model, tmp_path / "new", PLAN)
    rewrite_checkpoint(model, tmp_path / "new", PLAN, method="first", force=True)
    assert read_tensors(tmp_path / "new")["lm_head.weight"][36, 0] == read_tensors(model)["lm_head.weight"][3, 0]
    (tmp_path / "new" / "thesis.tex").write_text("years of work", "utf-8")
    with pytest.raises(OutputError, match=r"holds other files \(thesis.tex\)"):
        rewrite_checkpoint(model, tmp_path / "new", PLAN, force=True)
    for place in (model, model / "new", tmp_path):
        with pytest.raises(OutputError, match=r"lies in the model folder .* or around it"):
            rewrite_checkpoint(model, place, PLAN, force=True)
    with pytest.raises(OutputError, match="does not exist"):
        rewrite_checkpoint(model, tmp_path / "no" / "new", PLAN)


def test_a_disk_too_small_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_model(tmp_path / "model", tensors_of(UNTIED))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"needs [\d,]+ bytes, but only 1,000 are free there"):
        rewrite_checkpoint(model, tmp_path / "new", PLAN)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


SCRIPT = textwrap.dedent(
    """
    import json, resource, signal, sys
    from bbpe.checkpoint import rewrite_checkpoint
    from bbpe.embeddings import EmbeddingPlan
    from bbpe.errors import OutputError
    def peak():  # in kB; the peak of getrusage would begin with that of the parent
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    action, model, new, method = sys.argv[1:]
    parts = {1000: [1, 2, 999]}
    if action == "limit":  # the kernel refuses to let any file grow past a megabyte
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    before = peak()
    try:
        rewrite_checkpoint(model, new, EmbeddingPlan.of(parts, old_rows=1000), method=method)
    except OutputError as error:
        print(error)
        sys.exit(1)
    print(peak() - before)
    """
)


def run_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def large_model(folder: Path, width: int, layers: int) -> Path:
    """A model of holes: float32 matrices of 1,000 rows, zeros that take no place on the disk."""
    folder.mkdir()
    names = ["model.embed_tokens.weight", "lm_head.weight", *(f"model.layers.{at}.up.weight" for at in range(layers))]
    size = 1000 * width * 4
    header = {
        name: {"dtype": "F32", "shape": [1000, width], "data_offsets": [place * size, (place + 1) * size]}
        for place, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    (folder / SINGLE).write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(folder / SINGLE, 8 + len(text) + size * len(names))
    (folder / CONFIG).write_text('{"vocab_size": 1000, "tie_word_embeddings": false}', "utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="measures and limits as Linux does")
def test_a_disk_that_fills_up_midway_leaves_nothing(tmp_path: Path) -> None:
    model = large_model(tmp_path / "model", 500, 1)
    done = run_script("limit", model, tmp_path / "new", "mean")
    assert (done.returncode, done.stderr) == (1, "")
    assert "no space left (File too large); nothing was left there" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize("method", ["mean", "mean+noise"])
def test_memory_follows_neither_the_model_nor_its_largest_tensor(tmp_path: Path, method: str) -> None:
    """Ten tensors of 32 MB; for the noise all rows of two of them are read."""
    model = large_model(tmp_path / "model", 8000, 8)
    done = run_script("measure", model, tmp_path / "new", method)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 24_000_000  # the blocks at work


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_a_header_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Whatever bytes are changed: a FormatError, or tensors that lie within the file and cover it."""
    global _WHOLE
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    if not folder.exists():
        write_model(folder, tensors_of(UNTIED))
        _WHOLE = (folder / SINGLE).read_bytes()
    changed = bytearray(_WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 8 + int.from_bytes(_WHOLE[:8], "little")))
        changed[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"0", b"9", b"-", b'"', b"{", b"[", b"1e9"])
        )
    path = folder / "changed.safetensors"
    path.write_bytes(changed)
    try:
        found = read_header(path)
    except FormatError:
        return
    assert sum(tensor.size for tensor in found.tensors) == len(changed) - 8 - int.from_bytes(changed[:8], "little")


_WHOLE = b""
JUNK = (None, True, 0, -1, 1.5, "", "x", [], [1], [None], [[]], {}, {"a": 1}, {"content": []}, 10**30, "../x", {"7": 1})


def spoilt(value: Any, chance: random.Random) -> Any:
    """A JSON value in which one place holds something else."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice([*value, "text_config", "architectures", "added_tokens_decoder", "metadata", "pad_token"])
        return {**value, key: spoilt(value.get(key), chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [spoilt(each, chance) if at == place else each for at, each in enumerate(value)]
    return chance.choice(JUNK)


@pytest.mark.parametrize("seed", range(2))
def test_any_json_in_any_place_of_the_configs_is_refused_or_harmless(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # most of the time of so many small folders
    base, new, plan = tokenizers()
    listed = {"276": {"content": "<|end|>"}}
    model = model_with_tokenizer(
        tmp_path / "model", base, added_tokens_decoder=listed, extra_special_tokens=["<|end|>"]
    )
    (model / "special_tokens_map.json").write_text('{"eos_token": {"content": "<|end|>"}}', "utf-8")
    write_model(tmp_path / "shards", tensors_of(UNTIED), shards=2)
    chance = random.Random(seed)
    refused = 0
    for number in range(60):
        sharded = chance.random() < 0.5
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / ("shards" if sharded else "model"), folder)
        path = chance.choice(sorted(folder.glob("*.json")))
        path.write_text(json.dumps(spoilt(json.loads(path.read_text("utf-8")), chance)), "utf-8")
        try:
            rewrite_checkpoint(folder, tmp_path / "new", PLAN if sharded else plan, tokenizer=None if sharded else new)
            shutil.rmtree(tmp_path / "new")
        except BbpeError:
            refused += 1
    assert 5 < refused < 55
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


# --- with transformers and torch ---


TINY = {
    "llama": ("LlamaConfig", {"hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2}),
    "qwen2": ("Qwen2Config", {"hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_positions": 64}),
    "neox": ("GPTNeoXConfig", {"hidden_size": 32, "intermediate_size": 48}),
    "phi": ("PhiConfig", {"hidden_size": 32, "intermediate_size": 48}),  # its output has a bias
}


@pytest.mark.parametrize(
    ("kind", "tied"), [(kind, tied) for kind in TINY for tied in ((False,) if kind == "phi" else (False, True))]
)
@pytest.mark.parametrize(("shard", "dtype"), [(None, "float32"), ("20KB", "bfloat16")])
def test_transformers_loads_and_runs_it_with_the_same_logits(
    tmp_path: Path, kind: str, tied: bool, shard: str | None, dtype: str
) -> None:
    """On old text every old id has its old logit, and a new one the mean of its parts' logits."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    name, sizes = TINY[kind]
    layers = {"n_layer": 2, "n_head": 4} if kind == "gpt2" else {"num_hidden_layers": 2, "num_attention_heads": 4}
    config = getattr(transformers, name)(vocab_size=ROWS, tie_word_embeddings=tied, bos_token_id=0, eos_token_id=1,
                                         pad_token_id=None, **layers, **sizes)  # fmt: skip
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = transformers.AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype)).eval()
        if kind == "phi":
            torch.nn.init.normal_(base.lm_head.bias)
        base.save_pretrained(tmp_path / "model", **({"max_shard_size": shard} if shard else {}))
        assert (tmp_path / "model" / INDEX).exists() == (shard is not None)
        record = rewrite_checkpoint(tmp_path / "model", tmp_path / "new", PLAN)
        old, new = (
            transformers.AutoModelForCausalLM.from_pretrained(
                tmp_path / name, dtype=getattr(torch, dtype), output_loading_info=True
            )
            for name in ("model", "new")
        )
    assert not any(new[1][key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    old, new = old[0].eval(), new[0].eval()
    assert record.tied == tied
    assert new.config.vocab_size == 45
    assert new.get_input_embeddings().weight.shape[0] == new.get_output_embeddings().weight.shape[0] == 45
    ids = torch.tensor([[5, 1, 9, 30, 2, 0, 35, 12]])
    with torch.no_grad():
        assert torch.equal(old.base_model(ids)[0], new.base_model(ids)[0])  # what the output matrix is applied to
        before, after = old(ids).logits[0].double(), new(ids).logits[0].double()
    kept = [id for id in range(ROWS) if id not in PLAN.new_ids]
    # A product with more columns may be summed in another order, so not to the bit on every processor.
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 0.01, "atol": 0.002}
    torch.testing.assert_close(after[:, kept], before[:, kept], **close)
    for id in PLAN.new_ids:
        parts = before[:, list(PLAN.parts(id))].mean(dim=1)
        torch.testing.assert_close(after[:, id], parts, rtol=close["rtol"], atol=10 * close["atol"])
    # A softmax over more rows scales the old probabilities by one number at each place, and orders them as before.
    ratio = torch.softmax(after, -1)[:, kept] / torch.softmax(before, -1)[:, kept]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=2 * close["rtol"], atol=10 * close["atol"])
    assert (ratio < 1).all()
    new_ids = torch.tensor([[36, 41, 33, 37, 2]])
    with torch.no_grad():
        logits, loss = new(new_ids, labels=new_ids).logits, new(new_ids, labels=new_ids).loss
    assert torch.isfinite(logits).all()
    assert torch.isfinite(loss)


def test_a_model_folder_with_its_tokenizer_loads_in_transformers(tmp_path: Path) -> None:
    """Base ids in the old model and the new give the same logits; text in new tokens is shorter and runs."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    base, new, plan = tokenizers()
    config = transformers.LlamaConfig(
        vocab_size=280,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        eos_token_id=276,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.LlamaForCausalLM(config).eval()
        model.save_pretrained(tmp_path / "model")
        save(base, tmp_path / "tokenizer", format="directory")
        for path in (tmp_path / "tokenizer").iterdir():
            path.rename(tmp_path / "model" / path.name)
        rewrite_checkpoint(tmp_path / "model", tmp_path / "new", plan, tokenizer=new)
        old_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
        extended = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new").eval()
    assert extended.config.eos_token_id == 276
    text = "lowest newest widest lower"
    ids, old_ids = tokenizer(text)["input_ids"], old_tokenizer(text)["input_ids"]
    assert ids == new.encode(text)
    assert old_ids == base.encode(text)
    assert len(ids) < len(old_ids)
    assert max(ids) > 276
    with torch.no_grad():
        before, after = model(torch.tensor([old_ids])).logits, extended(torch.tensor([old_ids])).logits
        untouched = [id for id in range(280) if id not in plan.new_ids]
        torch.testing.assert_close(after[..., untouched], before[..., untouched])
        continued = extended.generate(torch.tensor([ids]), max_new_tokens=3, do_sample=False, pad_token_id=276)
    assert tokenizer.decode(continued[0]).startswith(text)
