"""Tokenizers by name, folder or file. The only file that imports transformers, and only when a tokenizer needs it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from regioncache.encode import byt5
from regioncache.encode.tokenizer import (
    BYT5,
    IDENTITY_FILE,
    IDENTITY_VERSION,
    Template,
    Tokenizer,
    TokenizerIdentity,
)
from regioncache.errors import TokenizerError
from regioncache.hashing import sha256_file

__all__ = ["Template", "Tokenizer", "TokenizerIdentity", "load_saved", "load_tokenizer"]

# Files that hold a vocabulary, by the names that libraries give them.
VOCABULARY_PATTERNS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "vocab.txt",
    "*.model",
)
CLASS_FILES = ("tokenizer_config.json", "config.json")  # either names the class
NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What a tokenizer.json that stands alone calls its special tokens, most common first.
EOS_SPELLINGS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
PAD_SPELLINGS = ("<pad>", "<|pad|>", "[PAD]")
SENTENCEPIECE_CLASSES = {1: "T5Tokenizer", 2: "LlamaTokenizer"}  # by the model's type: unigram, byte-pair encoding


def transformers_library() -> Any:  # noqa: ANN401  (a module without types)
    """The transformers module, with parallel tokenization off: a process that used it hangs when it forks.

    Raises:
        TokenizerError: it is not installed.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        import transformers  # noqa: PLC0415  (takes seconds; ByT5 does without)
    except ImportError as error:
        raise TokenizerError(
            f"this tokenizer needs transformers ({error}). Install regioncache[build], or use tokenizer byt5"
        ) from error
    return transformers


def _new_byt5() -> Any:  # noqa: ANN401  (a class without types)
    return transformers_library().ByT5Tokenizer()


def load_tokenizer(spec: str, *, revision: str | None = None) -> Tokenizer:
    """The tokenizer that ``spec`` names.

    Args:
        spec: ``byt5`` (builtin, no file), a folder that transformers' AutoTokenizer opens or that holds
            ``vocab.json | encoder.json`` with ``merges.txt | vocab.bpe``, a ``tokenizer.json`` or a SentencePiece
            ``*.model``; such a file itself; or a name on the Hugging Face hub.
        revision: commit, tag or branch on the hub.

    Raises:
        TokenizerError: there is no such tokenizer, or it does not load; says what was looked for.
    """
    if spec == BYT5.spec:
        return Tokenizer(BYT5, _new_byt5)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _from_folder(path, path.resolve().name)
    if path.is_file():
        return _from_file(path)
    if spec.startswith((".", "/", "~")) or spec.count("/") > 1 or path.suffix in (".json", ".model"):
        raise TokenizerError(f"tokenizer {spec!r}: there is no such folder or file. Correct the path")
    return _from_hub(spec, revision)


def _from_hub(spec: str, revision: str | None) -> Tokenizer:
    transformers_library()
    import huggingface_hub  # noqa: PLC0415  (a dependency of transformers)

    try:
        folder = huggingface_hub.snapshot_download(spec, revision=revision, allow_patterns=[*VOCABULARY_PATTERNS, "config.json"])
    except Exception as error:  # (the hub's client raises errors of several libraries)
        where = f" at revision {revision}" if revision else ""
        raise TokenizerError(
            f"tokenizer {spec!r}{where}: there is no such local folder or file, and the Hugging Face hub did not give"
            f" it ({type(error).__name__}: {error}). Correct the name, connect to a network, or give a local folder"
        ) from error
    return _from_folder(Path(folder), spec)


