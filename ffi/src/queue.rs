// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues in memory that processes share.

use crate::boundary::{ask, boundary, fill, make, on, on_any};
use crate::connection::{carrick_slice, slices};
use crate::handle::{free, give, null, opaque};
use crate::memory::{self, bytes, bytes_mut, flag, give_bytes, options, output, tell_needed, text, write};
use crate::status::carrick_status;
use crate::stream::adopt;
use carrick::queue::{Queue, QueueOptions};
use carrick::{Deadline, Error, Kind, Result};
use std::ffi::{c_char, c_void};
use std::os::fd::{AsFd, AsRawFd};

/// A queue of messages for threads and processes: first in, first out, any number of producers and consumers. A child
/// made by fork may go on using it; another program attaches to its descriptor. Thread word: ANY.
pub struct carrick_queue {
    _opaque: [u8; 0],
}
opaque!(carrick_queue => Queue, b"ck-queue");

/// The limits of a queue. Fill it with carrick_queue_options_init.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct carrick_queue_options {
    /// The size of this struct, set by _init.
    pub struct_size: usize,
    /// The most items in the queue; 0 is no limit (0).
    pub max_items: u64,
    /// The most bytes of bodies in the queue; 0 is no limit (0). A body over it is refused.
    pub max_bytes: u64,
    /// Make a descriptor that can be waited for: 0 or 1 (0).
    pub selectable: i32,
    /// As a pipe does it: an item of any length is put as soon as fewer than max_bytes are there: 0 or 1 (0).
    pub soft: i32,
}

impl carrick_queue_options {
    fn defaults() -> Self {
        Self { struct_size: size_of::<Self>(), max_items: 0, max_bytes: 0, selectable: 0, soft: 0 }
    }

    /// The limits, and whether the queue is to be selectable.
    fn read(given: *const Self, operation: &'static str) -> Result<(QueueOptions, bool)> {
        let given = options(given, Self::defaults(), operation)?;
        let soft = flag(given.soft, "soft", operation)?;
        let limits = QueueOptions { max_items: given.max_items, max_bytes: given.max_bytes, soft };
        Ok((limits, flag(given.selectable, "selectable", operation)?))
    }
}

/// Fills queue options with the defaults.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_options_init(
    out_options: *mut carrick_queue_options,
) -> carrick_status {
    fill(out_options, "out_options", "init queue options", || Ok(carrick_queue_options::defaults()))
}

/// Makes an empty queue. options may be NULL (no limits). out_queue is OWNED.
/// Codes: E_INVALID, E_VERSION, E_NOMEMORY, E_OS (EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_new(
    options: *const carrick_queue_options,
    out_queue: *mut *mut carrick_queue,
) -> carrick_status {
    const OPERATION: &str = "make queue";
    make(out_queue, "out_queue", OPERATION, || {
        let (limits, selectable) = carrick_queue_options::read(options, OPERATION)?;
        let queue = Queue::new(limits)?;
        if selectable { queue.selectable() } else { Ok(queue) }
    })
}

/// Makes an empty queue with a name: 1 to 200 letters, digits and any of '.', '_', '-', the first one not '.'. Other
/// programs of the same user open it (carrick_name_open, carrick_queue_attach) until carrick_name_remove. options may be
/// NULL (no limits). out_queue is OWNED.
/// Codes: E_INVALID, E_VERSION, E_STATE (options.selectable: what has a name has no bell), E_NOMEMORY (or /dev/shm is
/// full), E_OS (EEXIST: there is one of this name; EMFILE, ...), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_create(
    name: *const c_char,
    name_len: usize,
    options: *const carrick_queue_options,
    out_queue: *mut *mut carrick_queue,
) -> carrick_status {
    const OPERATION: &str = "create queue";
    make(out_queue, "out_queue", OPERATION, || {
        let name = text(name, name_len, OPERATION)?;
        let (limits, selectable) = carrick_queue_options::read(options, OPERATION)?;
        if selectable {
            let detail = "options.selectable is 1: a queue with a name has no descriptor to wait for; give 0";
            return Err(Error::with_detail(Kind::State, OPERATION, detail));
        }
        Queue::create(name, limits)
    })
}

/// The queue behind descriptors that came from another process, by inheritance or over a Unix socket: its own, and
/// bell_fd, or -1 where the queue has none (carrick_queue_bell_fd). The descriptors are CONSUMED. out_queue is OWNED.
/// Codes: E_INVALID (it is no queue, or one of another version; it needs a bell, or has none, or bell_fd is not one), E_NOMEMORY, E_OS (EBADF), E_NULL.
/// ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_attach(
    fd: i32,
    bell_fd: i32,
    out_queue: *mut *mut carrick_queue,
) -> carrick_status {
    const OPERATION: &str = "attach queue";
    boundary(OPERATION, || {
        output(out_queue, "out_queue", OPERATION)?;
        let queue = if bell_fd == -1 {
            adopt(fd, OPERATION, Queue::attach)?
        } else {
            adopt(bell_fd, OPERATION, |bell| {
                adopt(fd, OPERATION, |file| Queue::attach_selectable(file, bell))
            })?
        };
        write(out_queue, give(queue));
        Ok(())
    })
}

