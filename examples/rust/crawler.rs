// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crawler: three processes take URLs from a queue and fetch the pages of a server, two find in them what they look
//! for. The server is a process of its own, on this machine; nothing goes out to a network. An item without a body says
//! that there is no more, and each process leaves it to the next one.
#![expect(clippy::print_stdout, reason = "an example prints")]

use carrick::process::{Child, StartOptions, fork};
use carrick::queue::{Queue, QueueOptions};
use carrick::server::{Session, StreamOptions, StreamServer};
use carrick::{Connection, Deadline, Error, Kind, Result, Stream};

const NEVER: Deadline = Deadline::NEVER;
const ON_A_PAGE: usize = 2;
const KNOTS: [&str; 10] = [
    "bowline",
    "clove hitch",
    "figure eight",
    "reef knot",
    "sheet bend",
    "half hitch",
    "rolling hitch",
    "carrick bend",
    "cleat hitch",
    "anchor hitch",
];

/// Receives until the other side closes, or until the text ends with `end`.
fn text_from(stream: &Stream, end: &str) -> Result<String> {
    let (mut all, mut part) = (Vec::new(), [0; 512]);
    while end.is_empty() || !all.ends_with(end.as_bytes()) {
        match stream.recv(&mut part, NEVER)? {
            0 => break,
            n => all.extend_from_slice(&part[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// Answers one request, `GET /top?start=NUMBER`, with a page, and closes.
fn serve(session: &Session<'_>) -> Result<()> {
    let request = text_from(session.stream, "\r\n\r\n")?;
    let path = request.strip_prefix("GET /top?start=").and_then(|rest| rest.split(' ').next());
    let Some(start) = path.and_then(|number| number.parse().ok()) else { return Ok(()) };
    let mut page = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n".to_owned();
    for (id, knot) in KNOTS.iter().enumerate().skip(start).take(ON_A_PAGE) {
        page += &format!("<em>{id}</em><span class=\"title\">{knot}</span>");
        page += &format!("<span class=\"uses\">{} uses</span>\n", id * id);
    }
    session.stream.send_all(page.as_bytes(), NEVER)
}

/// The server has threads, so it has a process of its own. Its address goes to the parent, with which it ends.
fn run_server(channel: Option<Connection>) -> Result<()> {
    let channel = channel.ok_or_else(|| Error::new(Kind::State, "run the server"))?;
    let server = StreamServer::bind(&"127.0.0.1:0".parse()?, StreamOptions::default())?;
    channel.send(server.handle().address().to_string().as_bytes(), NEVER)?;
    server.serve(serve)
}

/// The page of `http://HOST:PORT/PATH`, with its head.
fn fetch(url: &str) -> Result<String> {
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let server = Stream::connect(&address.parse()?, NEVER)?;
    server.send_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes(), NEVER)?;
    text_from(&server, "")
}

/// The text between the two marks, and the text behind them.
fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(left)?.1.split_once(right)
}

/// Takes texts from the queue until there is no more.
fn each(queue: &Queue, mut what: impl FnMut(&str) -> Result<()>) -> Result<()> {
    loop {
        let item = queue.get(NEVER)?;
        if item.is_empty() {
            return queue.put(b"", NEVER);
        }
        what(&String::from_utf8_lossy(&item))?;
    }
}

fn find(page: &str, found: &Queue) -> Result<()> {
    let mut rest = page;
    while let Some((id, after)) = between(rest, "<em>", "</em>") {
        let Some((title, after)) = between(after, "<span class=\"title\">", "</span>") else { break };
        let Some((uses, after)) = between(after, "<span class=\"uses\">", "</span>") else { break };
        found.put(format!("{id}: {title}, {uses}").as_bytes(), NEVER)?;
        rest = after;
    }
    Ok(())
}

fn started(count: usize, body: impl Fn() -> Result<()>) -> Result<Vec<Child>> {
    (0..count).map(|_| fork(StartOptions::default(), |_| body().is_err().into())).collect()
}

fn joined(children: &[Child]) -> Result<()> {
    for child in children {
        if child.join(NEVER)?.code() != 0 {
            return Err(Error::new(Kind::WorkerDied, "join a worker"));
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let (urls, found) = (Queue::new(QueueOptions::default())?, Queue::new(QueueOptions::default())?);
    let pages = Queue::new(QueueOptions { max_items: 2, ..QueueOptions::default() })?;
    let options = StartOptions { daemon: true, channel: true };
    let server = fork(options, |channel| run_server(channel).is_err().into())?;
    let channel = server.channel().ok_or_else(|| Error::new(Kind::State, "reach the server"))?;
    let address = String::from_utf8_lossy(&channel.recv(NEVER)?).into_owned();

    let fetchers = started(3, || each(&urls, |url| pages.put(fetch(url)?.as_bytes(), NEVER)))?;
    let finders = started(2, || each(&pages, |page| find(page, &found)))?;
    for start in (0..KNOTS.len()).step_by(ON_A_PAGE) {
        urls.put(format!("http://{address}/top?start={start}").as_bytes(), NEVER)?;
    }
    urls.put(b"", NEVER)?;
    joined(&fetchers)?;
    pages.put(b"", NEVER)?;
    joined(&finders)?;

    let mut lines = Vec::new();
    while !found.is_empty()? {
        lines.push(String::from_utf8_lossy(&found.get(NEVER)?).into_owned());
    }
    lines.sort();
    println!("{}", lines.join("\n"));
    server.terminate()?;
    server.join(NEVER).map(drop)
}
