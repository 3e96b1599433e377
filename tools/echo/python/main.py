"""The reference tool demo/echo as a process module for Python: it answers its
payload and logs one line for each call. Beside it lies mythos_tool.py, a copy of
sdk/python/mythos_tool.py."""

from mythos_tool import log, serve


def echo(call):
    log.info(f"echo {len(call.raw.data)} bytes")
    return call.raw


serve(echo)