/// The second descriptor to hand to another process, for a queue made selectable: BORROWED until the queue is freed.
/// Codes: E_STATE (the queue was not made selectable), E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_bell_fd(
    queue: *const carrick_queue,
    out_fd: *mut i32,
) -> carrick_status {
    ask(queue, out_fd, "out_fd", "get descriptor", |queue| Ok(queue.bell_fd()?.as_raw_fd()))
}

/// A descriptor that is readable while an item is in the queue, for poll, epoll or a carrick_poller: BORROWED until the
/// queue is freed. Do not read from it.
/// Codes: E_STATE (the queue was not made selectable), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_event_fd(
    queue: *const carrick_queue,
    out_fd: *mut i32,
) -> carrick_status {
    ask(queue, out_fd, "out_fd", "get descriptor", |queue| Ok(queue.event_fd()?.as_raw_fd()))
}

/// The descriptor to hand to another process: BORROWED until the queue is freed. It is close-on-exec.
/// Codes: E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_fd(queue: *const carrick_queue, out_fd: *mut i32) -> carrick_status {
    ask(queue, out_fd, "out_fd", "get descriptor", |queue| Ok(queue.as_fd().as_raw_fd()))
}

/// Puts an item at the end, waiting for room. After an error nothing was put.
/// Codes: E_FULL (only with timeout 0), E_TIMEOUT, E_CLOSED, E_FRAME_TOO_LARGE (over max_bytes), E_NOMEMORY,
/// E_INTERRUPTED, E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_put(
    queue: *const carrick_queue,
    data: *const u8,
    data_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(queue, "put", |queue| queue.put(bytes(data, data_len, "put")?, Deadline::from_nanos(timeout_ns)))
}

/// Puts one item whose body is the slices one after the other.
/// Codes: as carrick_queue_put. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_put_vectored(
    queue: *const carrick_queue,
    parts: *const carrick_slice,
    parts_len: usize,
    timeout_ns: i64,
) -> carrick_status {
    on(queue, "put", |queue| {
        queue.put_vectored(&slices(parts, parts_len, "put")?, Deadline::from_nanos(timeout_ns))
    })
}

/// Takes the item at the beginning, waiting for one, into memory of the library: *out_data is OWNED, free it with
/// carrick_bytes_free. After an error nothing was taken.
/// Codes: E_EMPTY (only with timeout 0), E_TIMEOUT, E_CLOSED (and empty), E_NOMEMORY, E_INTERRUPTED, E_REENTRANT (from the
/// reader of an item in place), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_get(
    queue: *const carrick_queue,
    timeout_ns: i64,
    out_data: *mut *mut u8,
    out_len: *mut usize,
) -> carrick_status {
    on(queue, "get", |queue| {
        output(out_data, "out_data", "get")?;
        output(out_len, "out_len", "get")?;
        let body = queue.get(Deadline::from_nanos(timeout_ns))?;
        give_bytes(body, out_data, out_len);
        Ok(())
    })
}

/// Takes the item at the beginning into the caller's memory.
/// Codes: as carrick_queue_get, and E_BUFFER (out_len has the length needed; the item stays). ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_get_into(
    queue: *const carrick_queue,
    buffer: *mut u8,
    buffer_cap: usize,
    timeout_ns: i64,
    out_len: *mut usize,
) -> carrick_status {
    on(queue, "get", |queue| {
        output(out_len, "out_len", "get")?;
        let buffer = bytes_mut(buffer, buffer_cap, "get")?;
        let length = queue
            .get_into(buffer, Deadline::from_nanos(timeout_ns))
            .inspect_err(|e| tell_needed(e, out_len))?;
        write(out_len, length);
        Ok(())
    })
}

/// Has an item where it lies in the queue's memory.
/// Which thread: the one that called carrick_queue_get_in_place. Concurrent: no, other consumers of the queue wait. May it
/// block: better not, for their sake. Forbidden: to take from this queue or to close it (E_REENTRANT), to free it, to leave by
/// longjmp, by an exception or by the thread's end (pthread_cancel), to execute another program. Lifetime: data until it returns; nobody may write to it.
pub type carrick_item_reader_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, data: *const u8, data_len: usize)>;

/// Takes the item at the beginning without copying it: reader has it where it lies, and it is taken when reader returns. If
/// the process is killed before, the item is the next consumer's. Producers go on meanwhile, while there is room. Where it
/// forks, the child has the same item, and the parent is the one that takes it. All who
/// have the queue must use it by the library alone. user_data may be NULL.
/// Codes: as carrick_queue_get. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_get_in_place(
    queue: *const carrick_queue,
    reader: carrick_item_reader_fn,
    user_data: *mut c_void,
    timeout_ns: i64,
) -> carrick_status {
    on(queue, "get", |queue| {
        let reader = reader.ok_or_else(|| null("get", "reader"))?;
        // SAFETY: the function came with this pointer for this purpose.
        let read = |item: &[u8]| unsafe { reader(user_data, item.as_ptr(), item.len()) };
        // SAFETY: the header has the caller promise what this asks for.
        unsafe { queue.get_in_place(read, Deadline::from_nanos(timeout_ns)) }
    })
}

