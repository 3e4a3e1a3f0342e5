from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.encode import tokens
from regioncache.encode.byt5 import EXTRA_IDS, decode_bytes
from regioncache.encode.tokenizer_file import open_tokenizer, save_tokenizer
from regioncache.encode.tokens import Tokenizer, load_saved, load_tokenizer
from regioncache.errors import ConfigError, TokenizerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PHRASES = [
    "a dog on a surf board",
    "",
    " ",
    "a dog on a surf board",
    "person",
    "  two  spaces ",
    "Cup/Mug_(big)",
    "line\nbreak\ttab",
    "café 猫が座っている 😀🚀",
    "x" * 60,
    "a <|endoftext|> b </s> c <pad>d",
    "a phrase that ends in </s>",
    "person",
]


def rows(found: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    ids, lengths = found
    assert ids.dtype == lengths.dtype == np.int32
    assert int(lengths.sum()) == len(ids)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])] if len(lengths) else []


def by_library(library: Any, texts: Sequence[str], limit: int) -> list[list[int]]:
    found: list[list[int]] = library(list(texts), truncation=True, max_length=limit)["input_ids"]
    return found


@pytest.fixture(scope="module")
def gpt2(shared: Path) -> Tokenizer:
    return load_tokenizer(str(shared / "samples/tokenizers/gpt2"))


@pytest.fixture(scope="module")
def byte_bpe(shared: Path) -> Tokenizer:
    return load_tokenizer(str(shared / "goldens/sca/inputs/tokenizers/byte_bpe"))


@pytest.mark.parametrize("name", ["byt5", "byte_bpe"])
def test_token_ids_are_those_that_the_original_recorded(shared: Path, byte_bpe: Tokenizer, name: str) -> None:
    cases = json.loads((shared / "goldens/sca/expected/tokens.json").read_text())["cases"]
    case = next(one for one in cases if one["tokenizer"] == name)
    tokenizer = load_tokenizer("byt5") if name == "byt5" else byte_bpe
    length = case["model_max_length"]
    assert rows(tokenizer.encode(case["texts"], template="sca", max_length=length)) == case["input_ids"]
    plain = rows(tokenizer.encode(case["texts"], template="plain", max_length=length))
    assert plain == case["captioner_baseline_input_ids"]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (case["eos_token_id"], case["pad_token_id"])


@pytest.mark.parametrize("limit", [1, 5, 18, 300])
def test_fast_ids_equal_the_libraries_own_call(gpt2: Tokenizer, byte_bpe: Tokenizer, limit: int) -> None:
    texts = PHRASES + [f"{phrase} number {k}" for k in range(100) for phrase in PHRASES]
    for tokenizer in (gpt2, byte_bpe):
        expected = by_library(tokenizer.library, texts, limit)
        assert rows(tokenizer.encode(texts, template="plain", max_length=limit)) == expected
        eos = tokenizer.eos_token_id
        found = rows(tokenizer.encode(texts, template="sca", max_length=limit + 2))
        assert found == [[*ids, eos] for ids in expected]


TEXT_PIECES = st.sampled_from(["<", ">", "</s>", "<pad>", "<unk>", "<extra_id_3>", "<extra_id_130>", " ", "\t", "é", "猫"])


@given(st.lists(st.lists(st.one_of(TEXT_PIECES, st.text(max_size=6)), max_size=6).map("".join), min_size=1, max_size=6))
@settings(deadline=None, max_examples=300)
@pytest.mark.filterwarnings("ignore:This sequence already has")
def test_byt5_ids_equal_the_library_for_any_text(texts: list[str]) -> None:
    tokenizer, library = load_tokenizer("byt5"), transformers.ByT5Tokenizer()
    for limit in (1, 2, 18, 200):
        assert rows(tokenizer.encode(texts, template="plain", max_length=limit)) == by_library(library, texts, limit)


@given(st.lists(st.integers(0, 258 + EXTRA_IDS), max_size=30))
@settings(deadline=None)
def test_byt5_text_of_ids_is_the_libraries(ids: list[int]) -> None:
    assert decode_bytes(ids) == transformers.ByT5Tokenizer().decode(ids)


