"""``bbpe extend`` and ``bbpe prune``: what they write and say, and with which exit status they end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bbpe
from bbpe import ExtensionReport, PruningReport
from bbpe.cli import run

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"
ZH, EN = str(TINY / "train" / "zh.txt"), str(TINY / "train" / "en.txt")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("base") / "base"
    bbpe.save(bbpe.train(TINY / "train" / "en.txt", 800, special_tokens=["<|end|>"]), out)
    return str(out)


def test_a_corpus_is_learned_from_and_the_guard_measured(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["extend", base, ZH, "--add", "0.2k", "-o", str(out), "--guard", EN, "--script", "Han"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    first, zh, en = shown.out.splitlines()
    assert first == f"{out}: the base and 200 added tokens, ids 800 to 999, 1,000 rows, stopped by add"
    assert re.fullmatch(
        r"  zh \(training\): [\d.]+ to [\d.]+ tokens per character, [\d.]+% fewer tokens; 1 of 1 documents changed", zh
    )
    assert en.startswith("  en (guard): ")
    assert en.endswith(" 0.0% fewer tokens; 0 of 1 documents changed")
    assert "never a character and a half" in shown.err
    assert sorted(path.name for path in out.iterdir()) == [
        *("extension.json", "tokenizer.json", "tokenizer_config.json", "vocab.tiktoken", "vocab.tiktoken.json")
    ]
    report = ExtensionReport.from_json((out / "extension.json").read_text("utf-8"))
    assert bbpe.load(out).vocab_size == 1000 == report.base["vocab_size"] + len(report.added)
    assert run(arguments) == 1
    assert "exists" in capsys.readouterr().err
    assert run([*arguments, "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_json_says_the_same(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["extend", base, ZH, "--until-gain", "900", "--no-utf8-safe", "-o", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    report = ExtensionReport.from_json((out / "extension.json").read_text("utf-8"))
    assert result["stop"] == "until_gain"
    assert result["added"] == len(report.added) > 10
    assert result["utf8_safe_price"] is None
    (row,) = result["corpora"]
    assert row["tokens_per_character_after"] == pytest.approx(
        report.corpora[0].tokens_after / report.corpora[0].characters
    )
    assert result["guarantees"] == report.guarantees


def test_a_word_list_and_a_deny_list(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, deny = tmp_path / "words.tsv", tmp_path / "deny.txt"
    words.write_text("中文分词\t9\n词元\t5\n词元\t2\nhello 世界\t4\n人工智能\t1\n", "utf-8")
    deny.write_text("智能\n\n", "utf-8")
    out = tmp_path / "out"
    assert run(["extend", base, "--words", str(words), "--deny-list", str(deny), "-o", str(out)]) == 0
    shown = capsys.readouterr()
    assert "  4 words: 2 made, 0 were tokens already, 1 cut by the pattern, 1 not completed; " in shown.out
    for note in ("1 cut by the pattern: 'hello 世界'", "1 not completed: '人工智能'", "frequencies added up: '词元'"):
        assert note in shown.err
    assert len(bbpe.load(out).encode("中文分词")) == 1


def test_count_files_stand_for_their_text(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counted, half = tmp_path / "zh.tsv", tmp_path / "half.tsv"
    text = (Path(ZH)).read_text(encoding="utf-8")
    (tmp_path / "rest.txt").write_text(text[len(text) // 2 :], encoding="utf-8")
    (tmp_path / "first.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    assert run(["pretokens", ZH, "--like", base, "-o", str(counted)]) == 0
    assert run(["pretokens", str(tmp_path / "first.txt"), "--like", base, "-o", str(half)]) == 0
    added = []
    for number, corpus in enumerate(([Path(ZH)], [counted], [half, tmp_path / "rest.txt"])):
        out = tmp_path / f"out{number}"
        assert run(["extend", base, *map(str, corpus), "--add", "60", "-o", str(out)]) == 0
        report = ExtensionReport.from_json((out / "extension.json").read_text(encoding="utf-8"))
        added.append([token.token or token.hex for token in report.added])
        read_again = number == 0
        assert (report.corpora[0].documents_changed is not None) == read_again
        assert ("distinct pretokens" in report.guarantees["coarser"]) != read_again
        assert bool(report.warnings) != read_again
    assert added[0] == added[1]
    assert len(set(added[0]) & set(added[2])) > 50  # the text was cut in two, in the middle of a word perhaps
    assert "only the distinct pretokens were checked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counting", "options", "message"),
    [
        (["--pattern", "gpt2"], ["--add", "5"], "was counted with pattern 'gpt2'.*bbpe pretokens --like BASE"),
        (["--pattern", "llama3"], ["--add", "5"], "special_tokens .*bbpe pretokens --like BASE"),
        (["--like", "BASE"], ["--words", "WORDS"], "count files hold no text"),
        (None, ["--add", "5"], "a list of words is given with words"),
    ],
)
def test_count_files_that_do_not_fit(
    base: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    counting: list[str] | None,
    options: list[str],
    message: str,
) -> None:
    words, counted = tmp_path / "words.tsv", tmp_path / "zh.tsv"
    words.write_text("中文\t3\n", encoding="utf-8")
    given = {"BASE": base, "WORDS": str(words)}
    if counting is None:
        counted = words
    else:
        counting = [given.get(each, each) for each in counting]
        assert run(["pretokens", ZH, *counting, "-o", str(counted)]) == 0
    options = [given.get(each, each) for each in options]
    assert run(["extend", base, str(counted), *options, "-o", str(tmp_path / "out")]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_tokens_of_another_vocabulary(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    donor, out = tmp_path / "donor", tmp_path / "out"
    bbpe.save(bbpe.train(ZH, 500), donor)
    assert run(["extend", base, "--tokens-from", str(donor), "-o", str(out), "--max-chars", "4"]) == 0
    assert " tokens: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--add", "5"], "there is nothing to learn from: give a corpus"),
        ([ZH], "neither add nor until_gain is given"),
        ([ZH, "--add", "5", "--script", "Chinese"], "unknown script 'Chinese'"),
        ([ZH, "--add", "5", "--ids-from", "7"], "ids_from is 7, but the base has ids up to 799"),
        ([ZH, "--add", "5", "--ids-from", "nowhere"], "nowhere is no folder of a model"),
        ([ZH, "--add", "5", "--deny-list", "nowhere"], "nowhere: the deny list cannot be read"),
        ([ZH, "--add", "5", "--reuse-reserved"], "no reserved or unused ids"),
        ([ZH, "--add", "5", "--guard", "nowhere"], "nowhere"),
        ([ZH, "--add", "5", "--min-count", "1m"], "no new merges to learn"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["extend", base, *arguments, "-o", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert run(["extend", str(tmp_path / "none"), ZH, "--add", "5", "-o", str(tmp_path / "out")]) == 1
    assert run(["extend", base, ZH, "--add", "5"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--guard", "nowhere.txt"], "nowhere.txt: no such file"),
        (["--model", "MODEL", "--init", "median"], "--init: unknown method 'median'; there are mean, "),
        (["--model", "MODEL", "--init-output", "median"], "--init-output: unknown method 'median'"),
        (["--model", "MODEL", "-o", "THERE"], "exists already"),
    ],
)
def test_mistakes_are_told_before_the_learning(
    base: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    write_model(base, tmp_path / "model", 800)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("mine", "utf-8")
    given = {"MODEL": str(tmp_path / "model"), "THERE": str(tmp_path / "there")}
    monkeypatch.setattr("bbpe.extension.extending._Extending.count", lambda *_: pytest.fail("it began to learn"))
    out = ["-o", str(tmp_path / "out")] if "-o" not in arguments else []
    assert run(["extend", base, ZH, "--add", "5", *(given.get(each, each) for each in arguments), *out]) == 1
    assert message in capsys.readouterr().err


def write_model(base: str, folder: Path, rows: int) -> dict[str, np.ndarray]:
    """A checkpoint of a model that is nothing but its two matrices."""
    safetensors = pytest.importorskip("safetensors.numpy")
    shutil.copytree(base, folder)
    generator = np.random.default_rng(7)
    tensors = {
        name: generator.standard_normal((rows, 4)).astype(np.float32)
        for name in ("model.embed_tokens.weight", "lm_head.weight")
    }
    safetensors.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": rows, "hidden_size": 4}
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}), "utf-8")
    return tensors


def test_a_checkpoint_is_rewritten_in_the_same_run(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    before = write_model(base, tmp_path / "model", 832)
    out = tmp_path / "out"
    common = ["extend", base, ZH, "--add", "20", "--model", str(tmp_path / "model")]
    assert run([*common, "-o", str(out), "--pad-to-multiple", "64"]) == 0
    assert "the model has 832 rows and the base's last id is 799" in capsys.readouterr().err
    report = ExtensionReport.from_json((out / "extension.json").read_text("utf-8"))
    after = safetensors.load_file(out / "model.safetensors")
    assert report.plan.new_ids == tuple(range(832, 852))
    for name, matrix in before.items():
        assert after[name].shape == (896, 4)
        assert np.array_equal(after[name][:832], matrix)
        id = report.plan.new_ids[-1]
        np.testing.assert_allclose(after[name][id], matrix[list(report.plan.parts(id))].mean(axis=0), rtol=1e-5)
    assert json.loads((out / "config.json").read_text("utf-8"))["vocab_size"] == 896
    assert bbpe.load(out).encode("中文") == bbpe.extend(base, ZH, add=20, ids_from=832).tokenizer.encode("中文")
    same = tmp_path / "same"
    assert run([*common, "-o", str(same), "--reuse-reserved", "--init", "first", "-q"]) == 0
    assert safetensors.load_file(same / "model.safetensors")["lm_head.weight"].shape == (832, 4)
    assert run([*common, "-o", str(tmp_path / "bad"), "--init", "magic"]) == 1
    assert not (tmp_path / "bad").exists()


def test_prune_writes_the_id_map(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["prune", base, EN, "--keep", "600", "-o", str(out)]) == 0
    assert re.fullmatch(
        rf"{re.escape(str(out))}: 600 entries kept of 800; [\d.]+ to [\d.]+ tokens per character, 1 of 1 documents "
        r"changed\n",
        capsys.readouterr().out,
    )
    report = PruningReport.from_json((out / "pruning.json").read_text("utf-8"))
    old, new = bbpe.load(base), bbpe.load(out)
    assert len(new) == len(report.old_ids) == 600
    assert [new.token(id) for id in range(600)] == [old.token(id) for id in report.old_ids]
    assert run(["prune", base, EN, "--keep", "600", "-o", str(out), "--force", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["removed"], result["vocab_size"]) == (200, 600)
    assert run(["prune", base, EN, "--keep", "10", "-o", str(tmp_path / "bad")]) == 1
    assert "keep is 10; expected at least 257" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()


def test_prune_picks_the_rows_of_a_checkpoint(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    before = write_model(base, tmp_path / "model", 832)
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "eos_token_id": 799}), "utf-8")
    out = tmp_path / "out"
    common = ["prune", base, EN, "--keep", "600", "--model", str(tmp_path / "model")]
    assert run([*common, "-o", str(out), "--json", "--pad-to-multiple", "64"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["vocab_size"], result["rows"]) == (600, 640)
    report = PruningReport.from_json((out / "pruning.json").read_text("utf-8"))
    after = safetensors.load_file(out / "model.safetensors")
    for name, matrix in before.items():
        assert after[name].shape == (640, 4)
        assert np.array_equal(after[name][:600], matrix[list(report.old_ids)])
    config = json.loads((out / "config.json").read_text("utf-8"))
    end = report.old_ids.index(799)
    assert (config["vocab_size"], config["eos_token_id"]) == (640, end)
    assert bbpe.load(out).special_tokens == {"<|end|>": end}
    # At constant size: what went comes back as tokens of another language.
    grown = tmp_path / "grown"
    more = ["--add", "200", "--ids-from", "600"]
    assert run(["extend", str(out), ZH, *more, "--model", str(out), "-o", str(grown)]) == 0
    assert safetensors.load_file(grown / "model.safetensors")["lm_head.weight"].shape == (800, 4)


def test_prune_refuses_a_model_that_does_not_fit_and_writes_nothing(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(base, tmp_path / "small", 700)
    common = ["prune", base, EN, "--keep", "750", "-o", str(tmp_path / "out")]
    assert run([*common, "--model", str(tmp_path / "small")]) == 1
    assert "are another model's" in capsys.readouterr().err
    assert run([*common, "--model", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert run([*common, "--pad-to-multiple", "8"]) == 2
    write_model(base, tmp_path / "model", 800)
    assert run([*common[:-1], str(tmp_path / "model"), "--model", str(tmp_path / "model")]) == 1
    assert "choose a folder beside it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tokens_taken_over_get_their_rows_from_the_other_model(base: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    bbpe.save(bbpe.train(ZH, 500), tmp_path / "zh")
    before = write_model(base, tmp_path / "model", 800)
    donor = write_model(str(tmp_path / "zh"), tmp_path / "donor", 512)
    arguments = ["extend", base, "--tokens-from", str(tmp_path / "zh"), "-o", str(tmp_path / "out")]
    arguments += ["--model", str(tmp_path / "model"), "--donor-model", str(tmp_path / "donor")]
    assert run(arguments) == 0
    report = ExtensionReport.from_json((tmp_path / "out" / "extension.json").read_text("utf-8"))
    after = safetensors.load_file(tmp_path / "out" / "model.safetensors")
    assert len(report.plan.donor_ids) > 100
    other = bbpe.load(tmp_path / "zh")
    for token in report.added:
        row = after["lm_head.weight"][token.id]
        taken = report.plan.donor_ids.get(token.id)
        if taken is not None:
            assert other.token(taken) == bytes.fromhex(token.hex or "") + (token.token or "").encode()
            assert np.array_equal(row, donor["lm_head.weight"][taken])
        else:
            mean = before["lm_head.weight"][list(report.plan.parts(token.id))].mean(axis=0)
            np.testing.assert_allclose(row, mean, rtol=1e-5, atol=1e-6)
    assert run([*arguments[:-2], "--force", "--donor-model", str(tmp_path / "none")]) == 1
    assert run(["extend", base, ZH, "--add", "5", "-o", str(tmp_path / "x"), "--donor-model", "x"]) == 2


def test_every_command_of_the_guide_runs(tmp_path: Path) -> None:
    """docs/extending.md, block by block, in a folder with the tiny corpora and a small model."""
    guide = (ROOT / "docs" / "extending.md").read_text("utf-8")
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    shutil.copytree(TINY, tmp_path / "corpora" / "tiny")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "bbpe"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from bbpe.cli import main; main()" "$@"\n', "utf-8")
    command.chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    made = False
    for language, block in blocks:
        if "--model" in block and not made:
            write_model(str(tmp_path / "base"), tmp_path / "model", 2048)
            made = True
        arguments = ["sh", "-e", "-c", block] if language == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert made
    assert len(blocks) >= 6
    assert bbpe.load(tmp_path / "model-zh").id_space > 2048
    safetensors = pytest.importorskip("safetensors.numpy")
    assert len(safetensors.load_file(tmp_path / "same-size" / "model.safetensors")["lm_head.weight"]) == 2000
