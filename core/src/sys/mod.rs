// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operating system: the only place in core that knows it, and with it the only module of the wire
//! that may say `unsafe`.
//!
//! # What a port supplies
//! Each function returns `io::Result`; a descriptor becomes an `OwnedFd` in the line that made it. None
//! retries after a signal: EINTR goes to the caller, who asks the interrupt hook.
//!
//! | function | blocks | signals | fork |
//! |---|---|---|---|
//! | `recv`, `recv_uninit`, `send_vectored`, `recv_from`, `send_to` | never (they are told not to) | no SIGPIPE | - |
//! | `recv_waiting`, `send_waiting` | where the socket blocks | EINTR, unless the handler has SA_RESTART; no SIGPIPE | - |
//! | `read_pipe`, `write_pipe` | never where the kernel can say so, else after a readiness check | no SIGPIPE when asked | - |
//! | `accept` | as the listener's flags say; ours are non-blocking | EINTR is reported | close-on-exec |
//! | `poll` | until ready, deadline or signal | EINTR is reported | - |
//! | `Epoll` | as `poll` | EINTR is reported | the child shares it: use it in one process |
//! | `Wake` (eventfd) | never | `set` is safe in a signal handler | shared |
//! | `OwnWake` | never | safe in a signal handler | the child has one of its own |
//! | `Berths` | `sleep` as its call does, until `wake` | it has a handler for SIGURG, unless the program has one; `wake` is safe in a handler | the child finds them empty |
//! | `reserve_descriptors` | never | - | - |
//! | `fork_child`, `ProcessHandle` | `wait` until the child ends or deadline | EINTR is reported | - |
//! | `message_pair`, `pipe`, `send_message`, `recv_message`, `peek_message` | `recv_message` when asked to | EINTR is reported; no SIGPIPE | close-on-exec |
//! | `fork_plain`, `add_extras`, `occupy` | never | what `add_extras` does is safe between fork and exec | - |
//! | `ignore_interrupt`, `heed_interrupt`, `is_only_thread`, `cores`, `clock_nanos` | never | they change SIGINT of the process | - |
//! | `pidfd`, `reap`, `reap_number`, `is_stopped`, `signal_pidfd`, `signal_number`, `is_gone`, `is_refused`, `kill_child`, `bury_child` | `bury_child` until the child has ended | - | only the parent can reap |
//! | `KeepChildren` | never | SIGCHLD has its default action meanwhile | the child drops it, which puts the other back |
//! | `MostDescriptors` | never | - | the child drops it, which puts the limit back |
//! | `at_exit` | never | - | a child has it, too |
//! | `die_with_parent`, `outlive_parent` | never | - | the child of a fork starts without |
//! | `lifeline`, `hold_on` | never | `hold_on` is safe between fork and exec | a child has no lifeline of its own yet |
//! | `memory_file`, `sparse_file`, `grow_file`, `read_file`, `reserve_file`, `punch_file`, `is_sealed`, `shared_length`, `file_id`, `Mapping` | never | - | a child has file and mapping, too |
//! | `nameable_file`, `name_file`, `open_name`, `remove_name`, `path_of_name`, `name_of`, `is_private` | never | - | close-on-exec; names are the user's |
//! | `futex_wait`, `futex_wake` | `futex_wait` until woken, deadline or signal | EINTR is reported | across processes |
//! | `Identity`, `thread_mark` | never (it may read /proc) | - | the child finds its own |
//! | `watch_forks`, `generation`, `forks`, `set_in_child` | never | - | what they count, and the one handler |
//!
//! Linux is the one port there is. `reserve` is for all: memory for when the system has none.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

mod reserve;
pub use reserve::Reserve;

#[cfg(not(target_os = "linux"))]
compile_error!("carrick runs on Linux; a port supplies the functions that core/src/sys/mod.rs lists");