def test_text_survives_its_ids(gpt2: Tokenizer) -> None:
    for tokenizer in (load_tokenizer("byt5"), gpt2):
        ids, _ = tokenizer.encode(["a café, 猫"], template="plain", max_length=100)
        assert tokenizer.decode(ids).removesuffix("</s>") == "a café, 猫"


def test_byt5_needs_no_transformers_unless_a_text_spells_a_special_token() -> None:
    program = (
        "import sys; from regioncache.encode.tokens import load_tokenizer; t = load_tokenizer('byt5');"
        "t.encode(['a dog', 'caf\\u00e9'], template='sca', max_length=20); t.decode([100, 1]);"
        "t.fingerprint('sca', 20);"
        "print('transformers' in sys.modules); t.encode(['</s>'], template='sca', max_length=20);"
        "print('transformers' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]


def test_equal_phrases_are_tokenized_once(gpt2: Tokenizer) -> None:
    seen: list[str] = []
    backend = gpt2.library.backend_tokenizer

    def encode_batch_fast(texts: list[str]) -> list[Any]:
        seen.extend(texts)
        return backend.encode_batch_fast(texts)  # type: ignore[no-any-return]  (a class without types)

    spy = SimpleNamespace(
        enable_truncation=backend.enable_truncation, no_padding=backend.no_padding, encode_batch_fast=encode_batch_fast
    )
    tokenizer = Tokenizer(gpt2.identity, lambda: SimpleNamespace(backend_tokenizer=spy, split_special_tokens=False))
    texts = ["person", "dog", "person", "dog", "cat", "person"] * 100
    found = rows(tokenizer.encode(texts, template="sca", max_length=20))
    assert seen == ["person", "dog", "cat"]
    assert found == rows(gpt2.encode(texts, template="sca", max_length=20))
    assert found[0] == [*by_library(gpt2.library, ["person"], 18)[0], 50256]


def test_no_phrases_give_no_ids(gpt2: Tokenizer) -> None:
    for tokenizer in (load_tokenizer("byt5"), gpt2):
        ids, lengths = tokenizer.encode([], template="sca", max_length=20)
        assert (ids.shape, lengths.shape) == ((0,), (0,))


def test_padding_falls_back_to_eos_and_parallel_tokenization_is_off(gpt2: Tokenizer) -> None:
    assert (gpt2.eos_token_id, gpt2.pad_token_id, gpt2.padding_side, gpt2.name) == (50256, 50256, "right", "gpt2")
    byte = load_tokenizer("byt5")
    assert (byte.eos_token_id, byte.pad_token_id, byte.padding_side, byte.name) == (1, 0, "right", "byt5")
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_a_snapshot_gives_identical_ids_and_the_same_fingerprint_offline(
    gpt2: Tokenizer, byte_bpe: Tokenizer, tmp_path: Path
) -> None:
    for tokenizer in (gpt2, byte_bpe, load_tokenizer("byt5")):
        folder = tmp_path / tokenizer.name
        expected = rows(tokenizer.encode(PHRASES, template="sca", max_length=20))
        tokenizer.save(folder)
        first = {path.name: path.read_bytes() for path in folder.iterdir()}
        tokenizer.encode(PHRASES, template="sca", max_length=9)
        (folder / "meta.json").write_text("{}")  # a file of somebody else
        tokenizer.save(folder)
        assert {name: (folder / name).read_bytes() for name in first} == first
        for saved in (load_saved(folder), load_tokenizer(str(folder))):
            assert rows(saved.encode(PHRASES, template="sca", max_length=20)) == expected
            assert saved.fingerprint("sca", 20) == tokenizer.fingerprint("sca", 20)
            assert saved.identity == tokenizer.identity
            assert saved.decode(expected[0]) == tokenizer.decode(expected[0])
        theirs = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        assert by_library(theirs, PHRASES[:9], 18) == [ids[:-1] for ids in expected[:9]]


def test_a_saved_file_gives_identical_ids_and_the_same_bytes_again(gpt2: Tokenizer, byte_bpe: Tokenizer, tmp_path: Path) -> None:
    for tokenizer in (gpt2, byte_bpe, load_tokenizer("byt5")):
        first, second = tmp_path / tokenizer.name / "a.zip", tmp_path / tokenizer.name / "b.zip"
        expected = rows(tokenizer.encode(PHRASES, template="sca", max_length=20))
        save_tokenizer(tokenizer, first)
        saved = open_tokenizer(first)
        assert rows(saved.encode(PHRASES, template="sca", max_length=20)) == expected
        assert saved.fingerprint("sca", 20) == tokenizer.fingerprint("sca", 20)
        save_tokenizer(tokenizer, second)
        assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all"])
def test_a_file_that_is_no_saved_tokenizer_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.zip").write_bytes(data)
    with pytest.raises(TokenizerError, match=r"tokenizer\.zip: expected a saved tokenizer"):
        open_tokenizer(tmp_path / "tokenizer.zip")


def test_fingerprints_tell_tokenizers_templates_and_lengths_apart_and_are_equal_in_another_process(
    shared: Path, gpt2: Tokenizer, byte_bpe: Tokenizer
) -> None:
    found = [
        tokenizer.fingerprint(template, length)
        for tokenizer in (gpt2, byte_bpe, load_tokenizer("byt5"))
        for template in ("sca", "plain")
        for length in (20, 32)
    ]
    assert len(set(found)) == 12
    assert all(len(one) == 64 for one in found)
    program = (
        "import sys; from regioncache.encode.tokens import load_tokenizer;"
        "print(load_tokenizer(sys.argv[1]).fingerprint('sca', 20))"
    )
    folder = str(shared / "samples/tokenizers/gpt2")
    result = subprocess.run(
        [sys.executable, "-c", program, folder],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert result.stdout.split() == [found[0]]


def test_an_altered_snapshot_is_refused(byte_bpe: Tokenizer, tmp_path: Path) -> None:
    byte_bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"!", b"?", 1))
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: altered"):
        load_saved(tmp_path)
    path.unlink()
    with pytest.raises(TokenizerError, match="no such file"):
        load_saved(tmp_path)
    with pytest.raises(TokenizerError, match="expected a saved tokenizer"):
        load_saved(tmp_path / "nowhere")


