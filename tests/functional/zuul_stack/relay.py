# SPDX-License-Identifier: Apache-2.0
"""A relay from listening sockets of one network namespace to the same ports of another.

A socket stays in the namespace in which it was made: a process in a new namespace that inherits it
accepts connections from outside, and connects to the servers inside.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

_CHUNK = 65536


@contextlib.contextmanager
def relaying(listening: Sequence[socket.socket]) -> Iterator[None]:
    """Relay the connections of these sockets, each to its port on loopback, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_serve, args=(loop, listening))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _serve(loop: asyncio.AbstractEventLoop, listening: Sequence[socket.socket]) -> None:
    asyncio.set_event_loop(loop)
    for each in listening:
        loop.run_until_complete(_listen(each))
    loop.run_forever()
    # Connections may still be open: their tasks end here.
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


async def _listen(listening: socket.socket) -> None:
    port = listening.getsockname()[1]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, inside[1]), _copy(inside[0], writer))

    await asyncio.start_server(relay, sock=listening)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends; to close the writer ends the other direction too."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
