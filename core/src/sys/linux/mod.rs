// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Linux port.

mod berth;
mod descriptor;
mod ending;
mod event;
mod fork;
mod identity;
mod io;
mod lineage;
mod memory;
mod name;
mod passing;
mod process;

pub(crate) use berth::Berths;
pub(crate) use descriptor::lift;
pub(crate) use ending::{
    ProcessHandle, is_gone, is_refused, is_stopped, pidfd, reap, reap_number, signal_number, signal_pidfd,
};
pub(crate) use event::{Epoll, Event, Interest, OwnWake, PollSlot, Wake, poll};
pub(crate) use fork::{forks, generation, set_in_child, watch_forks};
pub(crate) use identity::{Identity, thread_mark};
pub(crate) use io::{
    accept, as_uninit, close_fd, commit, kind_of_fd, lend_fd, own_fd, quick_ack, read_pipe, recv, recv_from,
    recv_uninit, recv_waiting, reserve_descriptors, send_to, send_vectored, send_waiting, shutdown_both,
    write_pipe,
};
pub(crate) use lineage::{
    KeepChildren, MostDescriptors, bury_child, can_hold_on, die_with_parent, hold_on, kill_child, lifeline,
    outlive_parent,
};
pub(crate) use memory::{
    Mapping, file_id, futex_wait, futex_wake, grow_file, is_sealed, longest_file, low_half, memory_file,
    punch_file, read_file, reserve_file, shared_length, sparse_file,
};
pub(crate) use name::{is_private, name_file, name_of, nameable_file, open_name, path_of_name, remove_name};
pub(crate) use passing::{MOST_DESCRIPTORS, message_pair, peek_message, pipe, recv_message, send_message};
pub(crate) use process::{
    Extras, ForkOutcome, add_extras, at_exit, clock_nanos, cores, exit_now, fork_child, fork_plain,
    heed_interrupt, ignore_interrupt, is_only_thread, occupy, yield_now,
};

/// Turns the -1 of a system call into the `io::Error` of its errno.
macro_rules! syscall {
    ($call:ident ( $($arg:expr),* $(,)? )) => {{
        // SAFETY: the wrapper that uses this macro establishes that pointers and lengths describe live memory.
        let result = unsafe { libc::$call($($arg),*) };
        if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
    }};
}
use syscall;
