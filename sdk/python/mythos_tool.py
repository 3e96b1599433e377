"""The guest SDK of MYTHOS for Python: one file, standard library only, for
Python 3.10 and later. Copy it beside your tool.

    from mythos_tool import Fail, serve, want

    def greet(call):
        name = want.text(call.payload)
        if not name:
            raise Fail(422, "name_empty", "say who you are")
        return "hello " + name

    serve(greet)

A tool is one function from a payload to a payload. This file does the rest of
RFC-MYTHOS-0006 §10: frames on standard input and output, one or, in a reuse
worker, one after another until the input ends; the strict canonical codec of
RFC-MYTHOS-0001 §2; responses and errors; the log. It imports nothing that
Python has not loaded anyway: a tool's start is part of every call.

Every canonical value is one Python value, and the other way round:

    NULL, false, true    None, False, True
    UVARINT              int, 0..2^64-1
    IVARINT, negative    int, -2^63..-1
    IVARINT, 0 and up    I64, which is an int too
    BYTES, TEXT          bytes, str
    LIST                 list
    MAP                  dict, if every key is None, an int, bytes or str;
                         else Map, since True == 1 and I64(5) == 5 in a dict
"""

import os
import sys

MAX_REQUEST = 16777216  # bytes: no executor sends more (RFC-MYTHOS-0006 §13)
MAX_CODE = 128  # bytes of an error code
MAX_DEPTH = 32  # containers open at once
MAX_SECRET = 65536  # bytes
MAX_BODY = 16777216  # bytes of an HTTP response, unless told otherwise
_READ = 65536  # bytes asked for in one read

