"""The guest SDK: its codec over the vectors and against this package's own, and
tools as processes that speak frames."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from unittest import mock

import mythos_tool as guest
from mythos import structs, value
from mythos.cid import Hash
from mythos.fault import MythosError

from .support import REPOSITORY, Case, read_json, unhex

SDK = Path(guest.__file__).resolve().parent


def suite(name: str, op: str) -> list[Any]:
    """Return the vectors of a suite with one op."""
    vectors = [read_json(path) for path in sorted((REPOSITORY / "ctvp" / "vectors" / name).glob("*.json"))]
    found = [v for v in vectors if v["op"] == op]
    assert len(found) > 20, f"{len(found)} vectors of {op}"
    return found


def request(payload: bytes) -> bytes:
    return structs.ToolRequest(tool_id=Hash(b"\1" * 32), payload=payload, idem_id=Hash(b"\2" * 32)).encode()


def response(status: int, payload: bytes, code: str = "", message: str = "") -> bytes:
    error = structs.ToolError(code=code, message=message) if code else None
    return structs.ToolResponse(status=status, payload=payload, error=error).encode()


BAD_REQUEST = response(400, b"\0", "bad_request")
TOOL_ERROR = response(500, b"\0", "tool_error")


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collect the log instead of writing it."""
    lines: list[str] = []
    with mock.patch.object(guest, "_line", lambda level, text: lines.append(f"{level} {text}")):
        yield lines


def quiet(handler: Callable[[Any], Any], raw: bytes) -> bytes:
    with logged():
        return guest.answer(handler, raw)


def frame(message: bytes) -> bytes:
    head = bytearray()
    guest._put_varint(head, len(message))
    return bytes(head) + message


def framed(stream: bytes, limit: int = 1 << 24) -> tuple[list[bytes], bytes]:
    """Return the messages of a stream."""
    rest = memoryview(stream)

    def read(n: int) -> bytes:
        nonlocal rest
        part, rest = bytes(rest[:n]), rest[n:]
        return part

    frames = guest.Frames(read, limit)
    messages = []
    while (message := frames.next()) is not None:
        messages.append(message)
    return messages, frames.ahead


class Vectors(Case):
    def test_codec(self) -> None:
        for v in suite("can", "can.decode"):
            with self.subTest(v["id"]):
                raw = unhex(v["input"]["hex"])
                if "error" in v["expect"]:
                    self.fault(v, guest.decode, raw)
                else:
                    self.assertEqual(guest.encode(guest.decode(raw)), raw)
        for v in suite("can", "can.encode"):
            with self.subTest(v["id"]):
                if "output" in v["expect"]:
                    raw = unhex(v["expect"]["output"]["hex"])
                    self.assertEqual(guest.encode(guest.decode(raw)), raw)

    def fault(self, v: Any, call: Callable[..., object], *args: Any) -> None:
        with self.assertRaises(guest.MythosError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, v["expect"]["error"])
        self.assertEqual(caught.exception.offset, v["expect"].get("offset", caught.exception.offset))

    def test_requests(self) -> None:
        for v in suite("tool", "tool.request"):
            with self.subTest(v["id"]):
                seen: list[Any] = []
                raw = unhex(v["input"]["hex"])
                got = quiet(lambda call, seen=seen: (seen.append(call), call.payload)[1], raw)
                if "error" in v["expect"]:
                    self.assertEqual((got, seen), (BAD_REQUEST, []))
                    continue
                q = structs.ToolRequest.decode(raw)
                self.assertEqual(got, response(200, q.payload))
                call = seen[0]
                self.assertEqual((call.raw.data, call.tool_id, call.idem_id), (q.payload, bytes(q.tool_id), bytes(q.idem_id)))

    def test_frames(self) -> None:
        for v in suite("tool", "tool.frame"):
            with self.subTest(v["id"]):
                stream, limit = unhex(v["input"]["hex"]), v["input"]["max"]
                at = [0]

                def read(n: int, stream: bytes = stream, at: list[int] = at) -> bytes:
                    part = stream[at[0] : at[0] + n]
                    at[0] += len(part)
                    return part

                frames = guest.Frames(read, limit)
                if v["expect"].get("error") == "abi_frame_end":
                    self.assertIsNone(frames.next())
                elif "error" in v["expect"]:
                    self.fault(v, frames.next)
                else:
                    message = frames.next()
                    left = len(frames.ahead) + len(stream) - at[0]
                    self.assertEqual({"message": message.hex(), "left": left}, v["expect"]["output"])

    def test_responses(self) -> None:
        """A guest writes responses and reads none. It cannot write one that is
        refused, and writes the others to the byte, but for those with unknown
        fields or, where a tool failed, without an error."""
        written = 0
        for v in suite("tool", "tool.response"):
            raw = unhex(v["input"]["hex"])
            try:
                fields = guest.decode(raw)
            except guest.MythosError:
                continue  # not canonical: encode writes none such
            with self.subTest(v["id"]):
                wrote = self.rewrite(fields)
                if "error" in v["expect"]:
                    self.assertNotEqual(wrote, raw)
                elif len(fields) == (3 if fields[2] == 200 else 4) and "unknown-field" not in v["id"]:
                    self.assertEqual(wrote, raw)
                    written += 1
        self.assertGreaterEqual(written, 8)

    def rewrite(self, fields: dict[int, Any]) -> bytes:
        """Have a tool answer what the fields of a response say."""

        def tool(call: Any) -> Any:
            if fields[2] == 200:
                return guest.Raw(fields[3])
            raise guest.Fail(fields[2], fields[4][1], fields[4].get(2, ""))

        return quiet(tool, request(b"\0"))


