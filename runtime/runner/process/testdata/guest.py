"""The modules of the acceptance suite, in Python: guest.py BEHAVIOUR."""
import os
import signal
import sys
import time

LOG = b"line one\n\x1b[31mred\x07"
MAX_RESPONSE = 16 << 10
count = 0


def read_exactly(n):
    out = b""
    while len(out) < n:
        b = os.read(0, n - len(out))
        if not b:
            return None
        out += b
    return out


def read_frame():
    n = shift = 0
    while True:
        b = read_exactly(1)
        if b is None:
            return None
        n |= (b[0] & 0x7F) << shift
        if b[0] < 0x80:
            return read_exactly(n)
        shift += 7


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def write(fd, b):
    while b:
        b = b[os.write(fd, b):]


def answer(b):
    write(1, varint(len(b)) + b)


def for_ever():
    while True:
        time.sleep(1000)


def child_in_its_own_session():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for_ever()
        os._exit(0)


def late_child():
    if os.fork() == 0:
        time.sleep(0.2)
        answer(b"late")
        os._exit(0)


def deaf():
    for s in range(1, 65):
        try:
            signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    for_ever()


def crash():
    import ctypes
    ctypes.string_at(0)


def counted():
    global count
    count += 1
    for path in ("/tmp/count", "/module/count"):
        try:
            with open(path, "a") as f:
                f.write("x")
            count = max(count, os.path.getsize(path))
        except OSError:
            pass
    return bytes([count])


def response(status, text=""):
    """A ToolResponse: 200 carries a text, any other status NULL."""
    body = b"\x06" + varint(len(text)) + text.encode() if status == 200 else b"\x00"
    return (b"\x08\x03\x03\x01\x06\x14mythos.tool.response\x03\x02\x03" + varint(status)
            + b"\x03\x03\x05" + varint(len(body)) + body)


def main(how, args):
    if how == "unread":
        return answer(b"unread")
    if how == "mirror":
        q = read_frame()
        while q is not None:
            answer(q)
            q = read_frame()
        return None
    if how == "incoherent":
        answer(b"unread")
        return read_frame()
    q = read_frame()
    if how == "echo":
        answer(q)
    elif how == "log":
        write(2, LOG)
        answer(q)
    elif how == "chatty":
        for _ in range(100):
            write(2, LOG)
        answer(q)
    elif how == "garbage":
        answer(b"\xff\xfegarbage")
    elif how == "nothing":
        pass
    elif how == "toomuch":
        answer(b"x" * (MAX_RESPONSE + 1))
    elif how == "trap":
        crash()
    elif how == "loop":
        while True:
            pass
    elif how == "grow":
        b = bytearray(1 << 30)
        for i in range(0, len(b), 4096):
            b[i] = 1
        answer(q)
    elif how == "exit":
        os._exit(3)
    elif how == "random":
        answer(os.urandom(64))
    elif how == "count":
        answer(counted())
    elif how == "twice":
        answer(q)
        answer(q)
    elif how == "tail":
        write(1, varint(len(q)) + q + b"x")
    elif how == "early":
        write(1, b"\x80\x00" + varint(len(q)) + q)
    elif how == "claim":
        write(1, varint(4 << 30))
        for_ever()
    elif how == "partial":
        write(1, varint(len(q)) + q[:len(q) // 2])
        for_ever()
    elif how == "broken":
        write(1, varint(len(q)) + q[:len(q) // 2])
    elif how == "flood":
        for _ in range(128):
            write(2, b"y" * 65536)
        answer(q)
    elif how == "crash":
        answer(q)
        crash()
    elif how == "fail":
        answer(q)
        os._exit(3)
    elif how == "linger":
        answer(q)
        for_ever()
    elif how == "closed":
        os.close(1)
        for_ever()
    elif how == "daemon":
        child_in_its_own_session()
        answer(q)
    elif how == "fork":
        late_child()
    elif how == "deaf":
        deaf()
    elif how == "many":
        for _ in range(63):
            if os.fork() == 0:
                for_ever()
        answer(q)
        for_ever()
    elif how == "look":
        answer(look(args))
    else:
        return serve(how, q)
    return None


def look(args):
    """What the module sees: one line for each question."""
    out = []
    for a in args:
        kind, _, what = a.partition(":")
        try:
            if kind == "env":
                out.append(" ".join(sorted(k + "=" + v for k, v in os.environ.items())))
            elif kind == "argv":
                out.append(" ".join(sys.argv) + " in " + os.getcwd())
            elif kind == "list":
                out.append(" ".join(sorted(os.listdir(what))))
            elif kind == "read":
                with open(what) as f:
                    out.append(f.read())
            elif kind == "write":
                path, _, n = what.partition("=")
                with open(path, "wb") as f:
                    left = int(n)
                    while left:
                        left -= f.write(b"z" * min(left, 65536))
                out.append("wrote")
            elif kind == "fds":
                out.append(" ".join(str(fd) for fd in range(64) if os.path.exists("/proc/self/fd/%d" % fd)))
            elif kind == "secret":
                out.append(os.read(int(os.environ[what]), 100).decode())
            elif kind == "path":
                out.append(" ".join(sys.path))
            elif kind == "import":
                __import__(what)
                out.append("imported")
            elif kind == "connect":
                import socket
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(os.environ["MYTHOS_NET"])
                    s.sendall(what.encode())
                    s.shutdown(socket.SHUT_WR)
                    out.append(s.recv(1000).decode())
        except Exception as e:
            out.append(type(e).__name__)
    return "\n".join(out).encode()


def serve(how, q):
    """A reuse worker, told by each request how to behave."""
    global count
    while q is not None:
        count += 1
        said = response(200, str(count))
        if q == b"bad":
            answer(response(500))
        elif q == b"raw":
            answer(b"no response")
        elif q == b"noisy":
            write(2, b"call %d\n" % count)
            answer(said)
        elif q == b"flood":
            write(2, b"y" * 65536)
            answer(said)
        elif q == b"babble":
            write(1, varint(len(said)) + said + b"!")
        elif q == b"last":
            return answer(said)
        elif q == b"late":
            answer(said)
            time.sleep(0.05)
            write(1, b"!")
        elif q == b"die":
            os._exit(3)
        elif q == b"hang":
            for_ever()
        elif q.startswith(b"fetch "):
            answer(response(200, look(["connect:" + q[6:].decode()]).decode()))
        else:
            answer(said)
        q = read_frame()
    return None


main(sys.argv[1], sys.argv[2:])