def test_a_tokenizer_json_alone_equals_the_same_file_in_its_folder(shared: Path, byte_bpe: Tokenizer) -> None:
    alone = load_tokenizer(str(shared / "goldens/sca/inputs/tokenizers/byte_bpe/tokenizer.json"))
    found = alone.encode(PHRASES, template="sca", max_length=20)
    assert rows(found) == rows(byte_bpe.encode(PHRASES, template="sca", max_length=20))
    assert alone.identity.files == byte_bpe.identity.files


def test_a_folder_with_a_class_name_is_opened_by_that_class(gpt2: Tokenizer, tmp_path: Path) -> None:
    gpt2.library.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again.identity.class_name == "GPT2Tokenizer"
    found = again.encode(PHRASES, template="sca", max_length=20)
    assert rows(found) == rows(gpt2.encode(PHRASES, template="sca", max_length=20))
    byt5_folder = tmp_path / "byt5"
    byt5_folder.mkdir()
    (byt5_folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    by_class = load_tokenizer(str(byt5_folder))
    assert by_class.identity.kind == "bytes"
    builtin = load_tokenizer("byt5")
    assert rows(by_class.encode(PHRASES, template="sca", max_length=20)) == rows(
        builtin.encode(PHRASES, template="sca", max_length=20)
    )


def test_a_python_tokenizer_goes_through_the_librarys_call(tmp_path: Path) -> None:
    library = transformers.ByT5Tokenizer(additional_special_tokens=["dog"], extra_ids=0)
    library.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.identity.kind == "python"  # "dog" is an id of its own, which the byte rule does not know
    texts = ["a dog", "a cat", "dogs"] * 3
    assert rows(tokenizer.encode(texts, template="plain", max_length=9)) == by_library(library, texts, 9)
    tokenizer.save(tmp_path / "saved")
    saved = load_saved(tmp_path / "saved")
    assert rows(saved.encode(texts, template="plain", max_length=9)) == by_library(library, texts, 9)
    assert saved.fingerprint("sca", 20) == tokenizer.fingerprint("sca", 20)


@pytest.mark.parametrize(
    ("name", "class_name"), [("test_sentencepiece", "T5Tokenizer"), ("test_sentencepiece_bpe", "LlamaTokenizer")]
)
def test_a_sentencepiece_model_gives_the_ids_of_sentencepiece(shared: Path, name: str, class_name: str) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    path = shared / f"samples/tokenizers/sentencepiece_fixtures/{name}.model"
    tokenizer = load_tokenizer(str(path))
    assert tokenizer.identity.class_name == class_name
    texts = ["a dog runs", "the blue cup", "This is a test"]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    closing = [processor.eos_id()]
    own_eos = closing if class_name == "T5Tokenizer" else []
    expected = [processor.encode(text) + own_eos + closing for text in texts]
    assert rows(tokenizer.encode(texts, template="sca", max_length=40)) == expected


def test_a_sentencepiece_model_without_its_library_says_what_to_install(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TokenizerError, match="packages sentencepiece and protobuf"):
        load_tokenizer(str(shared / "samples/tokenizers/sentencepiece_fixtures/test_sentencepiece.model"))


def test_a_tokenizer_without_eos_is_refused_by_the_template_that_appends_one(shared: Path, tmp_path: Path) -> None:
    source = shared / "goldens/sca/inputs/tokenizers/byte_bpe/tokenizer.json"
    content = source.read_text().replace("<|endoftext|>", "<|marker|>")
    (tmp_path / "tokenizer.json").write_text(content)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.eos_token_id is None
    assert rows(tokenizer.encode(["ab"], template="plain", max_length=20)) == [[64, 65]]
    with pytest.raises(TokenizerError, match=r"sca appends.*has none.*plain"):
        tokenizer.encode(["ab"], template="sca", max_length=20)
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": {"content": "<|marker|>"}}')
    assert load_tokenizer(str(tmp_path)).eos_token_id == 256


@pytest.mark.parametrize(
    ("template", "max_length", "message"),
    [("chat", 20, "no token template 'chat'"), ("sca", 2, "no room"), ("plain", 0, "no room")],
)
def test_templates_and_lengths_that_mean_nothing_are_refused(template: Any, max_length: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_tokenizer("byt5").encode(["a"], template=template, max_length=max_length)


def test_a_tokenizer_that_cannot_be_had_is_refused_with_what_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TokenizerError, match="no such folder or file"):
        load_tokenizer(str(tmp_path / "nowhere"))
    (tmp_path / "README").write_text("x")
    with pytest.raises(TokenizerError, match=r"holds no tokenizer\. Looked for .*vocab\.json.*found README"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(TokenizerError, match=r"expected a tokenizer\.json or a SentencePiece"):
        load_tokenizer(str(tmp_path / "README"))
    for name, content in (("tokenizer.json", "{}"), ("spiece.model", "no model")):
        (tmp_path / name).write_text(content)
        with pytest.raises(TokenizerError, match="is there and does not load"):
            load_tokenizer(str(tmp_path / name))

    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    with pytest.raises(TokenizerError, match=r"'someone/model' at revision v1: .*hub did not give it.*no route"):
        load_tokenizer("someone/model", revision="v1")


def test_a_hub_name_is_opened_from_the_folder_that_the_hubs_client_gives(
    shared: Path, monkeypatch: pytest.MonkeyPatch, gpt2: Tokenizer
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(shared / "samples/tokenizers/gpt2")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    tokenizer = load_tokenizer("openai/gpt2", revision="main")
    assert (asked["name"], asked["revision"]) == ("openai/gpt2", "main")
    assert not {"*", "*.safetensors", "*.bin"} & set(asked["allow_patterns"])
    assert tokenizer.name == "openai/gpt2"
    assert tokenizer.fingerprint("sca", 20) == gpt2.fingerprint("sca", 20)
