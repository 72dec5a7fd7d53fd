// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fork servers of functions of the program.

use crate::boundary::boundary;
use crate::handle::{free, give, opaque};
use crate::memory::{output, write};
use crate::process::{Function, call, flush};
use crate::status::carrick_status;
use carrick::process::{ForkServer, Task};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// A process that was forked early, before the program had threads, and forks others on request: carrick_process_start
/// with it in the options. Some children are always ready, so they start fast, and they have nothing of this
/// process's threads and later memory. Thread word: ANY. A child made by fork may go on using it.
pub struct carrick_fork_server {
    _opaque: [u8; 0],
}
opaque!(carrick_fork_server => ForkServer, b"ck-forks");

/// Forks the server. Call it before the program has threads: what carrick_process_start says of forks holds for its
/// children, too. It ends with the last process that has it. out_fork_server is OWNED.
/// Codes: E_NOMEMORY, E_OS (EAGAIN, EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_fork_server_new(
    out_fork_server: *mut *mut carrick_fork_server,
) -> carrick_status {
    const OPERATION: &str = "make fork server";
    boundary(OPERATION, || {
        output(out_fork_server, "out_fork_server", OPERATION)?;
        flush();
        write(out_fork_server, give(ForkServer::new(attend)?));
        Ok(())
    })
}

/// Lets the server go; processes that it has forked go on. Nobody else may be inside. NULL does nothing. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_fork_server_free(fork_server: *mut carrick_fork_server) {
    let _ = boundary("free", || {
        free(fork_server);
        Ok(())
    });
}

/// The exit code of a child that could not begin.
const FAILED: i32 = 101;

/// The request to the server: the function's address, which is the same there, and the numbers of the descriptors.
pub(crate) struct Body<'a> {
    pub(crate) function: Function,
    pub(crate) argument: &'a [u8],
    pub(crate) numbers: Vec<i32>,
}

impl Body<'_> {
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut body = (self.function as usize).to_ne_bytes().to_vec();
        body.extend(self.numbers.len().to_ne_bytes());
        body.extend(self.numbers.iter().flat_map(|number| number.to_ne_bytes()));
        body.extend(self.argument);
        body
    }
}

fn attend(task: Task) -> i32 {
    run(task).unwrap_or(FAILED)
}

fn run(task: Task) -> Option<i32> {
    let (address, rest) = task.body.split_first_chunk()?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let mut numbers = Vec::new();
    for _ in 0..usize::from_ne_bytes(*count) {
        let (number, after) = rest.split_first_chunk()?;
        numbers.push(i32::from_ne_bytes(*number));
        rest = after;
    }
    renumber(task.descriptors, &numbers)?;
    let address = usize::from_ne_bytes(*address) as *const ();
    // SAFETY: it is the address of such a function: only carrick_process_start of a process with the same program in
    // the same places, this one's parent, has the socket that it came over.
    let function = unsafe { std::mem::transmute::<*const (), Function>(address) };
    Some(call(function, rest, task.channel))
}

/// Gives descriptors their numbers.
fn renumber(descriptors: Vec<OwnedFd>, numbers: &[i32]) -> Option<()> {
    let above = numbers.iter().max().map_or(0, |most| most.saturating_add(1));
    // Out of the way of one another first.
    let mut moved = Vec::new();
    for fd in descriptors {
        // SAFETY: fcntl makes a new descriptor of an open one.
        let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, above) };
        if copy < 0 {
            return None;
        }
        moved.push(crate::stream::own(copy));
    }
    for (fd, number) in moved.into_iter().zip(numbers) {
        let from = fd.into_raw_fd();
        // SAFETY: the number is to be this descriptor's, whatever it was before: the child has nothing of its own yet.
        if unsafe { libc::dup2(from, *number) } < 0 {
            return None;
        }
        drop(crate::stream::own(from));
    }
    Some(())
}