_NULL, _FALSE, _TRUE, _UINT, _INT, _BYTES, _TEXT, _LIST, _MAP = range(9)
_TAGS = ("NULL", "false", "true", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP")


class MythosError(ValueError):
    """Bytes or a value that the rules refuse: a stable code, and the offset of
    the fault in what was read, -1 if there is none."""

    def __init__(self, code, reason, offset=-1):
        super().__init__(f"{reason}{f' at byte {offset}' if offset >= 0 else ''} ({code})")
        self.code = code
        self.reason = reason
        self.offset = offset


class Fail(Exception):
    """An answer other than 200: a status of 100..599 and a code of 1..128 bytes
    in snake_case."""

    def __init__(self, status, code, message=""):
        super().__init__(message or code)
        if type(status) is not int or not 100 <= status <= 599 or status == 200:
            raise ValueError(f"Fail: status {status!r} is not one of 100..599 without 200")
        if not isinstance(code, str) or not 1 <= len(code.encode()) <= MAX_CODE:
            raise ValueError(f"Fail: a code has 1 to {MAX_CODE} bytes, not as {code!r}")
        self.status = status
        self.code = code
        self.message = str(message)


class _BadRequest(Exception):
    """A request that is not what the tool takes: 400 without a message."""


class Call:
    """One call of the tool."""

    __slots__ = ("payload", "raw", "tool_id", "idem_id")

    def __init__(self, payload, raw, tool_id, idem_id):
        self.payload = payload  # decoded
        self.raw = raw  # as it came: raw.data, and raw itself may be answered
        self.tool_id = tool_id  # 32 bytes
        self.idem_id = idem_id  # 32 bytes: the same for every attempt of one effect


class I64(int):
    """An IVARINT, whatever its sign: 5 alone is a UVARINT."""

    __slots__ = ()


class Map:
    """A MAP of any keys, as pairs in any order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def __len__(self):
        return len(self.pairs)

    def __eq__(self, other):
        return isinstance(other, Map) and encode(self) == encode(other)

    __hash__ = None

    def __repr__(self):
        return f"Map({self.pairs!r})"


class Raw:
    """A value that is encoded already; MythosError if it is not exactly one."""

    __slots__ = ("data",)

    def __init__(self, data):
        self.data = bytes(data)
        decode(self.data)


# ---- Decoding. A reader returns what it read and the offset behind it, and
# raises at the first fault from left to right.


def decode(data):
    """Decode exactly one value; MythosError if data is anything else."""
    data = bytes(data)
    value, off = _value(data, 0, 0)
    _done(data, off)
    return value


def _done(data, off):
    if off != len(data):
        raise MythosError("can_trailing", f"{len(data) - off} bytes after the value", off)


def _varint(data, at):
    """Read the varint behind the tag at at."""
    off = at + 1
    v = shift = 0
    try:
        while True:
            c = data[off]
            off += 1
            if shift == 63 and c > 1:
                raise MythosError("can_overflow", "a varint exceeds 64 bits", at)
            v |= (c & 0x7F) << shift
            if c < 0x80:
                break
            shift += 7
    except IndexError:
        raise MythosError("can_truncated", "the input ends inside a varint", at) from None
    if c == 0 and shift:
        raise MythosError("can_varint", "a varint is not minimal", at)
    return v, off


def _length(data, at, least):
    """Read the length or count of the item at at; each unit takes least bytes."""
    n, off = _varint(data, at)
    if n > (len(data) - off) // least:
        raise MythosError("can_bounds", f"{n} announced, {len(data) - off} bytes left", at)
    return n, off


def _open(data, at, least, depth):
    n, off = _length(data, at, least)
    if depth == MAX_DEPTH:
        raise MythosError("can_depth", f"more than {MAX_DEPTH} containers open", at)
    return n, off


def _expect(data, at, want):
    """Check the tag of a struct's field."""
    if at >= len(data):
        raise MythosError("can_truncated", f"the input ends where {_TAGS[want]} is due", at)
    tag = data[at]
    if tag > _MAP:
        raise MythosError("can_tag", f"unknown tag {tag:#04x}", at)
    if tag != want:
        raise MythosError("can_type", f"got {_TAGS[tag]}, want {_TAGS[want]}", at)


def _value(data, at, depth):
    """Read one value inside depth containers."""
    if at >= len(data):
        raise MythosError("can_truncated", "the input ends where a value is due", at)
    tag = data[at]
    if tag == _UINT:
        return _varint(data, at)
    if tag == _BYTES:
        n, off = _length(data, at, 1)
        return data[off : off + n], off + n
    if tag == _TEXT:
        return _text(data, at)
    if tag == _MAP:
        return _map(data, at, depth)
    if tag == _LIST:
        n, off = _open(data, at, 1, depth)
        out = []
        for _ in range(n):
            item, off = _value(data, off, depth + 1)
            out.append(item)
        return out, off
    if tag == _INT:
        z, off = _varint(data, at)
        return (-(z >> 1) - 1 if z & 1 else I64(z >> 1)), off
    if tag > _MAP:
        raise MythosError("can_tag", f"unknown tag {tag:#04x}", at)
    return (None, False, True)[tag], at + 1


def _text(data, at):
    n, off = _length(data, at, 1)
    try:
        return data[off : off + n].decode(), off + n
    except UnicodeDecodeError:
        raise MythosError("can_utf8", "TEXT is not valid UTF-8", at) from None


def _map(data, at, depth):
    n, off = _open(data, at, 2, depth)
    pairs = []
    plain = True  # a dict has it without ambiguity
    last = b""
    for _ in range(n):
        start = off
        key, off = _value(data, off, depth + 1)
        encoded = data[start:off]
        if encoded <= last:
            if encoded == last:
                raise MythosError("can_key_duplicate", "a MAP key stands twice", start)
            raise MythosError("can_key_order", "MAP keys are not ascending", start)
        last = encoded
        plain = plain and type(key) in _PLAIN
        value, off = _value(data, off, depth + 1)
        pairs.append((key, value))
    return (dict(pairs) if plain else Map(pairs)), off


_PLAIN = (str, int, bytes, type(None))


def _struct(data, at, depth, closed, fields):
    """Read a struct whose fields from 1 on are all required, each with its
    reader; return their values and the offset behind it."""
    _expect(data, at, _MAP)
    n, off = _open(data, at, 2, depth)
    out = []
    last = 0
    for _ in range(n):
        start = off
        num, off = _field(data, start, last)
        if last < len(fields) and num > last + 1:
            raise MythosError("can_missing", f"field {last + 1} is missing", start)
        if num <= len(fields):
            value, off = fields[num - 1](data, off, depth + 1)
            out.append(value)
        elif closed:
            raise MythosError("can_unknown_field", f"field {num} is unknown", start)
        else:
            _, off = _value(data, off, depth + 1)
        last = num
    if last < len(fields):
        raise MythosError("can_missing", f"field {last + 1} is missing", off)
    return out, off


def _field(data, at, last):
    """Read the key of a struct's field that follows field last."""
    if at >= len(data):
        raise MythosError("can_truncated", "the input ends where a field is due", at)
    if data[at] != _UINT:
        raise MythosError("can_field_number", "a struct key is not a field number", at)
    num, off = _varint(data, at)
    if not 1 <= num <= 127:
        raise MythosError("can_field_number", f"field number {num} is not in 1..127", at)
    if num < last:
        raise MythosError("can_key_order", f"field {num} stands after field {last}", at)
    if num == last:
        raise MythosError("can_key_duplicate", f"field {num} stands twice", at)
    return num, off


def _hash(data, at, depth):
    """Read a Hash and return its 32 bytes."""
    (_, digest), off = _struct(data, at, depth, True, (_hash_alg, _hash_bytes))
    return digest, off


def _hash_alg(data, at, depth):
    _expect(data, at, _UINT)
    alg, off = _varint(data, at)
    if alg > 255:
        raise MythosError("can_range", f"got {alg}, at most 255", at)
    if alg != 1:
        raise MythosError("hash_alg", f"hash algorithm {alg}", at)
    return alg, off


def _hash_bytes(data, at, depth):
    digest, off = _bytes(data, at, depth)
    if len(digest) != 32:
        raise MythosError("can_length", f"got {len(digest)} bytes, want 32", at)
    return digest, off


def _bytes(data, at, depth):
    _expect(data, at, _BYTES)
    return _value(data, at, depth)


def _schema(data, at, depth):
    _expect(data, at, _TEXT)
    text, off = _text(data, at)
    if text != "mythos.tool.request":
        raise MythosError("schema_mismatch", "not a ToolRequest", at)
    return text, off


# ---- Encoding


def encode(value):
    """Return the canonical bytes of value; MythosError if it has none. Tuples
    are LISTs, bytearray and memoryview BYTES; a float has no encoding."""
    out = bytearray()
    _put(out, value, 0)
    return bytes(out)


def _put_varint(out, v):
    while v > 0x7F:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)


