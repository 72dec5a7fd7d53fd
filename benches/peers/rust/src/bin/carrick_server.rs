// SPDX-License-Identifier: MIT OR Apache-2.0
//! Echoes frames by carrick's `MessageServer`. Prints its port, then serves until it is killed.

use carrick::server::{MessageOptions, MessageServer, Request};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let server = MessageServer::bind(&"127.0.0.1:0".parse()?, MessageOptions::default())?;
    let address = server.handle().address().to_string();
    println!("{}", address.rsplit(':').next().unwrap_or_default());
    server.serve(|request: &mut Request<'_>| {
        let body = request.body();
        request.reply(body)
    })?;
    Ok(())
}
