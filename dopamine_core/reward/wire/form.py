"""The bytes of a multipart form come in, its text fields and file parts go out; a cut form is an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.limits import WireSizeError


@dataclass(frozen=True)
class Form:
    """Fields by name and the contents of file parts by name; contents look at the body and copy nothing."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, memoryview] = field(default_factory=dict)


def parse_form(content_type: str, body: bytes, most_parts: int) -> Form:
    """Parse a whole form.

    :param content_type: the request's header, with its boundary.
    :param most_parts: parts allowed.
    :raises WireError: when it is no form, is malformed, cut, or names a part twice.
    :raises WireSizeError: when it has too many parts.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise WireError(
            expected="a multipart/form-data request with a boundary",
            got=content_type[:120] or "no Content-Type",
            remedy="let the HTTP library write the form and its header",
        )
    reader = _Reader(most_parts)
    try:
        MultipartParser(boundary, reader.callbacks()).write(body)
    except FormParserError as error:
        raise _malformed(str(error)) from error
    if not reader.ended:
        raise _malformed(f"{len(body)} bytes that end before the closing boundary")
    return reader.form


class _Reader:
    """Collects what the parser calls out."""

    def __init__(self, most_parts: int) -> None:
        self.form = Form()
        self.ended = False
        self._most_parts = most_parts
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._pieces: list[memoryview] = []

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._headers, self._pieces = {}, []
        self._name = self._value = b""

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end].lower()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name] = self._value
        self._name = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self.ended = True

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        form = self.form
        if len(form.fields) + len(form.files) >= self._most_parts:
            raise WireSizeError(
                expected=f"at most {self._most_parts} parts",
                got="more",
                remedy="send fewer samples in one request",
            )
        if not name or name in form.fields or name in form.files:
            raise _malformed(f"a part named {name[:80]!r}, which is empty or was there before")
        whole = self._pieces[0] if len(self._pieces) == 1 else memoryview(b"".join(self._pieces))
        if b"filename" in options:
            form.files[name] = whole
        else:
            form.fields[name] = _text(name, whole)


def _text(name: str, content: memoryview) -> str:
    try:
        return bytes(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"a field {name[:80]!r} that is no UTF-8 text") from error


def _malformed(got: str) -> WireError:
    return WireError(
        expected="a whole multipart form, each part named once",
        got=got,
        remedy="send it again; let the HTTP library write the form",
    )