def _from_folder(folder: Path, spec: str) -> Tokenizer:
    """What the most specific files of the folder say."""
    if (folder / IDENTITY_FILE).is_file():
        return load_saved(folder)
    files = sorted({path for pattern in VOCABULARY_PATTERNS for path in folder.glob(pattern) if path.is_file()})
    names = {path.name: path for path in files}
    vocabulary = names.get("vocab.json") or names.get("encoder.json")
    merges = names.get("merges.txt") or names.get("vocab.bpe")
    models = [path for path in files if path.suffix == ".model"]
    try:
        if any((folder / name).is_file() for name in CLASS_FILES):
            library = transformers_library().AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        elif "tokenizer.json" in names:
            library = _from_json(names["tokenizer.json"], names.get("special_tokens_map.json"))
        elif vocabulary and merges:
            library = transformers_library().GPT2Tokenizer(vocab=str(vocabulary), merges=str(merges))
        elif len(models) == 1:
            library = _from_sentencepiece(models[0])
        else:
            raise TokenizerError(
                f"tokenizer {spec!r}: {folder} holds no tokenizer. Looked for {' or '.join(CLASS_FILES)},"
                " tokenizer.json, vocab.json or encoder.json with merges.txt or vocab.bpe, and one *.model; found"
                f" {', '.join(sorted(path.name for path in folder.iterdir())[:20]) or 'nothing'}"
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise _unloadable(spec, folder, error) from error
    return _wrapped(spec, library, files)


def _from_file(path: Path) -> Tokenizer:
    try:
        if path.suffix == ".model":
            library = _from_sentencepiece(path)
        elif path.suffix == ".json":
            library = _from_json(path, None)
        else:
            raise TokenizerError(
                f"tokenizer {str(path)!r}: expected a tokenizer.json or a SentencePiece *.model. Name its folder instead"
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise _unloadable(path.name, path, error) from error
    return _wrapped(path.name, library, [path])


def _unloadable(spec: str, path: Path, error: Exception) -> TokenizerError:
    return TokenizerError(
        f"tokenizer {spec!r}: {path} is there and does not load ({type(error).__name__}: {error})."
        " Fetch its files again, or install what the message asks for"
    )


def _from_json(path: Path, special_tokens_map: Path | None) -> Any:  # noqa: ANN401  (a class without types)
    """A ``tokenizer.json`` that stands alone: it does not say which token ends a text, so usual spellings decide."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "model" not in content:
        raise ValueError("not the JSON of the tokenizers library: no 'model'")
    added = {token["content"] for token in content.get("added_tokens", [])}
    named = {
        "eos_token": next((token for token in EOS_SPELLINGS if token in added), None),
        "pad_token": next((token for token in PAD_SPELLINGS if token in added), None),
    }
    if special_tokens_map:
        listed = json.loads(special_tokens_map.read_text(encoding="utf-8"))
        for name in NAMED_TOKENS:
            if name in listed:
                named[name] = listed[name]["content"] if isinstance(listed[name], dict) else listed[name]
    given = {name: token for name, token in named.items() if token is not None}
    return transformers_library().PreTrainedTokenizerFast(tokenizer_file=str(path), **given)


def _from_sentencepiece(path: Path) -> Any:  # noqa: ANN401  (a class without types)
    """The transformers class of the model's type, T5's for unigram and Llama's for byte-pair encoding."""
    if not (importlib.util.find_spec("sentencepiece") and importlib.util.find_spec("google.protobuf")):
        raise ImportError("a SentencePiece *.model needs the packages sentencepiece and protobuf")
    model = importlib.import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # (protobuf's DecodeError has no base but Exception)
        raise ValueError(f"no SentencePiece model: {error}") from error
    name = SENTENCEPIECE_CLASSES.get(model.trainer_spec.model_type)
    if name is None:
        raise ValueError(f"expected a unigram or BPE model, found type {model.trainer_spec.model_type}")
    kind = getattr(transformers_library(), name)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / kind.vocab_files_names["vocab_file"]).symlink_to(path.resolve())
        return kind.from_pretrained(folder, local_files_only=True)


def _wrapped(spec: str, library: Any, files: list[Path]) -> Tokenizer:  # noqa: ANN401  (a class without types)
    """The identity of a loaded tokenizer."""
    named = {name: getattr(library, name, None) for name in NAMED_TOKENS}
    special = {
        name: (str(token), int(library.convert_tokens_to_ids(str(token)))) for name, token in named.items() if token is not None
    }
    class_name = type(library).__name__
    follows_byte_rule = class_name == BYT5.class_name and all(map(byt5.may_hold_special_token, library.get_added_vocab()))
    identity = TokenizerIdentity(
        spec=spec,
        class_name=class_name,
        files={path.name: sha256_file(path) for path in files},
        special_tokens=special,
        padding_side=library.padding_side,
        truncation_side=library.truncation_side,
        kind="bytes" if follows_byte_rule else "rust" if library.is_fast else "python",
    )
    return Tokenizer(identity, lambda: library)


def load_saved(folder: Path) -> Tokenizer:
    """The tokenizer that ``Tokenizer.save`` wrote, without a network and with the same ids and fingerprint.

    Raises:
        TokenizerError: the folder holds none, or its files were altered.
    """
    path = folder / IDENTITY_FILE
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{path}: expected a saved tokenizer: {error}. Encode the tokens again") from error
    if parts.get("version") != IDENTITY_VERSION:
        raise TokenizerError(
            f"{path}: expected version {IDENTITY_VERSION}, found {parts.get('version')}. Encode the tokens again"
        )
    for name, expected in parts["saved_files"].items():
        found = sha256_file(folder / name) if (folder / name).is_file() else "no such file"
        if found != expected:
            raise TokenizerError(
                f"{folder / name}: altered after it was saved (sha256 expected {expected}, found {found})."
                " Encode the tokens again"
            )
    identity = TokenizerIdentity(
        spec=parts["spec"],
        class_name=parts["class"],
        files=parts["files"],
        special_tokens={name: (token, number) for name, (token, number) in parts["special_tokens"].items()},
        padding_side=parts["padding_side"],
        truncation_side=parts["truncation_side"],
        kind=parts["kind"],
    )
    if identity == BYT5:
        return Tokenizer(BYT5, _new_byt5)
    return Tokenizer(identity, lambda: _saved_library(folder, identity))


def _saved_library(folder: Path, identity: TokenizerIdentity) -> Any:  # noqa: ANN401  (a class without types)
    library = transformers_library()
    if identity.kind != "rust":
        return getattr(library, identity.class_name).from_pretrained(folder, local_files_only=True)
    # The backend as it was saved: the class's own constructor might build another from the same vocabulary.
    named = {name: token for name, (token, _) in identity.special_tokens.items()}
    return library.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **named)