def any_value(rand: random.Random, depth: int = 0) -> Any:
    """Return a random value in terms of this package."""
    kind = rand.randrange(9 if depth < 4 else 6)
    many = lambda: [any_value(rand, depth + 1) for _ in range(rand.randrange(5))]  # noqa: E731
    if kind == 0:
        return rand.choice([None, False, True])
    if kind == 1:
        return value.UVarint(rand.getrandbits(rand.randrange(65)))
    if kind in (2, 3):
        return value.IVarint((-1) ** kind * rand.getrandbits(rand.randrange(64)))
    if kind == 4:
        return rand.randbytes(rand.randrange(40))
    if kind == 5:
        return "".join(rand.choice("aZ\0\u00e9\ufeff\U0001f600") for _ in range(rand.randrange(40)))
    if kind in (6, 7):
        return many()
    return value.Map((k, any_value(rand, depth + 1)) for k in many())


class Values(Case):
    def test_random_bytes_get_the_verdict_of_this_package(self) -> None:
        rand = random.Random(20260101)
        refusals = 0
        for _ in range(3000):
            try:
                raw = value.encode(any_value(rand))
            except MythosError as e:
                self.assertEqual(e.code, "can_key_duplicate")
                continue
            self.assertEqual(guest.encode(guest.decode(raw)), raw)
            broken = bytearray(raw)
            broken[rand.randrange(len(raw))] = rand.randrange(rand.choice([9, 256]))
            ours = self.verdict(lambda b: guest.encode(guest.decode(b)), bytes(broken))
            theirs = self.verdict(lambda b: value.encode(value.decode(b)), bytes(broken))
            self.assertEqual(ours, theirs, broken.hex())
            refusals += isinstance(ours, tuple)
        self.assertGreater(refusals, 500)

    def verdict(self, codec: Callable[[bytes], bytes], raw: bytes) -> Any:
        try:
            return codec(raw)
        except (MythosError, guest.MythosError) as e:
            return e.code, e.offset

    def test_types(self) -> None:
        for raw, want in [
            ("0305", 5), ("0409", -5), ("040a", guest.I64(5)), ("050161", b"a"), ("060161", "a"), ("02", True),
            ("0801060161 0301", {"a": 1}), ("0801 0305 00", {5: None}),
            ("0801 02 0301", guest.Map([(True, 1)])), ("0802 0305 00 040a 00", guest.Map([(5, None), (guest.I64(5), None)])),
        ]:
            got = guest.decode(unhex(raw))
            self.assertEqual((type(got), got), (type(want), want))
        self.assertEqual(guest.encode((bytearray(b"a"), memoryview(b"b"), guest.Raw(b"\4\2"))), unhex("0703 050161 050162 0402"))

    def test_what_has_no_encoding_is_an_error_of_the_tool(self) -> None:
        deep: Any = []
        for _ in range(32):
            deep = [deep]
        bad = [1.5, float("nan"), 1 << 64, -(1 << 63) - 1, guest.I64(1 << 63), "\ud800", object(), {1, 2}, deep, {True: 1, guest.I64(-2): 1, -2.5: 1}]
        bad += [guest.Map([(-1, 1), (guest.I64(-1), 2)])]
        for v in [*bad, *([b] for b in bad), *({1: b} for b in bad)]:
            with self.assertRaises(guest.MythosError):
                guest.encode(v)
            self.assertEqual(quiet(lambda call, v=v: v, request(b"\0")), TOOL_ERROR)
        with self.assertRaises(guest.MythosError):
            guest.Raw(unhex("0700 00"))
        with self.assertRaises(guest.MythosError):
            guest.encode([guest.Raw(guest.encode(deep[0]))])


