// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that has only the crate, as a path dependency.

use carrick::auth::{AuthOptions, Role, authenticate};
use carrick::server::{MessageOptions, MessageServer, Request};
use carrick::{Connection, Deadline, Format, Stream};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = AuthOptions::new(b"secret");
    let options = MessageOptions { auth: Some(auth.clone()), ..MessageOptions::default() };
    let server = MessageServer::bind(&"127.0.0.1:0".parse()?, options)?;
    let handle = server.handle();
    let serving = std::thread::spawn(move || {
        server.serve(|request: &mut Request<'_>| {
            let body = request.body().to_vec();
            request.reply(&body)
        })
    });
    let deadline = || Deadline::after(Duration::from_secs(10));
    let client = Connection::new(Stream::connect(handle.address(), deadline())?, Format::MULTIPROCESSING);
    authenticate(&client, Role::Client, &auth)?;
    client.send(b"knot", deadline())?;
    let answer = client.recv(deadline())?;
    client.close();
    handle.shutdown(deadline())?;
    serving.join().map_err(|_| "the server panicked")??;
    if answer != b"knot" {
        return Err("the echo differs".into());
    }
    println!("carrick answered");
    Ok(())
}
