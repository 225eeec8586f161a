# heap: 256k
"""asyncio's one face: queue, timeouts, datagrams, streams, the clock."""

from edge.compat import aio

PORT = 17311  # below the range that the system gives out by itself


async def queue():
    q = aio.Queue(2)
    got = []

    async def produce():
        for i in range(6):
            await q.put(i)

    async def consume():
        for _ in range(6):
            got.append(await q.get())

    await aio.gather(produce(), consume())
    print("queue", got, len(q))
    q.put_nowait(1)
    q.put_nowait(2)
    try:
        q.put_nowait(3)
    except aio.QueueFull:
        print("full", len(q))
    print(await q.get(), await q.get())
    try:
        await aio.wait_for_ms(q.get(), 20)
    except aio.TimeoutError:
        print("nothing came")


async def datagrams():
    a = aio.Udp("127.0.0.1", PORT)
    b = aio.Udp("127.0.0.1", PORT + 1)
    waiting = aio.create_task(b.recv())
    await aio.sleep_ms(5)
    print("sent", a.send(b"into the void", aio.udp_address("127.0.0.1", PORT + 1)))
    while not waiting.done():
        await aio.sleep_ms(1)
    a.send(b"hello", aio.udp_address("127.0.0.1", PORT + 1))
    data, address = await aio.wait_for_ms(b.recv(), 2000)
    print(data, address)
    b.send(b"back", address)
    print(await aio.wait_for_ms(a.recv(), 2000))
    print("too long", a.send(bytes(70000), address))
    a.close()
    b.close()


async def streams():
    async def serve(reader, writer):
        line = await reader.readexactly(5)
        writer.write(line + b"!")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await aio.start_server(serve, "127.0.0.1", PORT)
    reader, writer = await aio.open_connection("127.0.0.1", PORT)
    writer.write(b"12345")
    await writer.drain()
    print("stream", await reader.read(100), await reader.read(100))
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def cancel():
    async def forever():
        try:
            await aio.Event().wait()
        except aio.CancelledError:
            print("cancelled")
            raise

    task = aio.create_task(forever())
    await aio.sleep_ms(1)
    task.cancel()
    try:
        await task
    except aio.CancelledError:
        print("seen")


async def main():
    start_ms = aio.ticks_ms()
    await queue()
    await datagrams()
    await streams()
    await cancel()
    took_ms = aio.ticks_ms() - start_ms
    print("clock", 20 <= took_ms < 5000)
    return 7


print(aio.run(main()))
print(aio.run(main()))
for bad in (lambda: aio.udp_address("127.0.0.1", 0), lambda: aio.Queue(0)):
    try:
        bad()
    except ValueError as error:
        print(error)