class Answers(Case):
    def test_failures_say_what_the_tool_says_and_errors_nothing(self) -> None:
        def failing(*args: Any) -> bytes:
            def tool(call: Any) -> None:
                raise guest.Fail(*args)

            return quiet(tool, request(b"\0"))

        self.assertEqual(failing(404, "not_found", "no such thing"), response(404, b"\0", "not_found", "no such thing"))
        self.assertEqual(failing(599, "x" * 128), response(599, b"\0", "x" * 128))
        for args in [(200, "a"), (99, "a"), (600, "a"), (404.0, "a"), (True, "a"), (404, ""), (404, "\u00e9" * 65), (404, None), (404, "a", "\ud800")]:
            self.assertEqual(failing(*args), TOOL_ERROR, args)
        for error in [ValueError("secret\ndetail"), SystemExit(0), KeyError(), RecursionError()]:
            with logged() as lines:
                self.assertEqual(guest.answer(mock.Mock(side_effect=error), request(b"\0")), TOOL_ERROR)
            self.assertEqual(len(lines), 1)
            self.assertRegex(lines[0], rf"^ERROR {type(error).__name__}: [^\n]*$")

    def test_want(self) -> None:
        for check, good, *wrong in [
            (guest.want.text, "x", 1, None, b"x"), (guest.want.bytes, b"x", "x"), (guest.want.bool, False, 0, 1, None),
            (guest.want.u64, 0, -1, True, guest.I64(1)), (guest.want.i64, -1, 1, False), (guest.want.list, [], {}, ()),
            (guest.want.map, {}, [], guest.Map()),
        ]:
            self.assertIs(check(good), good)
            for v in wrong:
                self.assertEqual(quiet(lambda call, check=check, v=v: check(v), request(b"\0")), BAD_REQUEST)
        self.assertEqual(guest.want.i64(guest.I64(3)), 3)

    def test_a_coroutine_is_run(self) -> None:
        async def tool(call: Any) -> Any:
            if call.payload == "fail":
                raise guest.Fail(409, "taken")
            return [call.payload]

        self.assertEqual(quiet(tool, request(b"\3\5")), response(200, unhex("0701 0305")))
        self.assertEqual(quiet(lambda call: call.raw, request(b"\4\2")), response(200, b"\4\2"))
        self.assertEqual(quiet(tool, request(guest.encode("fail"))), response(409, b"\0", "taken"))


HELLO = request(unhex("0605 68656c6c6f"))