/// Puts items, one for each slice, waiting for room until the timeout, which is for all of them. out_count is how many were
/// put, those at the beginning, and is written after an error about an item, too. Items of other producers may come
/// between. A process that is killed in it has put a number of them, from the first one on.
/// Codes: as carrick_queue_put, about the first item that was not put. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_put_many(
    queue: *const carrick_queue,
    items: *const carrick_slice,
    items_len: usize,
    timeout_ns: i64,
    out_count: *mut usize,
) -> carrick_status {
    on(queue, "put", |queue| {
        output(out_count, "out_count", "put")?;
        let items = memory::items(items, items_len, "put")?;
        let bodies: Vec<&[u8]> =
            items.iter().map(|item| bytes(item.data, item.len, "put")).collect::<Result<_>>()?;
        let put = queue.put_many(&bodies, Deadline::from_nanos(timeout_ns));
        write(out_count, put.as_ref().map_or_else(|error| error.put, |()| bodies.len()));
        put.map_err(Error::from)
    })
}

/// Has an item that was taken.
/// Which thread: the one that called carrick_queue_get_many. Concurrent: no. May it block: yes, nobody waits for it.
/// Forbidden: to free the queue, to leave by longjmp, by an exception or by the thread's end (pthread_cancel). Lifetime:
/// data until it returns.
pub type carrick_item_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, data: *const u8, data_len: usize)>;

/// Takes what is in the queue, at most max_items, waiting until the timeout for the first one only, and then calls each
/// for one after the other, in their order. out_count is how many. They are copies, in memory of the library, and in this
/// process's hands: if it is killed they may all be gone. user_data may be NULL. With max_items 0 it takes none, at once.
/// Codes: as carrick_queue_get; what stands in the way of a later item is the code of the next call. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_get_many(
    queue: *const carrick_queue,
    max_items: usize,
    timeout_ns: i64,
    each: carrick_item_fn,
    user_data: *mut c_void,
    out_count: *mut usize,
) -> carrick_status {
    on(queue, "get", |queue| {
        output(out_count, "out_count", "get")?;
        let each = each.ok_or_else(|| null("get", "each"))?;
        let items = queue.get_many(max_items, Deadline::from_nanos(timeout_ns))?;
        for item in &items {
            // SAFETY: the function came with this pointer for this purpose.
            unsafe { each(user_data, item.as_ptr(), item.len()) };
        }
        write(out_count, items.len());
        Ok(())
    })
}

/// How many items are in the queue, at this moment.
/// Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_len(
    queue: *const carrick_queue,
    out_count: *mut u64,
) -> carrick_status {
    ask(queue, out_count, "out_count", "get length", Queue::len)
}

/// The bytes of the bodies in the queue, at this moment.
/// Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_bytes(
    queue: *const carrick_queue,
    out_count: *mut u64,
) -> carrick_status {
    ask(queue, out_count, "out_count", "get bytes", Queue::bytes)
}

/// How many items were put for which carrick_queue_task_done has not been called yet.
/// Codes: E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_unfinished(
    queue: *const carrick_queue,
    out_count: *mut u64,
) -> carrick_status {
    ask(queue, out_count, "out_count", "get unfinished", Queue::unfinished)
}

/// Says that a taker is done with an item.
/// Codes: E_INVALID (called more often than items were put), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_task_done(queue: *const carrick_queue) -> carrick_status {
    on(queue, "task_done", Queue::task_done)
}

/// Waits until carrick_queue_task_done has been called for every item that was put.
/// Codes: E_WOULD_BLOCK (only with timeout 0), E_TIMEOUT, E_INTERRUPTED, E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_join(queue: *const carrick_queue, timeout_ns: i64) -> carrick_status {
    on(queue, "join queue", |queue| queue.join(Deadline::from_nanos(timeout_ns)))
}

/// Ends the queue in every process that has it: nothing more is put, what is in it may still be taken, then getting
/// gives E_CLOSED. Wakes all who wait. Does nothing the second time.
/// Codes: E_REENTRANT (from the reader of an item in place), E_CORRUPT, E_NULL. ANY thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_close(queue: *const carrick_queue) -> carrick_status {
    on_any(queue, "close queue", Queue::close)
}

/// Frees this process's handle of a queue; its items stay for the others. NULL does nothing. Nobody else may be inside
/// a call on it. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn carrick_queue_free(queue: *mut carrick_queue) {
    let _ = boundary("free", || {
        free(queue);
        Ok(())
    });
}
