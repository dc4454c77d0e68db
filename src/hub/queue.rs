//! The bounded queue of messages for one client.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::code::Disconnect;

/// Messages are combined into frames of about this many bytes: each frame costs a system call here and a wake-up at the client.
const FRAME: usize = 16 * 1024;

/// The messages for one client, in order.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    cut: Notify,
    limit: usize,
}

#[derive(Debug)]
struct State {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// Whether nothing may be sent yet, since the reply to `connect` must be first.
    is_corked: bool,
    /// Whether a wait for the client was in vain; it is not waited for again until the queue is at most half full.
    is_stalled: bool,
    end: Option<Disconnect>,
}

/// The next output to the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A frame: one message, or several with line feeds between them.
    Frame(Bytes),
    /// The end of the connection.
    End(Disconnect),
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let state = State {
            messages: VecDeque::new(),
            bytes: 0,
            is_corked: true,
            is_stalled: false,
            end: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            cut: Notify::new(),
            limit,
        }
    }

    /// Appends a message; returns the size of the queue in bytes, for a caller that may wait for it. A client whose queue would exceed
    /// its limit is disconnected.
    pub(super) fn push(&self, message: Bytes) -> usize {
        let mut state = self.lock();
        if state.end.is_some() {
            return 0;
        }
        // A message that is larger than the limit can be sent alone.
        if state.bytes > 0 && state.bytes + message.len() > self.limit {
            state.messages = VecDeque::new();
            state.bytes = 0;
            state.end = Some(Disconnect::SLOW);
            drop(state);
            self.changed.notify_one();
            self.cut.notify_one();
            return 0;
        }
        state.bytes += message.len();
        state.messages.push_back(message);
        let (bytes, is_corked) = (if state.is_stalled { 0 } else { state.bytes }, state.is_corked);
        drop(state);
        if !is_corked {
            self.changed.notify_one();
        }
        bytes
    }

    /// Puts the reply to `connect` before the messages that arrived meanwhile, and releases all of them.
    pub(super) fn uncork(&self, answer: Bytes) {
        let mut state = self.lock();
        state.bytes += answer.len();
        state.messages.push_front(answer);
        state.is_corked = false;
        drop(state);
        self.changed.notify_one();
    }

    /// Ends the connection after the queued messages have been sent. Only the first call counts.
    pub fn end(&self, disconnect: Disconnect) {
        let mut state = self.lock();
        state.end.get_or_insert(disconnect);
        drop(state);
        self.changed.notify_one();
    }

    /// Returns whether the connection ends after the queued messages.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Returns the size of the queue in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Returns whether the queue is more than half full.
    pub(super) fn is_behind(&self) -> bool {
        self.lock().bytes > self.limit / 2
    }

    /// Excludes the client from waiting until it is no longer behind.
    pub(super) fn stall(&self) {
        let mut state = self.lock();
        state.is_stalled = state.bytes > self.limit / 2;
    }

    /// Returns the next frame, or the end. Only one task may wait for it.
    pub async fn next(&self) -> Output {
        loop {
            if let Some(output) = self.take() {
                return output;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the client has been found too slow, so that a pending write can be abandoned.
    pub async fn cut(&self) {
        self.cut.notified().await;
    }

    fn take(&self) -> Option<Output> {
        let mut state = self.lock();
        if state.is_corked || state.messages.is_empty() {
            return state.end.clone().map(Output::End);
        }
        let first = state.messages.pop_front()?;
        let mut length = first.len();
        let mut count = 0;
        for message in &state.messages {
            if length + message.len() >= FRAME {
                break;
            }
            length += message.len() + 1;
            count += 1;
        }
        let frame = if count == 0 {
            state.bytes -= first.len();
            first
        } else {
            let mut frame = BytesMut::with_capacity(length);
            frame.extend_from_slice(&first);
            for message in state.messages.drain(..count) {
                frame.extend_from_slice(b"\n");
                frame.extend_from_slice(&message);
            }
            state.bytes -= length - count;
            frame.freeze()
        };
        state.is_stalled &= state.bytes > self.limit / 2;
        if state.messages.is_empty() {
            // Most clients receive little: the memory of a burst is released.
            state.messages.shrink_to(8);
        }
        Some(Output::Frame(frame))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(limit: usize) -> Queue {
        let queue = Queue::new(limit);
        queue.uncork(Bytes::from_static(b"hello"));
        assert_eq!(queue.take(), Some(Output::Frame(Bytes::from_static(b"hello"))));
        queue
    }

    #[test]
    fn the_reply_to_connect_is_first_and_messages_share_a_frame() {
        let queue = Queue::new(100);
        queue.push(Bytes::from_static(b"a"));
        assert_eq!(queue.take(), None);
        queue.uncork(Bytes::from_static(b"hello"));
        queue.push(Bytes::from_static(b"b"));
        queue.end(Disconnect::SHUTDOWN);
        queue.push(Bytes::from_static(b"late"));
        assert_eq!(queue.take(), Some(Output::Frame(Bytes::from_static(b"hello\na\nb"))));
        assert_eq!(queue.lock().bytes, 0);
        assert_eq!(queue.take(), Some(Output::End(Disconnect::SHUTDOWN)));
    }

    #[test]
    fn a_client_that_reads_too_little_is_disconnected_and_its_queue_is_freed() {
        let queue = open(10);
        assert_eq!(queue.push(Bytes::from_static(b"0123456789")), 10);
        assert_eq!(queue.push(Bytes::from_static(b"x")), 0);
        assert_eq!(queue.take(), Some(Output::End(Disconnect::SLOW)));
        assert_eq!(queue.lock().bytes, 0);
    }

    #[test]
    fn a_message_larger_than_the_queue_is_sent_alone() {
        let queue = open(4);
        queue.push(Bytes::from_static(b"0123456789"));
        assert_eq!(queue.take(), Some(Output::Frame(Bytes::from_static(b"0123456789"))));
    }
}