def _put_bytes(out, tag, data):
    out.append(tag)
    _put_varint(out, len(data))
    out += data


def _put_text(out, text):
    try:
        _put_bytes(out, _TEXT, text.encode())
    except UnicodeEncodeError:
        raise MythosError("can_utf8", "a str with a lone surrogate") from None


def _put_int(out, value):
    if value >= 0 and not isinstance(value, I64):
        if value >> 64:
            raise MythosError("can_range", f"{value} is not in 0..2^64-1")
        out.append(_UINT)
        _put_varint(out, value)
        return
    if not -(1 << 63) <= value < 1 << 63:
        raise MythosError("can_range", f"{int(value)} is not in -2^63..2^63-1")
    out.append(_INT)
    _put_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _put(out, value, depth):
    """Append value, which stands inside depth containers."""
    if value is None:
        out.append(_NULL)
    elif value is False:
        out.append(_FALSE)
    elif value is True:
        out.append(_TRUE)
    elif isinstance(value, str):
        _put_text(out, value)
    elif isinstance(value, int):
        _put_int(out, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _put_bytes(out, _BYTES, bytes(value))
    elif isinstance(value, Raw):
        _value(value.data, 0, depth)  # its containers count here too
        out += value.data
    elif isinstance(value, (list, tuple)):
        _deeper(depth)
        out.append(_LIST)
        _put_varint(out, len(value))
        for item in value:
            _put(out, item, depth + 1)
    elif isinstance(value, (dict, Map)):
        _put_map(out, value.pairs if isinstance(value, Map) else value.items(), depth)
    else:
        raise MythosError("can_type", f"{type(value).__name__} has no encoding")


def _deeper(depth):
    if depth == MAX_DEPTH:
        raise MythosError("can_depth", f"more than {MAX_DEPTH} containers open")


def _put_map(out, pairs, depth):
    _deeper(depth)
    entries = []
    for key, value in pairs:
        encoded = bytearray()
        _put(encoded, key, depth + 1)
        entries.append((bytes(encoded), value))
    entries.sort(key=lambda entry: entry[0])
    out.append(_MAP)
    _put_varint(out, len(entries))
    last = b""
    for encoded, value in entries:
        if encoded == last:
            raise MythosError("can_key_duplicate", "two keys of a map have one encoding")
        last = encoded
        out += encoded
        _put(out, value, depth + 1)


# ---- Requests and responses


class want:
    """Checks of what a request holds. A value of another type, or none, is
    answered with 400 bad_request; the reason goes to the log."""

    @staticmethod
    def bool(value):
        return value if value is True or value is False else _unwanted("a bool", value)

    @staticmethod
    def text(value):
        return value if isinstance(value, str) else _unwanted("TEXT", value)

    @staticmethod
    def bytes(value):
        return value if type(value) is bytes else _unwanted("BYTES", value)

    @staticmethod
    def u64(value):
        return value if type(value) is int and value >= 0 else _unwanted("UVARINT", value)

    @staticmethod
    def i64(value):
        if type(value) is I64 or type(value) is int and value < 0:
            return int(value)
        return _unwanted("IVARINT", value)

    @staticmethod
    def list(value):
        return value if type(value) is list else _unwanted("a LIST", value)

    @staticmethod
    def map(value):
        """Return the dict; a MAP with other keys is refused."""
        return value if type(value) is dict else _unwanted("a MAP with keys of a dict", value)


def _unwanted(kind, value):
    raise _BadRequest(f"the request holds {type(value).__name__} where {kind} is due")


def answer(handler, request):
    """Answer one encoded ToolRequest with an encoded ToolResponse: what serve
    does with a frame, for tests."""
    try:
        call = _decode_call(request)
    except MythosError as e:
        return _failed(_BadRequest(str(e)))
    try:
        out = handler(call)
        if hasattr(out, "__await__"):
            out = _awaited(out)
        return _response(200, out.data if type(out) is Raw else encode(out))
    except (Exception, SystemExit) as e:
        return _failed(e)


def _decode_call(request):
    request = bytes(request)
    (_, tool_id, raw, idem_id), off = _struct(request, 0, 0, False, (_schema, _hash, _bytes, _hash))
    _done(request, off)
    payload = decode(raw)
    same = Raw.__new__(Raw)
    same.data = raw
    return Call(payload, same, tool_id, idem_id)


def _awaited(coroutine):
    import asyncio

    async def settle():
        return await coroutine

    return asyncio.run(settle())


def _failed(e):
    """Turn what a handler raised into a response. Only what Fail says reaches
    the caller; anything else is 500 and goes to the log."""
    if isinstance(e, _BadRequest):
        log.error(str(e))
        return _response(400, b"\0", "bad_request")
    if isinstance(e, Fail):
        try:
            return _response(e.status, b"\0", e.code, e.message)
        except MythosError as again:
            e = again  # a lone surrogate in it
    log.error(_story(e))
    return _response(500, b"\0", "tool_error")


def _story(e):
    """Say in one line what was raised, and where."""
    try:
        text = f"{type(e).__name__}: {e}"
    except Exception:  # __str__ is of the tool's making
        text = type(e).__name__
    at = e.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename != __file__:
            text += f" | at {code.co_name} ({code.co_filename}:{at.tb_lineno})"
        at = at.tb_next
    return " ".join(text.split())


def _response(status, payload, code=None, message=""):
    out = bytearray((_MAP, 3 if code is None else 4, _UINT, 1))
    _put_text(out, "mythos.tool.response")
    out += b"\3\2"
    _put_int(out, status)
    out += b"\3\3"
    _put_bytes(out, _BYTES, payload)
    if code is not None:
        out += b"\3\4"
        _put(out, {1: code, 2: message} if message else {1: code}, 1)
    return bytes(out)


# ---- Frames


class Frames:
    """Messages of a stream, each a varint length and that many bytes. read(n)
    returns 1 to n bytes, none at the end. Nothing is reserved for a length: what
    is held is what has arrived."""

    def __init__(self, read, limit=MAX_REQUEST):
        self._read = read
        self._limit = limit
        self.ahead = b""  # read and not used yet

    def _more(self, least):
        data = self._read(max(least, _READ))
        self.ahead += data
        return data

    def next(self):
        """Return the next message, None at an end before its first byte."""
        n, off = self._head()
        if n is None:
            return None
        if n > self._limit:
            raise MythosError("abi_frame_too_large", f"a frame of {n} bytes, at most {self._limit}")
        message = self.ahead[off : off + n]
        self.ahead = self.ahead[off + n :]
        if len(message) == n:
            return message
        parts = [message]
        left = n - len(message)
        while left > 0:
            part = self._read(min(left, 1 << 20))
            if not part:
                raise MythosError("abi_frame_truncated", f"the stream ended after {n - left} of {n} bytes")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _head(self):
        v = off = 0
        while True:
            if off == len(self.ahead) and not self._more(1):
                if off == 0:
                    return None, 0
                raise MythosError("abi_frame_truncated", "the stream ended inside a frame's length")
            c = self.ahead[off]
            if off == 9 and c > 1:
                raise MythosError("abi_frame_length", "a frame length exceeds 64 bits")
            v |= (c & 0x7F) << 7 * off
            off += 1
            if c < 0x80:
                break
        if c == 0 and off > 1:
            raise MythosError("abi_frame_length", "a frame length is not minimal")
        return v, off


def _write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data) :]


