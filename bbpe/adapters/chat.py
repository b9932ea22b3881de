"""Chat templates: messages to text, as transformers renders them.

What it does: reads the templates of a folder (``chat_template.jinja``, ``chat_templates/``, ``tokenizer_config.json``),
and renders conversations with jinja2 in its sandbox, with the same filters, functions and tags. What it does not: turn
functions into JSON schemas (tools are given as schemas), or pass anything but JSON's own types to a template.

A template comes with a model from whoever published it: it runs in a sandbox, and sees nothing but data.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bbpe.errors import FormatError, MissingExtraError, shown
from bbpe.formats.files import read_bytes

__all__ = ["ChatTemplates", "chosen_template", "read_templates", "rendered"]

ChatTemplates = str | Mapping[str, str]
"""A template, or several by their names."""

_FILE, _FOLDER = "chat_template.jinja", "chat_templates"
_REASONING = ("reasoning_content", "thinking", "reasoning")  # names of one thing; templates read the first or second
_CONTINUED = "CONTINUE_FINAL_MESSAGE_TAG "


def read_templates(folder: Path, config: Mapping[str, Any]) -> ChatTemplates | None:
    """The templates of a folder; files go before what its ``tokenizer_config.json`` says.

    Raises:
        FormatError: What the config says is no template.
    """
    found: dict[str, str] = {}
    if (folder / _FILE).is_file():
        found["default"] = read_bytes(folder / _FILE).decode()
    if (folder / _FOLDER).is_dir():
        found.update({path.stem: read_bytes(path).decode() for path in sorted((folder / _FOLDER).glob("*.jinja"))})
    if not found:
        said = config.get("chat_template")
        if said is None or isinstance(said, str):
            return said
        try:
            found = {str(each["name"]): each["template"] for each in said}
        except (TypeError, KeyError):
            raise FormatError(f"{folder}: chat_template in tokenizer_config.json is no template; remove it") from None
    return found["default"] if list(found) == ["default"] else found


def chosen_template(templates: ChatTemplates | None, asked: str | None, tools: bool) -> str:
    """The template to use.

    Args:
        templates: Those of the tokenizer.
        asked: A template, or the name of one.
        tools: Whether tools are given: then one named ``tool_use`` is preferred.

    Raises:
        ValueError: There is none.
    """
    if isinstance(templates, Mapping):
        if asked is None:
            asked = "tool_use" if tools and "tool_use" in templates else "default"
            if asked not in templates:
                names = ", ".join(map(repr, sorted(templates)))
                raise ValueError(f"there are several chat templates and none is the default: name one of {names}")
        return templates.get(asked, asked)
    found = templates if asked is None else asked
    if found is None:
        raise ValueError(
            "this tokenizer has no chat template; pass chat_template='...' to the call or to as_transformers, or load "
            "a folder that has a chat_template.jinja"
        )
    return found


def rendered(
    template: str,
    conversation: Any,
    *,
    tools: Any = None,
    documents: Any = None,
    add_generation_prompt: bool = False,
    continue_final_message: bool | str = False,
    variables: Mapping[str, Any],
) -> tuple[str, list[tuple[int, int]]]:
    """The text of a conversation, and the characters in it that ``{% generation %}`` blocks made.

    Args:
        template: The template.
        conversation: A list of messages.
        tools: JSON schemas.
        documents: For retrieval; a list of mappings.
        add_generation_prompt: Begin the assistant's next message.
        continue_final_message: Leave the last message open: its ``content``, or the field of that name.
        variables: What else the template sees.

    Raises:
        MissingExtraError: jinja2 is not installed.
        TypeError: The conversation is no list of dicts, or something is no JSON.
        ValueError: The conversation is empty, or cannot be continued. (A template that refuses it, or is broken, raises
            jinja2's own TemplateError, as in transformers.)
    """
    messages = _messages(conversation)
    field = _opened(messages, template, continue_final_message) if continue_final_message else None
    for number, tool in enumerate(tools or ()):
        if not isinstance(tool, Mapping):
            raise TypeError(f"tool {number} is {type(tool).__name__}; give its JSON schema, a dict")
    given = {
        **_plain(dict(variables), "a variable"),
        "messages": messages,
        "tools": _plain(tools, "tools"),
        "documents": _plain(documents, "documents"),
        "add_generation_prompt": add_generation_prompt,
    }
    text, generated = _render(template, given)
    if field is not None:
        final, tag = field.strip(), _CONTINUED.strip()
        if final not in text or tag not in text:
            raise ValueError(
                "continue_final_message: the chat template does not write the final message as it is given"
            )
        at = text.rindex(tag)
        kept = text[at : at + len(_CONTINUED)] == _CONTINUED  # else the template has trimmed the message
        text = text[:at] if kept else text[:at].rstrip()
    return text, generated


def _messages(conversation: Any) -> list[dict[str, Any]]:
    if not isinstance(conversation, Sequence) or isinstance(conversation, str):
        raise TypeError(f"a conversation is a list of messages, not {type(conversation).__name__}")
    if not conversation:
        raise ValueError("the conversation is empty; give at least one message")
    found = []
    for number, message in enumerate(conversation):
        if not isinstance(message, Mapping):
            raise TypeError(f"message {number} is a dict with a role and a content, not {type(message).__name__}")
        plain = {name: _plain(value, f"message {number}") for name, value in message.items() if value is not None}
        reasoning = next((plain[name] for name in _REASONING if name in plain), None)
        if reasoning is not None:
            plain = {"thinking": reasoning, **plain, "reasoning_content": reasoning}
        found.append(plain)
    return found


def _opened(messages: list[dict[str, Any]], template: str, asked: bool | str) -> str:
    """Mark where the last message ends, to cut the text there; what it says."""
    last = messages[-1]
    name = asked if isinstance(asked, str) else "content"
    said = last.get(name)
    if said is None:
        raise ValueError(f"continue_final_message: the final message has no {name!r} to continue")
    names = [each for each in _REASONING if last.get(each) == said] if name in _REASONING else [name]
    if not any(each in template for each in names):
        raise ValueError(f"continue_final_message: the chat template does not read {name!r}")
    if isinstance(said, list):
        block = next((each for each in reversed(said) if isinstance(each, dict) and "text" in each), None)
        if block is None:
            raise ValueError("continue_final_message: the final message has no text to continue")
        said = str(block["text"])
        block["text"] = said + _CONTINUED
        return said
    for each in names:
        last[each] = said + _CONTINUED
    return str(said)


def _plain(value: Any, where: str) -> Any:
    """A copy of JSON data, which is all that a template may see."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, (str, int, float)):  # of a class of its own, with methods of its own
        return next(kind(value) for kind in (str, int, float) if isinstance(value, kind))
    if isinstance(value, Mapping):
        return {_plain(key, where): _plain(item, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    raise TypeError(f"{where}: {shown(value)} is no JSON, which is all that a chat template may see")


# --- jinja2 -----------------------------------------------------------------------------------------------------------


def _render(template: str, given: Mapping[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    blocks: list[str] = []
    generated: list[tuple[int, int]] = []

    def track(text: str) -> str:
        start = sum(map(len, blocks))
        generated.append((start, start + len(text)))
        return text

    for block in _compiled(template).generate(**given, **{_TRACK: track}):
        blocks.append(block)  # noqa: PERF402  (one by one: `track` looks at what is there)
    return "".join(blocks), generated


_TRACK = "bbpe_generated"


def _jinja2() -> Any:
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError:
        raise MissingExtraError(
            "chat templates need jinja2, which is not installed: pip install 'bbpe[compare]'"
        ) from None
    if tuple(map(int, re.findall(r"\d+", jinja2.__version__)[:3])) < (3, 1, 6):
        raise MissingExtraError(
            f"chat templates need jinja2 3.1.6, whose sandbox holds, or later; {jinja2.__version__} is installed"
        )
    return jinja2


@functools.lru_cache(maxsize=32)
def _compiled(template: str) -> Any:
    """A template as jinja2 runs it, in an environment like transformers'."""
    jinja2 = _jinja2()

    extension: Any = jinja2.ext.Extension

    class Generation(extension):  # type: ignore[misc]
        """``{% generation %}...{% endgeneration %}``: what the model says, to be learned from."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            track = jinja2.nodes.Name(_TRACK, "load")
            call = self.call_method("_caught", [track])
            return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _caught(self, track: Any, caller: Any) -> str:
            return str(track(caller()))

    def refuse(message: object) -> None:
        raise jinja2.exceptions.TemplateError(str(message))

    def to_json(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json  # jinja2's own escapes HTML
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)
