// SPDX-License-Identifier: MIT OR Apache-2.0
//! An authenticated server that echoes messages, and its client.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::auth::{self, AuthOptions};
use carrick::server::{MessageOptions, MessageServer, Request};
use carrick::{Deadline, Format};

fn main() -> carrick::Result<()> {
    let auth = AuthOptions::new(b"secret");
    let options = MessageOptions { auth: Some(auth.clone()), ..MessageOptions::default() };
    let server = MessageServer::bind(&"127.0.0.1:0".parse()?, options)?;
    let handle = server.handle();
    let serving =
        std::thread::spawn(move || server.serve(|request: &mut Request<'_>| request.reply(request.body())));

    let client = auth::connect(handle.address(), Format::default(), Some(&auth), Deadline::NEVER)?;
    client.send(b"hello", Deadline::NEVER)?;
    println!("{}", String::from_utf8_lossy(&client.recv(Deadline::NEVER)?));

    handle.shutdown(Deadline::NEVER)?;
    serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
