"""MCAP files: serialised ROS 2 messages go in and come out, in files that stock tools open.

Knows nothing of ROS: a message is a topic, a type name, a schema text and CDR bytes. A file is
written under ``<name>.mcap.partial`` and gets its real name when it is whole, so that a name that
ends in ``.mcap`` never stands for half a recording.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel as ChannelRecord
from mcap.records import Message, Metadata, Schema
from mcap.stream_reader import CRCValidationError, StreamReader
from mcap.writer import CompressionType, Writer

from dopamine_core.errors import RecordingError

PARTIAL = ".partial"
_CHUNK_BYTES = 256 * 1024
# What the reader may raise on bytes that are no MCAP, or not a whole one.
BROKEN = (McapError, CRCValidationError, struct.error, EOFError, ValueError, MemoryError)


@dataclass(frozen=True)
class Channel:
    """What a topic carries.

    :param schema: message definition with its dependencies, as rosbag2's ``ros2msg`` encoding asks.
    """

    topic: str
    type_name: str  # e.g. sensor_msgs/msg/CompressedImage
    schema: str


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag."""

    channel: Channel
    data: bytes  # CDR with its 4-byte header
    log_ns: int  # when it was recorded
    publish_ns: int  # stamp of its header


class BagWriter:
    """Writes one file, append-only. Not thread-safe.

    :param path: final name, ``*.mcap``; nothing must exist there.
    :raises RecordingError: when the folder or file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + PARTIAL)
        with writing(self.partial):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise FileExistsError(f"{path} exists")
            self._file: IO[bytes] = self.partial.open("xb")
            # Images are compressed already, and the rest is small beside them.
            self._writer = Writer(self._file, _CHUNK_BYTES, CompressionType.NONE)
            self._writer.start(profile="ros2", library="robo_dopamine")
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._sequence = 0

    @property
    def bytes_written(self) -> int:
        """Bytes handed to the kernel so far."""
        return self._file.tell()

    def write(self, message: BagMessage) -> None:
        """Append a message; it is on its way to the disk after the next :meth:`flush`.

        :raises RecordingError: when the disk refuses.
        """
        with writing(self.partial):
            self._sequence += 1
            self._writer.add_message(
                self._channel_id(message.channel),
                message.log_ns,
                message.data,
                message.publish_ns,
                self._sequence,
            )

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Append a metadata record; of several with one name the last counts."""
        with writing(self.partial):
            self._writer.add_metadata(name, dict(values))

    def flush(self) -> None:
        """Close the present chunk and hand it to the kernel: it then survives the process."""
        with writing(self.partial):
            self._writer.flush()

    def sync(self) -> None:
        """Wait until the disk has everything flushed: it then survives a power cut."""
        with writing(self.partial):
            os.fsync(self._file.fileno())

    def finish(self) -> Path:
        """Write the index, sync, and give the file its real name.

        :raises RecordingError: when the disk refuses; the partial file stays for recovery.
        """
        with writing(self.partial):
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.partial.rename(self.path)
            _sync_folder(self.path.parent)
        return self.path

    def abandon(self) -> None:
        """Close without an index; the partial file stays for recovery."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _channel_id(self, channel: Channel) -> int:
        if channel.topic not in self._channels:
            name = channel.type_name
            if name not in self._schemas:
                text = channel.schema.encode()
                self._schemas[name] = self._writer.register_schema(name, "ros2msg", text)
            self._channels[channel.topic] = self._writer.register_channel(
                channel.topic, "cdr", self._schemas[name], {"offered_qos_profiles": ""}
            )
        return self._channels[channel.topic]


@dataclass(frozen=True)
class BagContent:
    """Everything in a bag.

    :param complete: whether the file was whole, with index and end mark.
    """

    messages: list[BagMessage]
    metadata: dict[str, dict[str, str]]
    complete: bool


def read_bag(path: Path) -> BagContent:
    """Read a whole bag.

    :raises RecordingError: when it is missing, no MCAP, or damaged.
    """
    content = read_what_is_there(path)
    if not content.complete:
        raise RecordingError(
            expected=f"a whole recording at {path}",
            got=f"a damaged one: {len(content.messages)} messages can be read, the end is missing",
            remedy="restore it from a copy, or read what is left with recover()",
        )
    return content


def read_what_is_there(path: Path) -> BagContent:
    """Read a bag up to its end or to the first damage.

    :raises RecordingError: when it is missing or no MCAP at all.
    """
    messages: list[BagMessage] = []
    metadata: dict[str, dict[str, str]] = {}
    complete = False
    try:
        with path.open("rb") as file:
            if file.read(8) != b"\x89MCAP0\r\n":
                raise _not_a_bag(path, "other bytes")
            file.seek(0)
            try:
                for item in _items(file):
                    if isinstance(item, BagMessage):
                        messages.append(item)
                    else:
                        metadata[item.name] = dict(item.metadata)
                complete = True
            except BROKEN:
                complete = False  # what came before the damage is sound: each chunk has its CRC
    except OSError as error:
        raise _not_a_bag(path, str(error)) from error
    return BagContent(messages, metadata, complete)


def _items(file: IO[bytes]) -> Iterator[BagMessage | Metadata]:
    """Give messages and metadata in file order, checking every chunk's CRC."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    reader = StreamReader(file, validate_crcs=True, record_size_limit=1 << 30)
    for record in reader.records:
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, ChannelRecord):
            schema = schemas.get(record.schema_id)
            name, text = (schema.name, schema.data.decode()) if schema else ("", "")
            channels[record.id] = Channel(record.topic, name, text)
        elif isinstance(record, Message):
            channel = channels.get(record.channel_id)
            if channel is None:
                raise ValueError(f"message of an unknown channel {record.channel_id}")
            yield BagMessage(channel, record.data, record.log_time, record.publish_time)
        elif isinstance(record, Metadata):
            yield record


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Read only the metadata of a whole bag, by its index; the last record of a name counts.

    :raises RecordingError: when it is missing, no MCAP, or damaged.
    """
    try:
        with path.open("rb") as file:
            return {one.name: dict(one.metadata) for one in make_reader(file).iter_metadata()}
    except OSError as error:
        raise _not_a_bag(path, str(error)) from error
    except BROKEN as error:
        raise _not_a_bag(path, f"damaged bytes ({type(error).__name__})") from error


def rewrite(content: BagContent, path: Path) -> None:
    """Write a bag anew under a name that may exist; the old file stays until the new one is whole.

    :raises RecordingError: when the disk refuses; the old file is untouched.
    """
    fresh = path.with_name(path.name + ".rewrite")
    for leftover in (fresh, fresh.with_name(fresh.name + PARTIAL)):
        with writing(leftover):
            leftover.unlink(missing_ok=True)  # of a rewrite that was killed
    writer = BagWriter(fresh)
    try:
        for message in content.messages:
            writer.write(message)
        for name, values in content.metadata.items():
            writer.add_metadata(name, values)
        writer.finish()
    except RecordingError:
        writer.abandon()
        raise
    with writing(path):
        fresh.replace(path)
        _sync_folder(path.parent)


def amend(path: Path, messages: list[BagMessage], metadata: Mapping[str, dict[str, str]]) -> None:
    """Add messages and metadata to a finished bag, e.g. an operator's corrected outcome.

    :raises RecordingError: when it cannot be read or written; it then stays as it was.
    """
    content = read_bag(path)
    merged = {**content.metadata, **metadata}
    rewrite(BagContent([*content.messages, *messages], merged, True), path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into a named error."""
    try:
        yield
    except OSError as error:
        raise RecordingError(
            expected=f"to write {path}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            remedy="free space, correct its rights, or set another run_dir",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_a_bag(path: Path, got: str) -> RecordingError:
    return RecordingError(
        expected=f"an MCAP recording at {path}", got=got, remedy="check the path or the copy"
    )
