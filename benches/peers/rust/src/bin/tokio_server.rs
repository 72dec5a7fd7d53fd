// SPDX-License-Identifier: MIT OR Apache-2.0
//! Echoes frames by tokio and tokio-util's `LengthDelimitedCodec`. The argument says which runtime: `multi`
//! or `current`. Prints its port, then serves until it is killed.
//!
//! A task for each connection, no delay on the sockets, and replies to all frames that one read brought
//! leave in one write: what `forward` does.

use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt};
use std::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_util::codec::LengthDelimitedCodec;

async fn echo(socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let framed = LengthDelimitedCodec::builder().length_field_length(4).big_endian().new_framed(socket);
    let (replies, requests) = framed.split();
    requests.map_ok(BytesMut::freeze).forward(replies).await
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(echo(socket));
    }
}

fn main() -> io::Result<()> {
    let mut builder = match std::env::args().nth(1).as_deref() {
        Some("multi") => Builder::new_multi_thread(),
        Some("current") => Builder::new_current_thread(),
        _ => return Err(io::Error::other("usage: tokio_server multi|current")),
    };
    builder.enable_io().build()?.block_on(async { tokio::spawn(serve()).await? })
}