# ---- Serving


def serve(handler, max_request=MAX_REQUEST):
    """Answer the requests on standard input until it ends, then end the process:
    call it last. What handler returns is answered with status 200, what a Fail
    says with its status, and anything else that it raises is 500 tool_error,
    with the error in the log. A coroutine is run to its end. From here on print
    and everything else that writes to standard output writes to the log."""
    source, sink = _guard()
    frames = Frames(lambda n: os.read(source, n), max_request)
    code = 0
    try:
        while (request := frames.next()) is not None:
            response = answer(handler, request)
            head = bytearray()
            _put_varint(head, len(response))
            _write_all(sink, head + response)
    except (MythosError, OSError) as e:  # a broken frame, a closed pipe
        log.error(str(e))
        code = 1
    _end(code)


def _guard():
    """Keep the frames' descriptors from print, input and child processes, and
    return them under other numbers."""
    source, sink = os.dup(0), os.dup(1)
    os.set_blocking(source, True)
    os.set_blocking(sink, True)
    os.dup2(2, 1)
    try:
        null = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        os.close(0)
    else:
        os.dup2(null, 0)
        os.close(null)
    if sys.stdout is not None:
        sys.stdout.flush()  # what was printed before
    sys.stdout = sys.stderr
    return source, sink


def _end(code):
    """End the process, whatever threads the tool left behind."""
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(code)