class Processes(Case):
    def run_tool(self, body: str, *pieces: bytes, env: dict[str, str] | None = None, fds: tuple[int, ...] = ()) -> tuple[int, list[bytes], str]:
        """Run a tool with input in pieces; return exit code, messages and log."""
        with tempfile.TemporaryDirectory() as dir:
            path = Path(dir) / "tool.py"
            path.write_text(f"import sys\nsys.path.insert(0, {str(SDK)!r})\nfrom mythos_tool import *\nfrom mythos_tool import I64\n{body}\n")
            child = subprocess.Popen([sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or {}, pass_fds=fds)
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # a tool may end before it has read all
                for piece in pieces[:-1]:
                    child.stdin.write(piece)
                    child.stdin.flush()
            out, err = child.communicate(pieces[-1] if pieces else b"")
        messages, rest = framed(out)
        self.assertEqual(rest, b"")
        return child.returncode, messages, err.decode()

    def test_frames(self) -> None:
        echo = "serve(lambda call: call.payload)"
        large = guest.encode(b"\7" * (3 << 20))
        want = response(200, unhex("0605 68656c6c6f"))
        self.assertEqual(self.run_tool(echo, frame(HELLO)), (0, [want], ""))
        self.assertEqual(self.run_tool(echo), (0, [], ""))
        self.assertEqual(self.run_tool(echo, *(bytes([c]) for c in frame(HELLO))), (0, [want], ""))
        stream = frame(HELLO) + frame(request(b"\0")) + frame(request(large)) + frame(HELLO)
        code, messages, _ = self.run_tool(echo, stream)
        self.assertTrue(code == 0 and messages == [want, response(200, b"\0"), response(200, large), want])

    def test_no_frame(self) -> None:
        for broken in ["7c", "80", "8000", "8180808008", "ffffffffffffffffff02"]:
            code, messages, log = self.run_tool("serve(lambda call: 1)", unhex(broken))
            self.assertEqual((code, messages), (1, []))
            self.assertRegex(log, r"^ERROR .*\(abi_frame_\w+\)\n$")

    def test_standard_output_holds_frames_whatever_a_tool_prints(self) -> None:
        body = """
import os, subprocess
print("before")
def tool(call):
    print("one")
    sys.stdout.write("two\\n")
    sys.__stdout__.write("three\\n"); sys.__stdout__.flush()
    os.write(1, b"four\\n")
    subprocess.run([sys.executable, "-S", "-c", "print('five', input() if sys.stdin.read(1) else 'no input')".replace("sys.stdin", "__import__('sys').stdin")])
    log.info("six\\nseven")
    return call.payload
serve(tool)"""
        code, messages, log = self.run_tool(body, frame(HELLO) + frame(HELLO))
        self.assertEqual((code, len(messages)), (0, 2))
        said = ["one", "two", "three", "four", "five no input", "INFO six", "INFO seven"]
        self.assertEqual(log.split("\n"), ["before", *said, *said, ""])

    def test_errors_of_every_kind_are_answered_and_the_worker_goes_on(self) -> None:
        body = """
n = 0
def tool(call):
    global n
    n += 1
    if n == 1: raise Fail(404, "not_found", "nothing here")
    if n == 2: raise ValueError("two\\nlines")
    if n == 3: sys.exit("later")
    if n == 4: return want.list(call.payload)
    if n == 5: return 1.5
    return n
serve(tool)"""
        requests = [HELLO, HELLO, HELLO, HELLO, HELLO, request(b"\x09"), HELLO]
        code, messages, log = self.run_tool(body, b"".join(map(frame, requests)))
        self.assertEqual(code, 0, log)
        wanted = [response(404, b"\0", "not_found", "nothing here"), TOOL_ERROR, TOOL_ERROR, BAD_REQUEST, TOOL_ERROR, BAD_REQUEST, response(200, unhex("0306"))]
        self.assertEqual(messages, wanted)
        lines = log.splitlines()
        self.assertEqual((len(lines), [line for line in lines if not line.startswith("ERROR ")]), (5, []))

    def test_threads_that_stay_do_not_keep_the_process(self) -> None:
        body = """
import atexit, threading
atexit.register(lambda: log.info("bye"))
threading.Thread(target=threading.Event().wait).start()
serve(lambda call: None)"""
        self.assertEqual(self.run_tool(body, frame(HELLO)), (0, [response(200, b"\0")], "INFO bye\n"))

    def test_a_secret_comes_from_its_descriptor_again_and_again(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"hunter2")
            file.flush()
            fd = file.fileno()
            asks = b"".join(frame(request(guest.encode(name))) for name in ["api-key.2", "API_KEY_2", "other"])
            env = {"MYTHOS_SECRET_API_KEY_2_FD": str(fd)}
            code, messages, log = self.run_tool("serve(lambda call: secret(want.text(call.payload)))", asks, env=env, fds=(fd,))
        value = response(200, guest.encode(b"hunter2"))
        self.assertEqual((code, messages), (0, [value, value, TOOL_ERROR]))
        self.assertNotIn("hunter2", log)

    def test_the_network_is_the_proxy_on_the_socket(self) -> None:
        seen: list[str] = []

        class Proxy(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(f"POST {self.path} {self.headers['Host']} {self.headers['X-A']} {body.decode()}")
                self.send_response(201)
                self.send_header("X-B", "c")
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"y" * (40 if self.path.endswith("cut") else 100))

            def do_CONNECT(self) -> None:
                seen.append(f"CONNECT {self.path}")
                if self.path.startswith("no."):
                    self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                    return
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nready ")
                self.wfile.write(self.rfile.readline())

            def log_message(self, *args: object) -> None:
                pass

            def address_string(self) -> str:
                return "tool"

        body = """
def tool(call):
    what = want.text(call.payload)
    if what in ("connect", "refused"):
        s = connect("db.example" if what == "connect" else "no.example", 5432)
        s.sendall(b"ping\\n")
        return s.makefile("rb").read()
    r = http("https://api.example/a?b=" + what + "#f", "POST", {"X-A": "z"}, b"in", max_bytes=10 if what == "large" else 100)
    return [r.status, r.header("X-B"), len(r.body)]
serve(tool)"""
        with tempfile.TemporaryDirectory() as dir:
            path = os.path.join(dir, "net.sock")
            server = ThreadingUnixStreamServer(path, Proxy)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                asks = b"".join(frame(request(guest.encode(what))) for what in ["one", "large", "cut", "connect", "refused", "one"])
                code, messages, log = self.run_tool(body, asks, env={"MYTHOS_NET": path})
            finally:
                server.shutdown()
                thread.join()
                server.server_close()
        got = response(200, guest.encode([201, "c", 100]))
        self.assertEqual(messages, [got, TOOL_ERROR, TOOL_ERROR, response(200, guest.encode(b"ready ping\n")), TOOL_ERROR, got], log)
        self.assertEqual(seen[0], "POST https://api.example/a?b=one api.example z in")
        self.assertEqual(seen[3:5], ["CONNECT db.example:5432", "CONNECT no.example:5432"])
        code, messages, log = self.run_tool(body, frame(request(guest.encode("one"))))
        self.assertEqual((code, messages), (0, [TOOL_ERROR]))
        self.assertIn("MYTHOS_NET is not set", log)

    def test_descriptors_that_do_not_block(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        child = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SDK)!r}); from mythos_tool import serve; serve(lambda call: call.payload)"],
            stdin=theirs, stdout=theirs,
        )
        theirs.close()
        with ours:
            ours.sendall(frame(HELLO))
            ours.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: ours.recv(1 << 16), b""))
        self.assertEqual((child.wait(), framed(got)[0]), (0, [response(200, unhex("0605 68656c6c6f"))]))


class Documented(Case):
    def test_the_example_of_the_module(self) -> None:
        text = (guest.__doc__ or "").split("    from mythos_tool", 1)[1].split("A tool is one function", 1)[0]
        source = "    from mythos_tool" + text
        body = "\n".join(line[4:] for line in source.splitlines())
        asks = frame(request(guest.encode("Ada"))) + frame(request(guest.encode(""))) + frame(request(b"\0"))
        code, messages, _ = Processes.run_tool(self, body, asks)  # type: ignore[arg-type]
        self.assertEqual(code, 0)
        self.assertEqual(messages, [response(200, guest.encode("hello Ada")), response(422, b"\0", "name_empty", "say who you are"), BAD_REQUEST])

    def test_importing_it_loads_nothing_else(self) -> None:
        program = f"import sys; sys.path.insert(0, {str(SDK)!r}); before = set(sys.modules); import mythos_tool; print(sorted(set(sys.modules) - before))"
        out = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
        self.assertEqual(out, "['mythos_tool']\n")
