# SPDX-License-Identifier: MIT OR Apache-2.0
"""The asynchronous model: coroutines of asyncio over carrick's sockets, all on one thread."""

import asyncio

import carrick.socket as socket


async def converse(client):
    loop = asyncio.get_running_loop()
    with client:
        while text := await loop.sock_recv(client, 64):  # b"" when the client has closed
            await loop.sock_sendall(client, text.upper())


async def serve(listener):
    loop = asyncio.get_running_loop()
    conversations = []
    for _ in range(3):
        client, _ = await loop.sock_accept(listener)
        conversations.append(asyncio.create_task(converse(client)))
    await asyncio.gather(*conversations)
    print(f"server: {len(conversations)} clients served")


async def connect(address):
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, address)
    return client


async def main():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = asyncio.create_task(serve(listener))
        names = ["anchor", "bow", "capstan"]
        clients = [await connect(listener.getsockname()) for _ in names]
        for name, client in zip(names, clients, strict=True):
            with client:
                await loop.sock_sendall(client, name.encode())
                answer = await loop.sock_recv(client, 64)
                print(f"{name}: {answer.decode()}")
        await server


asyncio.run(main())