class log:
    """Lines for the module's log, which is standard error."""

    @staticmethod
    def debug(text):
        _line("DEBUG", text)

    @staticmethod
    def info(text):
        _line("INFO", text)

    @staticmethod
    def warn(text):
        _line("WARN", text)

    @staticmethod
    def error(text):
        _line("ERROR", text)


def _line(level, text):
    if sys.stderr is not None:
        sys.stderr.flush()
    text = "".join(f"{level} {line}\n" for line in str(text).split("\n"))
    _write_all(2, text.encode(errors="backslashreplace"))


# ---- Powers, RFC-MYTHOS-0006 §12


def secret(name):
    """Return the bytes of a secret that was granted; LookupError if it was not.
    Do not log or answer it."""
    upper = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
    variable = f"MYTHOS_SECRET_{upper}_FD"
    number = os.environ.get(variable, "")
    if not number.isdecimal():
        raise LookupError(f"no secret {name} was granted: {variable} is not set")
    value = os.pread(int(number), MAX_SECRET + 1, 0)  # from the start, whoever read before
    if len(value) > MAX_SECRET:
        raise ValueError(f"secret {name} has more than {MAX_SECRET} bytes")
    return value


def _proxy(timeout):
    """Open a connection to the host's proxy."""
    import socket

    path = os.environ.get("MYTHOS_NET")
    if not path:
        raise OSError("no network was granted: MYTHOS_NET is not set")
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    try:
        s.connect(path)
    except BaseException:
        s.close()
        raise
    return s


class Response:
    """What an HTTP server answered."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # pairs in their order, names in lower case
        self.body = body

    def header(self, name):
        """Return the first header of that name, None if there is none."""
        return next((v for k, v in self.headers if k == name.lower()), None)


def http(url, method="GET", headers=None, body=None, max_bytes=MAX_BODY, timeout=None):
    """Perform one HTTP request through the host, which connects, does TLS and
    checks the grant; no redirect is followed. OSError without a network grant
    and when the exchange fails; a refusal of the host is a status of 403."""
    from http.client import HTTPConnection, HTTPException

    if not url.startswith(("http://", "https://")):
        raise ValueError("http: the url begins with neither http:// nor https://")
    connection = HTTPConnection("proxy")
    connection.sock = _proxy(timeout)
    try:
        connection.request(method, url.partition("#")[0], body, headers or {})
        response = connection.getresponse()
        data = response.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise OSError(f"http: the response has more than {max_bytes} bytes")
        if response.length:
            raise OSError(f"http: the response ends {response.length} bytes too early")
        return Response(response.status, [(k.lower(), v) for k, v in response.getheaders()], data)
    except HTTPException as e:
        raise OSError(f"http: {type(e).__name__}: {e}") from e
    finally:
        connection.close()


def connect(host, port, timeout=None):
    """Open a bare connection through the host and return its socket."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    s = _proxy(timeout)
    try:
        s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):  # not one byte of what follows
            c = s.recv(1)
            if not c or len(head) == 8192:
                raise OSError(f"connect {target}: no answer of the proxy")
            head += c
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise OSError(f"connect {target}: {status}")
        return s
    except BaseException:
        s.close()
        raise
